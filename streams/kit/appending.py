"""The dispatcher's own records in subscriber.events: intents, outcomes, parked names, what else was spent.

An append that the log does not acknowledge is repeated until it does: the reader drops whichever comes twice.
"""

import asyncio
import time
from collections.abc import Callable

import msgspec

from processors.messages import BudgetSpent, Intent, Outcome, Parked, encode
from processors.record import Source, Topic
from streams.errors import LogUnavailable
from streams.kit.line import backoff_seconds
from streams.log import Log, NewRecord, Position


class Appender:
    def __init__(self, log: Log, clock: Callable[[], float] = time.time) -> None:
        self._log = log
        self._clock = clock

    async def append(self, key: str, message: Intent | Outcome | Parked | BudgetSpent, partition: int) -> Position:
        """Returns where it stands, once the log has acknowledged it; until then it waits, and may be cancelled."""
        record = self._record(key, message, partition)
        attempts = 0
        while True:
            try:
                return await self._log.append(record)
            except LogUnavailable:
                await asyncio.sleep(backoff_seconds(attempts))
                attempts += 1

    def _record(self, key: str, message: msgspec.Struct, partition: int) -> NewRecord:
        return NewRecord(
            topic=Topic.SUBSCRIBER_EVENTS,
            key=key.encode(),
            value=encode(message),
            source=Source.KIT,
            received_ms=int(self._clock() * 1000),
            partition=partition,
        )
