"""What the public edge counts. One set per registry, so that several edges can live in one process (tests do)."""

from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter


class Outcome(StrEnum):
    """What became of a request to /webhooks/stripe; exactly one each."""

    ACCEPTED = "accepted"
    MISDIRECTED = "misdirected"
    BAD_SIGNATURE = "bad_signature"
    NO_EVENT = "no_event"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too_large"
    LOG_UNAVAILABLE = "log_unavailable"


class EdgeMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        counter = Counter(
            "millrace_edge_webhooks",
            "Requests to the Stripe webhook by what became of them; only accepted and misdirected were answered 200.",
            ["outcome"],
            registry=registry,
        )
        # Prepared once: looking a label up costs more than counting.
        self._counters = {outcome: counter.labels(outcome.value) for outcome in Outcome}

    def count(self, outcome: Outcome) -> None:
        self._counters[outcome].inc()
