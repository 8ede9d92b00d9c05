"""Reads the status of the whole system from its log: any role can, and all give the same answer.

The order of the look-ups makes `idle` true when it says so. Whatever moves is in the log before it is anywhere else:
an event in customer.events, then a command in subscriber.events, then pending work in the subscribers' table. So the
lags are read first, in the order of the path, and the table last: what left one place cannot have slipped past the
next one unseen. Only then the counts are taken.

A new catalogue goes the other way: the table tells that customers are to decide anew, and what they decide is then in
the log. So a catalogue that moved during the look-ups keeps the answer from being `idle`.
"""

import time
from collections.abc import Callable
from importlib.metadata import version

from processors.record import Topic
from projections.status import Status, status
from streams.log import Log
from streams.ops.tail import ActivityTail
from streams.settings import Settings
from streams.topics import CUSTOMERS_TABLE

READ_TOPICS = (Topic.CUSTOMER_EVENTS, Topic.SUBSCRIBER_EVENTS)
"""The topics that agents read, in the order of the path."""

CATCH_UP_SECONDS_MAX = 30.0
"""A first status may have to read a long log; after that the tails are only moments behind."""


class StatusReader:
    def __init__(
        self, settings: Settings, log: Log, tail: ActivityTail, clock: Callable[[], float] = time.time
    ) -> None:
        self._settings = settings
        self._log = log
        self._tail = tail
        self._clock = clock

    async def read(self) -> Status:
        """Raises Unreachable or TimeoutError where the log does not answer."""
        await self._tail.caught_up(CATCH_UP_SECONDS_MAX, CUSTOMERS_TABLE)
        catalogues_moved = self._tail.activity.catalogues_moved
        lag = {str(topic): sum((await self._log.lag(topic)).values()) for topic in READ_TOPICS}
        await self._tail.caught_up(CATCH_UP_SECONDS_MAX)
        is_still = self._tail.activity.catalogues_moved == catalogues_moved
        return status(
            self._tail.activity,
            version=version("millrace"),
            lag=lag,
            is_still=is_still,
            budget_per_minute=self._settings.kit_requests_per_minute,
            now_ms=int(self._clock() * 1000),
        )
