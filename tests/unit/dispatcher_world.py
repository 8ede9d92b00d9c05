"""All that the dispatcher stands between, in memory: a log, workers that fold it with the real core, and a Kit.

Run under virtual time. A worker commits what was appended one virtual moment later, as the engine does, so that every
race between an append and its commit has its place.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Self, TypeVar

from msgspec.structs import replace

from processors.messages import (
    Align,
    Ambiguous,
    Enrol,
    NotMade,
    Rejected,
    Request,
    Result,
    SubscriberMessage,
    decode_subscriber_message,
    encode,
)
from processors.record import Record, Source, Topic
from processors.subscriber import Subscriber, advance, has_work
from streams.errors import KitRefused, KitUnavailable, LogUnavailable
from streams.kit.budget import RollingBudget
from streams.kit.calls import Page
from streams.kit.dispatcher import Dispatcher
from streams.log import NewRecord, Position, Reached
from streams.settings import Settings
from streams.topics import partition_of
from tests.unit.memory_kit import MemoryKit
from tests.unit.virtual_time import run_virtual, until, wall_clock

V = TypeVar("V")
M = TypeVar("M")

PARTITIONS = 4
COMMIT_SECONDS = 0.02
REQUEST_SECONDS = 0.1


class MemoryLog:
    """subscriber.events alone. `failures`: so many appends are not acknowledged, though they may be in the log."""

    def __init__(self) -> None:
        self.records: list[list[Record]] = [[] for _ in range(PARTITIONS)]
        self.failures = 0
        self.fails_after_writing = False
        self.intent_seconds = 0.001
        self.appended = asyncio.Condition()

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def append(self, record: NewRecord) -> Position:
        await asyncio.sleep(self.intent_seconds if b'"intent"' in record.value[:20] else 0.001)
        fails = self.failures > 0
        self.failures -= int(fails)
        if fails and not self.fails_after_writing:
            raise LogUnavailable("no room")
        partition = partition_of(record.key, PARTITIONS) if record.partition is None else record.partition
        offset = len(self.records[partition])
        self.records[partition].append(
            Record(record.topic, partition, offset, record.key, record.value, record.source, record.received_ms)
        )
        async with self.appended:
            self.appended.notify_all()
        if fails:
            raise LogUnavailable("no acknowledgement")
        return Position(partition, offset)

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        for record in records:
            await self.append(record)

    async def ends(self, topic: Topic | str) -> Mapping[int, int]:
        raise AssertionError("the dispatcher has no business here", topic)

    async def lag(self, topic: Topic) -> Mapping[int, int]:
        raise AssertionError("the dispatcher has no business here", topic)

    async def since(self, topic: Topic, since_ms: int) -> list[Record]:
        """Every record of it is the dispatcher's own, whose `received_ms` is when it was appended, or another's."""
        return [record for records in self.records for record in records if record.received_ms >= since_ms]

    def read(self, topic: Topic, partition: int, start: int = 0) -> AsyncIterator[Record]:
        raise AssertionError("the dispatcher has no business here", topic, partition, start)

    def tail(self, topic: Topic | str, start: Mapping[int, int] | None = None) -> AsyncIterator[Record | Reached]:
        raise AssertionError("the dispatcher has no business here", topic, start)

    def messages(self, of: type[M]) -> list[M]:
        every = [decode_subscriber_message(record.value) for records in self.records for record in records]
        return [message for message in every if isinstance(message, of)]

    async def say(self, key: str, message: SubscriberMessage, source: Source = Source.WEBHOOK) -> None:
        """What the customers agent sends."""
        record = NewRecord(Topic.SUBSCRIBER_EVENTS, key.encode(), encode(message), source, int(wall_clock() * 1000))
        await self.append(record)


Fault = str
"""`500`, `500 done` (carried out all the same), `429`, `401`, `422`, `404`, `hang`; `ok`."""


@dataclass
class ScriptedKit:
    """A Kit client. `faults` are used up one per request of a subscriber; `always` holds until it is taken away."""

    account: MemoryKit = field(default_factory=MemoryKit)
    faults: deque[Fault] = field(default_factory=deque)
    always: Fault | None = None
    name_faults: deque[Fault] = field(default_factory=deque)
    times: list[float] = field(default_factory=list)
    name_calls: list[str] = field(default_factory=list)
    under_way: int = 0
    under_way_most: int = 0

    async def perform(self, request: Request) -> Result:
        fault = self.always or (self.faults.popleft() if self.faults else "ok")
        self.times.append(wall_clock())
        self.under_way += 1
        self.under_way_most = max(self.under_way_most, self.under_way)
        try:
            await asyncio.sleep(10_000 if fault == "hang" else REQUEST_SECONDS)
        finally:
            self.under_way -= 1
        if fault == "429":
            return NotMade(cause="rate_limited")
        if fault == "401":
            return NotMade(cause="unauthorised")
        if fault in {"404", "422"}:
            return Rejected(status=int(fault), message="no")
        if fault == "500":
            return Ambiguous(reason="500")
        result = self.account.answer(request)
        return Ambiguous(reason="500") if fault == "500 done" else result

    async def tags_page(self, after: str | None = None) -> Page[int]:
        return await self._named("tags", lambda: _page(self.account.tags, after))

    async def fields_page(self, after: str | None = None) -> Page[str]:
        return await self._named("fields", lambda: _page(self.account.fields, after))

    async def sequences_page(self, after: str | None = None) -> Page[int]:
        return await self._named("sequences", lambda: _page(self.account.sequences, after))

    async def create_tag(self, name: str) -> int:
        return await self._named(
            f"create tag {name}", lambda: self.account.tags.setdefault(name.casefold(), 50 + len(self.account.tags))
        )

    async def create_field(self, label: str) -> str:
        return await self._named(
            f"create field {label}", lambda: self.account.fields.setdefault(label, label.replace(" ", "_"))
        )

    async def _named(self, call: str, answer: Callable[[], V]) -> V:
        self.times.append(wall_clock())
        self.name_calls.append(call)
        await asyncio.sleep(REQUEST_SECONDS)
        fault = self.name_faults.popleft() if self.name_faults else "ok"
        if fault == "500":
            raise KitUnavailable("Kit answered 500; it is tried again")
        if fault != "ok":
            raise KitRefused(int(fault), "Retry later")
        return answer()


def _page(names: Mapping[str, V], after: str | None, size: int = 20) -> Page[V]:
    start = int(after or 0)
    items = dict(list(names.items())[start : start + size])
    return Page(items, after=str(start + size) if start + size < len(names) else None)


class Worker:
    """The subscribers agent and its dispatcher in one process; its table is rebuilt from the log as lanes open."""

    lanes = count(1)

    def __init__(self, log: MemoryLog, kit: ScriptedKit, per_minute: int = 10_000) -> None:
        self.log = log
        self.table: dict[str, Subscriber] = {}
        self.crashes: list[BaseException] = []
        self.folds = asyncio.Event()
        self.folds.set()
        self.dispatcher = Dispatcher(
            Settings(partitions=PARTITIONS),
            log,
            kit,
            RollingBudget(per_minute, wall_clock),
            lookup=self.table.get,
            on_crash=self.crashes.append,
            clock=wall_clock,
        )
        self._read: dict[int, int] = {}
        self._agent: asyncio.Task[None] | None = None

    async def open(self, *partitions: int) -> None:
        """Takes these over (none given: all). What is in the log by then has been folded by a former owner."""
        if self._agent is None:
            await self.dispatcher.start()
            self._agent = asyncio.create_task(self._fold_what_comes())
        for partition in partitions or range(PARTITIONS):
            self._read[partition] = 0
            self._fold(partition)
            held = [
                (key, state) for key, state in self.table.items() if partition_of(key.encode(), PARTITIONS) == partition
            ]
            self.dispatcher.lane_opened(partition, f"lane {next(self.lanes)}", held)

    def close(self, *partitions: int) -> None:
        for partition in partitions or list(self._read):
            del self._read[partition]
            self.dispatcher.lane_closed(partition)
            for key in [key for key in self.table if partition_of(key.encode(), PARTITIONS) == partition]:
                del self.table[key]

    def kill(self) -> None:
        """As kill -9 would: nothing of it goes on, and it tells nobody."""
        for task in [*self.dispatcher._tasks, self._agent]:
            assert task is not None
            task.cancel()

    async def stop(self) -> None:
        await self.dispatcher.stop()
        if self._agent is not None:
            self._agent.cancel()
        assert self.crashes == []

    async def idle(self, seconds_max: float = 3600) -> float:
        """Waits until nothing is pending; returns the seconds that took."""
        seconds = await until(self._is_idle, 0.05, seconds_max)
        assert self.crashes == []
        return seconds

    def _is_idle(self) -> bool:
        return not (self.dispatcher.status().waiting or any(map(has_work, self.table.values())) or self._behind())

    def _behind(self) -> bool:
        return any(read < len(self.log.records[partition]) for partition, read in self._read.items())

    async def _fold_what_comes(self) -> None:
        while True:
            async with self.log.appended:
                await self.log.appended.wait_for(self._behind)
            await asyncio.sleep(COMMIT_SECONDS)
            await self.folds.wait()
            for partition in list(self._read):
                self.dispatcher.committed(partition, self._fold(partition))

    def _fold(self, partition: int) -> list[tuple[str, Subscriber]]:
        written: dict[str, Subscriber] = {}
        for record in self.log.records[partition][self._read[partition] :]:
            advanced = advance(self.table, record)
            if advanced.state is not None:
                self.table[advanced.key] = written[advanced.key] = advanced.state
            self._read[partition] = record.offset + 1
        return list(written.items())


class World:
    """One log and one Kit; workers come and go."""

    def __init__(self) -> None:
        self.log = MemoryLog()
        self.kit = ScriptedKit()
        self.workers: list[Worker] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for worker in self.workers:
            await worker.stop()

    async def worker(self, *partitions: int, per_minute: int = 10_000) -> Worker:
        worker = Worker(self.log, self.kit, per_minute)
        self.workers.append(worker)
        await worker.open(*partitions)
        return worker


def virtual(scenario: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """Runs the test in virtual time, with a world that is taken down after it."""

    async def lived() -> None:
        async with World() as world:
            await scenario(world)

    def test() -> None:
        run_virtual(lived())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test


def of(number: int, message: Align | Enrol) -> tuple[str, Align | Enrol]:
    """The same wish of another subscriber."""
    return f"key{number}", replace(message, email=f"s{number}@example.com")
