"""Keeps an Activity up to date from the log, in every role that serves a status.

Its tails run for as long as the role does; `caught_up` tells the status reader that everything which was in the log
at the time of the call has been folded. A tail that breaks is reported by `caught_up`, never silently stale.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from processors.record import Record, Topic
from projections.activity import Activity
from streams.log import Log, Reached
from streams.topics import CUSTOMERS_TABLE, SUBSCRIBERS_TABLE

UNREAD_TOPICS = (Topic.CATALOGUE_EVENTS, Topic.PAYMENT_EVENTS, Topic.STRIPE_OTHER, Topic.DEAD_LETTERS)


class ActivityTail:
    def __init__(self, log: Log, clock: Callable[[], float] = time.time) -> None:
        self.activity = Activity()
        self._log = log
        self._clock = clock
        self._tails: list[_Tail] = []

    async def start(self) -> None:
        folds: dict[Topic | str, Callable[[Record], None]] = {
            Topic.CUSTOMER_CHANGES: self.activity.saw_change,
            Topic.SUBSCRIBER_EVENTS: self.activity.saw_subscriber_event,
            SUBSCRIBERS_TABLE: self._saw_subscriber,
            CUSTOMERS_TABLE: self.activity.saw_customer,
            **dict.fromkeys(UNREAD_TOPICS, self.activity.saw_unread),
        }
        self._tails = [_Tail(self._log, topic, fold) for topic, fold in folds.items()]

    async def stop(self) -> None:
        for tail in self._tails:
            await tail.stop()

    async def caught_up(self, seconds_max: float, *topics: Topic | str) -> None:
        """Waits until all that was written before the call, to these topics (none given: all), has been folded.
        Raises TimeoutError, or what broke it.
        """
        async with asyncio.timeout(seconds_max):
            for tail in self._tails:
                if not topics or tail.topic in topics:
                    await tail.caught_up()

    def _saw_subscriber(self, record: Record) -> None:
        self.activity.saw_subscriber(record.key.decode(), record.value, int(self._clock() * 1000))


class _Tail:
    """One topic's tail in a task of its own; records are folded in the order in which they come."""

    def __init__(self, log: Log, topic: Topic | str, fold: Callable[[Record], None]) -> None:
        self._log = log
        self.topic = topic
        self._fold = fold
        self._reached: Mapping[int, int] = {}
        self._moved = asyncio.Condition()
        self._ended = False
        self._task = asyncio.create_task(self._run(), name=f"tail of {topic}")

    async def _run(self) -> None:
        try:
            async for seen in self._log.tail(self.topic):
                if isinstance(seen, Reached):
                    async with self._moved:
                        self._reached = seen.offsets
                        self._moved.notify_all()
                else:
                    self._fold(seen)
        finally:
            self._ended = True
            async with self._moved:
                self._moved.notify_all()

    async def caught_up(self) -> None:
        ends = await self._log.ends(self.topic)
        async with self._moved:
            await self._moved.wait_for(lambda: self._ended or self._has_reached(ends))
        if self._ended:
            await self._task  # raises what broke the tail

    def _has_reached(self, ends: Mapping[int, int]) -> bool:
        return all(self._reached.get(partition, 0) >= end for partition, end in ends.items())

    async def stop(self) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
