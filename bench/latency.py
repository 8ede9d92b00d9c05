"""From webhook to Kit on an idle system: how long after the POST began the first and the last request reach Kit.

`python -m bench.latency [--quick]`. One purchase (a paid Checkout of somebody Kit does not know) after the other, at
random intervals; `up` has a process of its own, Kit is simulated in this one, so all times are of one clock. What the
simulated Kit itself takes for the requests before the last one is included: a real one takes longer, and is not ours.
"""

import asyncio
import random
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import uvloop

from bench.figures import left_out, quantiles_ms, report
from bench.kafka import kafka_url
from bench.options import is_quick
from bench.up import Running, started
from tests import stripe_events
from tests.kafka_jars import NoKafka

FIGURE = "webhook_to_kit"
PURCHASES, QUICK_PURCHASES = 100, 15
WARM_UP_PURCHASES = 20
"""The first ones also look up names in Kit; and a process gets faster with its first hundred steps."""
INTERVAL_SECONDS = (0.05, 0.25)
UNDISTURBED_SECONDS = 0.1
"""After a purchase, before this process looks at what has come."""
ARRIVAL_SECONDS_MAX = 10.0
LOOK_AGAIN_SECONDS = 0.01
GOAL_P50_MS = {"embedded": 20, "kafka": 60}


class Passage(NamedTuple):
    """Seconds since the POST began."""

    answered: float
    first: float
    last: float


async def main() -> None:
    purchases = QUICK_PURCHASES if is_quick(__doc__) else PURCHASES
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        await _measure("embedded", f"sqlite:///{folder}/log.db", Path(folder), purchases)
        try:
            with kafka_url() as url:
                await _measure("kafka", url, Path(folder), purchases)
        except NoKafka as missing:
            left_out(f"{FIGURE} on Kafka", str(missing))


async def _measure(log: str, broker: str, folder: Path, purchases: int) -> None:
    async with started(broker, folder) as running:
        requests = await _warmed_up(running)
        passages = [await _passed(running, number, requests) for number in range(purchases)]
    _report(log, requests, passages)


async def _warmed_up(running: Running) -> int:
    """How many requests a purchase costs once all names are known."""
    for number in range(WARM_UP_PURCHASES):
        running.kit.journal.clear()
        assert await running.system.post(_purchase(f"Warm{number}")) == 200
        await running.system.settled()
    return running.kit.journal.requests


async def _passed(running: Running, number: int, requests: int) -> Passage:
    journal = running.kit.journal
    await asyncio.sleep(random.uniform(*INTERVAL_SECONDS))
    journal.clear()
    began = time.time()
    assert await running.system.post(_purchase(str(number))) == 200
    answered = time.time()
    # Waiting is not to cost the machine anything while there is something on its way.
    await asyncio.sleep(UNDISTURBED_SECONDS)
    while journal.requests < requests:
        assert time.time() < began + ARRIVAL_SECONDS_MAX, f"{journal.requests} of {requests} requests came"
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
    received = [entry.received for entry in journal.entries]
    assert all(one <= other for one, other in pairwise(received))
    return Passage(answered - began, received[0] - began, received[requests - 1] - began)


def _purchase(buyer: str) -> dict[str, Any]:
    return stripe_events.session_completed(
        session_id=f"cs_{buyer}",
        customer_id=f"cus_{buyer}",
        email=f"{buyer}@example.com",
        payment_link="plink_Atlas",
    )


def _report(log: str, requests: int, passages: Sequence[Passage]) -> None:
    report(
        FIGURE,
        log=log,
        purchases=len(passages),
        requests_per_purchase=requests,
        first_request=quantiles_ms([passage.first for passage in passages]),
        last_request=quantiles_ms([passage.last for passage in passages]),
        goal_p50_ms=GOAL_P50_MS[log],
        answered_200=quantiles_ms([passage.answered for passage in passages]),
    )


if __name__ == "__main__":
    uvloop.run(main())
