"""Plays Stripe: signs events and posts them to the edge, with the patience that Stripe has.

Called by `millrace send-sample`, `millrace try` and tests. A refusal is counted, not raised; an edge that cannot be
reached, or that answers 503 for too long, is Unreachable.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import aiohttp
import orjson

from streams.edge.signatures import signed_header
from streams.errors import Unreachable, WrongUsage
from streams.samples.history import history
from streams.samples.objects import StripeDict
from streams.settings import Settings, require

CONCURRENCY: Final = 16
"""About what Stripe does for one endpoint; enough to show batching."""

ATTEMPTS_MAX: Final = 30
"""With the edge's Retry-After of 2 s this outlasts a broker that is away for half a minute."""

RETRY_SECONDS_DEFAULT: Final = 1.0
RETRY_SECONDS_MAX: Final = 10.0
"""Whatever Retry-After says."""

POST_SECONDS_MAX: Final = 30.0

Progress = Callable[[int, int], object]
"""Called with how many posts are done, of how many."""


@dataclass(frozen=True, slots=True)
class SendReport:
    """`sent`: events the edge has taken; `duplicates`: how many of them went twice; `refused`: 4xx; `retried`: 503s."""

    sent: int
    duplicates: int
    refused: int
    retried: int


async def send_sample(
    settings: Settings,
    *,
    seed: int,
    customers: int,
    shuffle: bool,
    duplicate: float,
    url: str | None = None,
    secret: str | None = None,
    report: Progress = lambda _done, _total: None,
) -> SendReport:
    """`duplicate` is the share of events delivered twice; `url` the edge without a path, `secret` one it knows.

    Raises WrongUsage where the edge takes live events only: these are in test mode, on purpose.
    """
    if settings.stripe_livemode:
        raise WrongUsage(
            "the sample history is in test mode and this installation takes live events only: "
            "set MILLRACE_STRIPE_LIVEMODE=false, and keep sample customers away from your real Kit account"
        )
    if secret is None:
        require(settings, "stripe_webhook_secrets")
        secret = settings.stripe_webhook_secrets[0]
    events = [told.event for told in history(seed, customers)]
    rng = random.Random(seed)  # noqa: S311 - chance for deliveries, not for secrets
    twice = [event for event in events if rng.random() < duplicate]
    deliveries = events + twice
    if shuffle:
        rng.shuffle(deliveries)
    edge = url or f"http://{settings.edge_host}:{settings.edge_port}"
    answers = await send(f"{edge}/webhooks/stripe", secret, deliveries, report=report)
    return SendReport(answers.sent - len(twice), len(twice), answers.refused, answers.retried)


async def send(
    url: str,
    secret: str,
    events: Sequence[StripeDict],
    *,
    concurrency: int = CONCURRENCY,
    report: Progress = lambda _done, _total: None,
) -> SendReport:
    """Posts raw events to the webhook's URL, in this order where `concurrency` is 1. `duplicates` is 0 here."""
    waiting = iter(events)
    counts = {"sent": 0, "refused": 0, "retried": 0}

    async def work(session: aiohttp.ClientSession) -> None:
        for event in waiting:  # shared by all workers: each takes the next one
            accepted, retries = await _delivered(session, url, secret, orjson.dumps(event))
            counts["sent" if accepted else "refused"] += 1
            counts["retried"] += retries
            report(counts["sent"] + counts["refused"], len(events))

    timeout = aiohttp.ClientTimeout(total=POST_SECONDS_MAX)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, asyncio.TaskGroup() as workers:
            for _ in range(concurrency):
                workers.create_task(work(session))
    except ExceptionGroup as failures:
        # All fail for the same reason, and whoever called knows only single errors.
        raise failures.exceptions[0] from failures
    return SendReport(counts["sent"], 0, counts["refused"], counts["retried"])


async def _delivered(session: aiohttp.ClientSession, url: str, secret: str, body: bytes) -> tuple[bool, int]:
    """Whether the edge took it, and after how many 5xx answers; signed anew each time, as Stripe's retries are."""
    for retries in range(ATTEMPTS_MAX):
        headers = {
            "Content-Type": "application/json",
            "Stripe-Signature": signed_header(secret, body, int(time.time())),
        }
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                if answer.status < 500:
                    return answer.status == 200, retries
                wait_seconds = _retry_seconds(answer.headers.get("Retry-After"))
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(f"{url} does not answer ({error}): is the edge running there?") from error
        await asyncio.sleep(wait_seconds)
    raise Unreachable(f"{url} answered 5xx {ATTEMPTS_MAX} times: see the edge's log for why its log is not available")


def _retry_seconds(header: str | None) -> float:
    if header is None or not header.isascii() or not header.isdigit():
        return RETRY_SECONDS_DEFAULT
    return min(float(header), RETRY_SECONDS_MAX)
