"""The appending half of a Log, in memory, for tests of whoever only appends: acknowledgements can be held back.

It keeps the logs' promise: what is not acknowledged in time raises LogUnavailable.
"""

import asyncio
from collections.abc import Sequence

from streams.deadline import SharedDeadline
from streams.errors import LogUnavailable
from streams.log import APPEND_SECONDS_MAX, NewRecord, Position


class MemoryLog:
    """`records`: what was acknowledged. While `acknowledging` is cleared, appends wait; `broken`: they fail at once."""

    def __init__(self, append_seconds_max: float = APPEND_SECONDS_MAX) -> None:
        self.records: list[NewRecord] = []
        self.waiting = 0
        self.broken = False
        self.acknowledging = asyncio.Event()
        self.acknowledging.set()
        self._deadline = SharedDeadline(append_seconds_max)

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def append(self, record: NewRecord) -> Position:
        if self.broken:
            raise LogUnavailable("no broker answers; start one")
        self.waiting += 1
        try:
            await self._deadline.within(self.acknowledging.wait())
        except TimeoutError as error:
            raise LogUnavailable("no acknowledgement; look at the broker") from error
        finally:
            self.waiting -= 1
        self.records.append(record)
        return Position(0, len(self.records) - 1)

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        for record in records:
            await self.append(record)
