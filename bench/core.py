"""The customers agent's core alone: µs per event by kind, and against orjson.loads of the same bytes; and in bulk.

Prints one JSON line per figure. No log, no agent: `advance` over events in memory, against a table that is a dict.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from bench.figures import report
from processors import messages
from processors.catalogue.document import parse
from processors.customer import CustomersState, advance
from processors.messages import CatalogueApplied
from processors.record import Record, Source, Topic
from tests import stripe_events as stripe
from tests.stripe_events import MONTH, T0, Event

ROUNDS = 2000
MONTHS = 24
CUSTOMERS_IN_BULK = 200
ROOT = Path(__file__).parent.parent
CATALOGUE = ROOT / "catalogue.example.toml"
RECORDED = ROOT / "tests" / "data" / "stripe" / "webhook_events"


class Table:
    """The table and the offsets, as little as `advance` needs."""

    def __init__(self) -> None:
        self.states: dict[str, CustomersState] = {}
        self.offset = 0
        parsed = parse(CATALOGUE.read_text())
        applied = CatalogueApplied(version=parsed.version, document=parsed.document)
        self.take("catalogue:0", messages.encode(applied))

    def get(self, key: str) -> CustomersState | None:
        return self.states.get(key)

    def record(self, key: str, value: bytes) -> Record:
        self.offset += 1
        return Record(
            Topic.CUSTOMER_EVENTS, 0, self.offset, key.encode(), value, Source.WEBHOOK, T0 * 1000 + self.offset
        )

    def take(self, key: str, value: bytes) -> None:
        advanced = advance(self, self.record(key, value))
        if advanced.state is not None:
            self.states[advanced.key] = advanced.state


def history(customer: str = stripe.CUSTOMER, months: int = MONTHS) -> Iterator[Event]:
    """A customer who subscribes by Checkout and stays, and buys one thing more."""
    ours = {"customer_id": customer}
    subscription = ours | {"subscription_id": f"sub_{customer}"}
    email = f"{customer}@example.com"
    yield stripe.customer_created(**ours, email=email)
    yield stripe.subscription_created(**subscription, status="incomplete")
    yield stripe.invoice_paid(**subscription, invoice_id=f"in_{customer}_0")
    yield stripe.subscription_updated(**subscription, previous={"status": "incomplete"})
    yield stripe.subscription_session_completed(**subscription, session_id=f"cs_{customer}_0", email=email)
    for month in range(1, months):
        start, end = T0 + month * MONTH, T0 + (month + 1) * MONTH
        renewal = {"at": start, "period_start": start, "period_end": end}
        before = {"current_period_start": start - MONTH, "current_period_end": start}
        yield stripe.subscription_updated(**subscription, **renewal, previous=before)
        yield stripe.invoice_paid(
            **subscription, **renewal, invoice_id=f"in_{customer}_{month}", billing_reason="subscription_cycle"
        )
    yield stripe.session_completed(**ours, session_id=f"cs_{customer}_1", payment_link="plink_Atlas", email=email)


def whole(event: Event) -> bytes:
    """With all the fields that Stripe sends and we skip, from its recorded twin; tests' own have a third of them."""
    recorded = json.loads((RECORDED / f"{event['type']}.json").read_text())
    stripe_object = recorded["data"]["object"] | event["data"]["object"]
    for ours, theirs in zip(_lines(stripe_object), _lines(recorded["data"]["object"]), strict=False):
        ours.update(theirs | ours)
    return stripe.as_bytes(recorded | event | {"data": event["data"] | {"object": stripe_object}})


def _lines(stripe_object: dict[str, Any]) -> list[dict[str, Any]]:
    listed = stripe_object.get("items") or stripe_object.get("lines") or {"data": []}
    return list(listed["data"])


def last_of_each_kind() -> dict[str, Event]:
    kinds = {event["type"]: event for event in history()}
    return kinds | {"charge.succeeded": stripe.event("charge.succeeded", {"id": "ch_1"})}


def microseconds(work: Callable[[], object]) -> float:
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter_ns()
        work()
        taken.append(time.perf_counter_ns() - start)
    return statistics.median(taken) / 1000


def of_kind(kind: str, event: Event) -> dict[str, object]:
    """The customer knows all but this event; what `advance` returns is not kept, so that every round is the same."""
    table = Table()
    for earlier in history():
        if earlier["id"] != event["id"]:
            table.take(stripe.CUSTOMER, stripe.as_bytes(earlier))
    value = whole(event)
    record = table.record(stripe.CUSTOMER, value)
    loads_us = microseconds(lambda: orjson.loads(value))
    advance_us = microseconds(lambda: advance(table, record))
    return {
        "kind": kind,
        "bytes": len(value),
        "advance_us": round(advance_us, 1),
        "orjson_loads_us": round(loads_us, 1),
        "ratio": round(advance_us / loads_us, 1),
    }


def in_bulk() -> dict[str, object]:
    table = Table()
    names = [f"cus_{number}" for number in range(CUSTOMERS_IN_BULK)]
    values = [(name, whole(event)) for name in names for event in history(name, months=6)]
    start = time.process_time()
    for key, value in values:
        table.take(key, value)
    seconds = time.process_time() - start
    return {
        "events": len(values),
        "events_per_cpu_second": round(len(values) / seconds),
    }


def main() -> None:
    for kind, event in last_of_each_kind().items():
        report("core_microseconds", **of_kind(kind, event))
    report("core_in_bulk", **in_bulk())


if __name__ == "__main__":
    main()
