"""The appending half of a Log, in memory, for tests of whoever only appends: acknowledgements can be held back."""

import asyncio
from collections.abc import Sequence

from streams.errors import LogUnavailable
from streams.log import NewRecord, Position


class MemoryLog:
    """`records`: what was acknowledged. While `acknowledging` is cleared, appends wait; `broken`: they fail at once."""

    def __init__(self) -> None:
        self.records: list[NewRecord] = []
        self.waiting = 0
        self.broken = False
        self.acknowledging = asyncio.Event()
        self.acknowledging.set()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def append(self, record: NewRecord) -> Position:
        if self.broken:
            raise LogUnavailable("no broker answers; start one")
        self.waiting += 1
        try:
            await self.acknowledging.wait()
        finally:
            self.waiting -= 1
        self.records.append(record)
        return Position(0, len(self.records) - 1)

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        for record in records:
            await self.append(record)
