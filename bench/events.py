"""What the benchmarks feed in: the sample history's events about customers, as large as Stripe sends them.

The sample events carry only what is read (1.4 kB); each gets the object of its recorded twin as one more field that
nobody reads, so that size and nesting are those of real ones (3.7 kB on average) and the story stays the same.
"""

import itertools
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from processors.record import Topic
from streams.edge.routing import Accepts, Routed, route
from streams.samples import history

RECORDED = Path(__file__).parent.parent / "tests" / "data" / "stripe" / "webhook_events"
EVENTS_PER_CUSTOMER_MIN = 5
ACCEPTS = Accepts(livemode=False, accounts=frozenset())


class Body(NamedTuple):
    """A webhook's body and the customer it is about."""

    key: bytes
    value: bytes


def customer_events(count: int, seed: int = 1) -> list[Body]:
    """The first `count`, in the order they happened; every event id is there once."""
    return list(itertools.islice(_customer_events(seed, 1 + count // EVENTS_PER_CUSTOMER_MIN), count))


def _customer_events(seed: int, customers: int) -> Iterator[Body]:
    for told in history(seed, customers):
        value = orjson.dumps(_as_large_as_stripes(told.event))
        routed = route(value, ACCEPTS)
        if isinstance(routed, Routed) and routed.destination.topic is Topic.CUSTOMER_EVENTS:
            yield Body(routed.destination.key.encode(), value)


def _as_large_as_stripes(event: dict[str, Any]) -> dict[str, Any]:
    data = event["data"]
    return event | {"data": data | {"object": data["object"] | {"recorded": _recorded(event["type"])}}}


@cache
def _recorded(kind: str) -> Any:
    file = RECORDED / f"{kind}.json"
    return orjson.loads(file.read_bytes())["data"]["object"] if file.exists() else None
