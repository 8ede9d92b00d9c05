"""The transaction engine of one agent: a lane for each source partition held, from assignment to revocation.

The app (streams/app.py) calls `open` before Faust handles an assignment, `ready` when the table is recovered, `close`
on revocation and stop; the Faust agent calls `submit` for every message. A lane that fails stops the worker: `fail`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic

import structlog
from faust.types import TP

from processors.record import S
from streams.transactions.admission import Verdict
from streams.transactions.agent import Agent
from streams.transactions.batch import PartitionOf
from streams.transactions.lane import Lane
from streams.transactions.listener import LaneListener
from streams.transactions.overlay import decoded_state
from streams.transactions.provenance import NumberingConsumer
from streams.transactions.table_store import TableStore
from streams.transactions.transactor import Transactions

logger = structlog.get_logger(__name__)

ARRIVAL_SECONDS_MAX = 2.0
"""A record fetched under the current seek that has not arrived by then was dropped on the way (Faust clears its queues
when it resumes the flow): it is fetched again. Fetching a merely slow one again costs nothing but the fetch.
"""


@dataclass(slots=True)
class Counts:
    """Since the start of the process; what the lanes count themselves is added when they close."""

    transactions: int = 0
    records: int = 0
    dead_letters: int = 0
    stale: int = 0
    repeated: int = 0
    refetched: int = 0


class Engine(Generic[S]):
    def __init__(
        self,
        agent: Agent[S],
        source_name: str,
        listener: LaneListener[S],
        *,
        transactions: Transactions,
        store: Callable[[], TableStore],
        consumer: Callable[[], NumberingConsumer],
        partition_of: PartitionOf,
        fail: Callable[[BaseException], Awaitable[None]],
    ) -> None:
        self.agent = agent
        self.source_name = source_name
        self._listener = listener
        self._transactions = transactions
        self._store = store
        self._consumer = consumer
        self._partition_of = partition_of
        self._fail = fail
        self._lanes: dict[int, Lane[S]] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._watch: asyncio.Task[None] | None = None
        self._counts = Counts()
        self._is_waiting = False
        """Whether the agent waits for room in one lane: then nothing arrives at the others either."""

    @property
    def partitions(self) -> frozenset[int]:
        """Those whose lanes are ready."""
        return frozenset(partition for partition, lane in self._lanes.items() if lane.admission is not None)

    @property
    def counts(self) -> Counts:
        held = self._lanes.values()
        return Counts(
            transactions=self._counts.transactions + sum(lane.transactions for lane in held),
            records=self._counts.records + sum(lane.records for lane in held),
            dead_letters=self._counts.dead_letters + sum(lane.dead_letters for lane in held),
            stale=self._counts.stale,
            repeated=self._counts.repeated,
            refetched=self._counts.refetched,
        )

    def committed_state(self, key: str) -> S | None:
        """What the table holds of a key whose partition is held here."""
        name = key.encode()
        encoded = self._store().get(self._partition_of(self.agent.source, name), name)
        return None if encoded is None else decoded_state(self.agent.decode, key, encoded)

    def committed_states(self, partition: int) -> Iterator[tuple[str, S]]:
        """All that the table holds of a partition held here; to be read before the loop goes on."""
        return self._decoded(self._store().items([partition])[partition])

    async def open(self, partitions: Collection[int], generation: int) -> None:
        """Takes the partitions over: when it returns, every former owner is fenced. Raises what a transactor raises."""
        opened = await asyncio.gather(
            *(self._transactions.open(self.agent.name, partition) for partition in partitions), return_exceptions=True
        )
        transactors = [transactor for transactor in opened if not isinstance(transactor, BaseException)]
        if failure := next((failure for failure in opened if isinstance(failure, BaseException)), None):
            await asyncio.gather(*(transactor.close() for transactor in transactors))
            raise failure
        for partition, transactor in zip(partitions, transactors, strict=True):
            lane = Lane(
                self.agent,
                partition,
                generation,
                transactor=transactor,
                store=self._store(),
                partition_of=self._partition_of,
                listener=self._listener,
            )
            self._lanes[partition] = lane
            self._running[partition] = asyncio.create_task(self._run(lane), name=f"lane {lane.id}")

    def ready(self, generation: int) -> None:
        """The table is recovered for this generation's lanes: what is fetched by later seeks is theirs."""
        lanes = [lane for lane in self._lanes.values() if lane.generation == generation and lane.admission is None]
        items = self._store().items([lane.partition for lane in lanes])
        for lane in lanes:
            mark = self._consumer().mark_of(TP(self.source_name, lane.partition))
            lane.open(floor=-1 if mark is None else mark.epoch)
            self._listener.lane_opened(lane.partition, lane.id, self._decoded(items[lane.partition]))
        if self._watch is None and self._lanes:
            self._watch = asyncio.create_task(self._watch_arrivals(), name=f"arrivals of {self.agent.name}")

    def has_states(self, partition: int) -> bool:
        """Whether the table holds a key of this partition; False before it is recovered."""
        return partition in self.partitions and any(True for _ in self._store().items([partition])[partition])

    async def submit(self, message: Any) -> None:
        """Takes a message of Faust's to its lane; waits while the lane's queue is full. One call at a time."""
        lane = self._lanes.get(message.partition)
        if lane is None:
            self._counts.stale += 1
            return
        self._is_waiting = True
        try:
            verdict = await lane.offer(message, self._consumer().mark_of(message.tp))
        finally:
            self._is_waiting = False
        match verdict:
            case Verdict.TAKE:
                pass
            case Verdict.STALE:
                self._counts.stale += 1
            case Verdict.REPEATED:
                self._counts.repeated += 1
            case Verdict.GAP:
                await self._fetch_again(lane)

    async def close(self) -> None:
        """Every lane ends its transaction under way; nothing is committed after this returns."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        lanes, self._lanes = self._lanes, {}
        running, self._running = self._running, {}
        await asyncio.gather(*(self._close_lane(lane, running[partition]) for partition, lane in lanes.items()))

    async def _close_lane(self, lane: Lane[S], running: "asyncio.Task[None]") -> None:
        await lane.close(running)
        self._counts.transactions += lane.transactions
        self._counts.records += lane.records
        self._counts.dead_letters += lane.dead_letters
        if lane.admission is not None:
            self._listener.lane_closed(lane.partition)

    async def _run(self, lane: Lane[S]) -> None:
        try:
            await lane.run()
        except Exception as error:
            logger.exception("a lane failed", action="lane_failed", agent=self.agent.name, partition=lane.partition)
            await self._fail(error)

    def _decoded(self, items: Iterable[tuple[bytes, bytes]]) -> Iterator[tuple[str, S]]:
        for key, value in items:
            name = key.decode()
            yield name, decoded_state(self.agent.decode, name, value)

    async def _watch_arrivals(self) -> None:
        try:
            while True:
                await asyncio.sleep(ARRIVAL_SECONDS_MAX / 2)
                for lane in list(self._lanes.values()):
                    await self._fetch_if_owed(lane)
        except Exception as error:
            # Without this watch a record that is lost on the way would be missed for ever.
            logger.exception("the watch over arrivals failed", action="watch_failed", agent=self.agent.name)
            await self._fail(error)

    async def _fetch_if_owed(self, lane: Lane[S]) -> None:
        mark = self._consumer().mark_of(TP(self.source_name, lane.partition))
        is_owed = lane.admission is not None and lane.admission.is_owed(mark)
        if is_owed and not self._is_waiting and lane.quiet_seconds() > ARRIVAL_SECONDS_MAX:
            await self._fetch_again(lane)

    async def _fetch_again(self, lane: Lane[S]) -> None:
        tp = TP(self.source_name, lane.partition)
        mark = self._consumer().mark_of(tp)
        if mark is not None and lane.admission is not None:
            self._counts.refetched += 1
            lane.stir()
            await self._consumer().reseek(tp, lane.admission.resume_from(mark))
