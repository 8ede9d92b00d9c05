"""A log in memory for tests of whoever appends: a list, and an acknowledgement that can be held back."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence

from processors.record import Record, Topic
from streams.errors import LogUnavailable
from streams.log import NewRecord, Position, Reached


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

    async def ends(self, topic: Topic | str) -> Mapping[int, int]:
        return {0: sum(record.topic == topic for record in self.records)}

    async def lag(self, topic: Topic) -> Mapping[int, int]:
        raise NotImplementedError

    def read(self, topic: Topic, partition: int, start: int = 0) -> AsyncIterator[Record]:
        raise NotImplementedError

    def tail(self, topic: Topic | str, start: Mapping[int, int] | None = None) -> AsyncIterator[Record | Reached]:
        raise NotImplementedError
