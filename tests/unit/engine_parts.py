"""A log, a table and a consumer in memory, for the tests of the transaction engine: plain classes, no broker."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from faust.types import TP

from processors.record import Advanced, Output, Record, Topic, View
from streams.transactions.agent import Agent
from streams.transactions.engine import Engine
from streams.transactions.provenance import Mark, Provenance
from streams.transactions.transactor import Batch

SOURCE = "customer.events"
HEADERS = (("source", b"webhook"), ("received_ms", b"1700000000000"))


class Total(msgspec.Struct, frozen=True):
    n: int


class Said(msgspec.Struct, frozen=True, tag="said"):
    what: str


def count(view: View[Total], record: Record) -> Advanced[Total]:
    """Counts per key; `boom` raises, `nothing` writes and sends nothing."""
    key = record.key.decode()
    if record.value == b"boom":
        raise RuntimeError("boom")
    if record.value == b"nothing":
        return Advanced(key, None)
    total = Total((view.get(key) or Total(0)).n + 1)
    return Advanced(key, total, (Output(Topic.CUSTOMER_CHANGES, key, Said(f"{key}={total.n}")),))


def counting_agent(step: Callable[[View[Total], Record], Advanced[Total]] = count) -> Agent[Total]:
    return Agent(
        name="customers",
        source=Topic.CUSTOMER_EVENTS,
        table="customers",
        decode=msgspec.json.Decoder(Total).decode,
        encode=msgspec.json.encode,
        step=step,
    )


@dataclass
class Message:
    """What the engine reads of Faust's message."""

    offset: int
    provenance: Provenance | None
    key: bytes | None = b"k"
    value: bytes | None = b"x"
    partition: int = 0
    headers: Sequence[tuple[str, bytes]] | None = HEADERS
    timestamp: float = 1_600_000_000.0

    @property
    def tp(self) -> TP:
        return TP(SOURCE, self.partition)


@dataclass
class MemoryTransactor:
    """Keeps what is committed. `gate`, when it is closed, holds commits up; `failure` makes them fail."""

    journal: list[Any]
    partition: int
    batches: list[Batch] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    failure: Exception | None = None
    committing: asyncio.Event = field(default_factory=asyncio.Event)
    is_closed: bool = False

    def __post_init__(self) -> None:
        self.gate.set()

    async def commit(self, batch: Batch) -> int | None:
        self.committing.set()
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append(batch)
        self.journal.append(("commit", self.partition, batch.next_offset))
        return 7 * len(self.batches) if batch.changelog else None

    async def close(self) -> None:
        self.is_closed = True
        self.journal.append(("close", self.partition))


@dataclass
class MemoryTransactions:
    journal: list[Any]
    transactors: dict[int, MemoryTransactor] = field(default_factory=dict)
    refused: dict[int, Exception] = field(default_factory=dict)

    async def open(self, agent: str, partition: int) -> MemoryTransactor:
        if partition in self.refused:
            raise self.refused[partition]
        self.transactors[partition] = MemoryTransactor(self.journal, partition)
        return self.transactors[partition]


@dataclass
class MemoryTable:
    journal: list[Any]
    partitions: dict[int, dict[bytes, bytes]] = field(default_factory=dict)

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self.partitions.get(partition, {}).get(key)

    def items(self, partitions: Collection[int]) -> Mapping[int, Iterable[tuple[bytes, bytes]]]:
        return {partition: list(self.partitions.get(partition, {}).items()) for partition in partitions}

    def write(self, partition: int, items: Iterable[tuple[bytes, bytes]], changelog_offset: int | None) -> None:
        written = dict(items)
        self.partitions.setdefault(partition, {}).update(written)
        self.journal.append(("table", partition, sorted(written), changelog_offset))


@dataclass
class MemoryConsumer:
    """A NumberingConsumer: `fetch` numbers records as a consumer's thread does."""

    marks: dict[TP, Mark] = field(default_factory=dict)
    reseeks: list[tuple[TP, int]] = field(default_factory=list)

    def mark_of(self, tp: TP) -> Mark | None:
        return self.marks.get(tp)

    async def reseek(self, tp: TP, offset: int) -> None:
        self.reseeks.append((tp, offset))
        self.seek(tp.partition, offset)

    def seek(self, partition: int, offset: int) -> None:
        tp = TP(SOURCE, partition)
        before = self.marks.get(tp)
        self.marks[tp] = Mark(epoch=1 if before is None else before.epoch + 1, next_sequence=0, sought=offset)

    def fetch(self, *offsets: int, partition: int = 0, **what: Any) -> list[Message]:
        mark = self.marks[TP(SOURCE, partition)]
        messages = []
        for offset in offsets:
            messages.append(Message(offset, Provenance(mark.epoch, mark.next_sequence), partition=partition, **what))
            mark.next_sequence += 1
        return messages


@dataclass
class JournalListener:
    """A LaneListener."""

    journal: list[Any]
    lanes: list[str] = field(default_factory=list)

    def lane_opened(self, partition: int, lane: str, states: Iterable[tuple[str, Total]]) -> None:
        self.lanes.append(lane)
        self.journal.append(("opened", partition, {key: state.n for key, state in states}))

    def committed(self, partition: int, states: Sequence[tuple[str, Total]]) -> None:
        self.journal.append(("committed", partition, {key: state.n for key, state in states}))

    def lane_closed(self, partition: int) -> None:
        self.journal.append(("closed", partition))


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


class Bench:
    """An engine with everything around it in memory. `journal` holds what happened, in order."""

    def __init__(self, agent: Agent[Total] | None = None) -> None:
        self.journal: list[Any] = []
        self.transactions = MemoryTransactions(self.journal)
        self.table = MemoryTable(self.journal)
        self.consumer = MemoryConsumer()
        self.listener = JournalListener(self.journal)
        self.failures: list[BaseException] = []
        self.failed = asyncio.Event()
        self.engine: Engine[Total] = Engine(
            agent or counting_agent(),
            SOURCE,
            self.listener,
            transactions=self.transactions,
            store=lambda: self.table,
            consumer=lambda: self.consumer,
            partition_of=lambda _topic, key: key[0] % 4,
            fail=self._fail,
        )

    async def _fail(self, error: BaseException) -> None:
        self.failures.append(error)
        self.failed.set()

    async def open(self, *partitions: int, generation: int = 1, committed: int = 0) -> None:
        """As the app does it: lanes open, the table recovers, the consumer seeks to the committed offsets."""
        await self.engine.open(partitions, generation)
        self.engine.ready(generation)
        for partition in partitions:
            self.consumer.seek(partition, committed)

    async def submit(self, *messages: Message) -> None:
        for message in messages:
            await self.engine.submit(message)

    async def settled(self, next_offset: int, partition: int = 0) -> None:
        """Returns when everything below this offset is committed and told."""
        await until(lambda: any(entry[0] == "committed" for entry in self.after(("commit", partition, next_offset))))

    def after(self, entry: Any) -> list[Any]:
        return self.journal[self.journal.index(entry) :] if entry in self.journal else []

    def batches(self, partition: int = 0) -> list[Batch]:
        return self.transactions.transactors[partition].batches

    def transactor(self, partition: int = 0) -> MemoryTransactor:
        return self.transactions.transactors[partition]
