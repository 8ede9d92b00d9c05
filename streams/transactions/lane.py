"""One source partition for as long as this worker holds it: one bounded queue, one task, one transaction at a time.

The engine opens a lane at assignment and hands it messages once the table is recovered; the lane fills batches, has
them committed, and only then lets the states reach the table's store and the listener.
"""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any, Generic

from processors.record import S
from streams.transactions.admission import Admission, Verdict
from streams.transactions.agent import Agent
from streams.transactions.batch import BATCH_RECORDS_MAX, BatchBuilder, PartitionOf
from streams.transactions.listener import LaneListener
from streams.transactions.provenance import Mark
from streams.transactions.table_store import TableStore
from streams.transactions.transactor import Transactor

QUEUE_RECORDS_MAX = 2 * BATCH_RECORDS_MAX
"""The next batch gathers while one commits; beyond that the agent waits and Faust stops fetching the partition."""

BATCH_SECONDS_MAX = 0.1
"""A transaction under load; what is in it becomes visible no later than this (plus its commit)."""

FILL_SECONDS = 0.02
"""How long a busy lane waits for one more record, and any lane for one that was fetched and is on its way. Small
transactions back to back take 10 to 25 ms each, and records reach a lane by turns with those of others: with 4 ms,
batches of 20 were measured and less than half the throughput. And a step without what came with it is made twice: an
intent for half of what a customer wants is stale once the other half is there.
"""

BUSY_RECORDS_MIN = 4
BUSY_SECONDS = 0.02
"""A lane is busy when its last batch held that many records and ended no longer ago than this. An idle one waits for
nothing but what is on its way."""

STEP_SECONDS_MAX = 0.005
"""Steps run for this long before other tasks (the edge, other lanes) get their turn."""

CLOSE_SECONDS_MAX = 8.0
"""A commit under way may end; after this it is given up, and aborted by whoever takes the partition over."""


class Lane(Generic[S]):
    def __init__(
        self,
        agent: Agent[S],
        partition: int,
        generation: int,
        *,
        transactor: Transactor,
        store: TableStore,
        partition_of: PartitionOf,
        listener: LaneListener[S],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.partition = partition
        self.generation = generation
        self.id = f"{agent.name}-{partition}-{uuid.uuid4().hex}"
        """Unique for each hold of the partition, in any process."""
        self.admission: Admission | None = None
        """None until the table is recovered."""
        self.transactions = self.records = self.dead_letters = 0
        self._agent = agent
        self._transactor = transactor
        self._store = store
        self._partition_of = partition_of
        self._listener = listener
        self._clock = clock
        self._queue: asyncio.Queue[Any] = asyncio.Queue(QUEUE_RECORDS_MAX)
        self._is_closing = False
        self._quiet_since = clock()
        self._busy_until = 0.0
        self._mark: Mark | None = None
        """How far the partition was fetched: the consumer moves it on, and replaces it with the next seek."""

    async def offer(self, message: Any, mark: Mark | None) -> Verdict:
        """Queues the message if it is the next one; waits while the queue is full."""
        if self.admission is None or self._is_closing:
            return Verdict.STALE
        verdict = self.admission.judge(message.provenance, mark, message.offset)
        if verdict is Verdict.TAKE:
            self.stir()
            self._mark = mark
            await self._queue.put(message)
        return verdict

    def open(self, floor: int) -> None:
        """The table is recovered: records fetched in epochs after `floor` are this lane's."""
        self.admission = Admission(floor)
        self.stir()

    def stir(self) -> None:
        """Something was done to make records arrive: they are owed from now on."""
        self._quiet_since = self._clock()

    def quiet_seconds(self) -> float:
        """For how long nothing has arrived; 0 while the queue holds something."""
        return 0.0 if self._queue.qsize() else self._clock() - self._quiet_since

    async def run(self) -> None:
        """Until closed. Raises what a commit, the store or the listener raised; then the worker must stop."""
        while not self._is_closing and (first := await self._queue.get()) is not None:
            builder = BatchBuilder(self._agent, self.partition, self._read, self._partition_of)
            await self._fill(builder, first)
            await self._commit(builder)
            self._busy_until = self._clock() + BUSY_SECONDS if builder.records >= BUSY_RECORDS_MIN else 0.0

    async def close(self, running: "asyncio.Task[None]") -> None:
        """Ends after the transaction under way; what is queued beyond it comes again."""
        self._is_closing = True
        while not self._queue.empty():
            self._queue.get_nowait()  # also lets go of an agent that waits for room
        self._queue.put_nowait(None)  # wakes the task where it waits for a message
        _, unfinished = await asyncio.wait({running}, timeout=CLOSE_SECONDS_MAX)
        for task in unfinished:
            task.cancel()
            await asyncio.wait({task})
        await self._transactor.close()

    async def _next(self, seconds: float | None = None) -> Any | None:
        """The next message; None when the lane closes or `seconds` have passed."""
        if not self._queue.empty():
            return self._queue.get_nowait()
        try:
            return await asyncio.wait_for(self._queue.get(), seconds)
        except TimeoutError:
            return None

    async def _fill(self, builder: BatchBuilder[S], first: Any) -> None:
        is_busy = self._clock() < self._busy_until
        message, now = first, self._clock()
        commit_at, yield_at = now + BATCH_SECONDS_MAX, now + STEP_SECONDS_MAX
        while message is not None:
            builder.take(message)
            now = self._clock()
            if builder.is_full or now >= commit_at or self._is_closing:
                return
            if now >= yield_at:
                await asyncio.sleep(0)
                yield_at = self._clock() + STEP_SECONDS_MAX
            if self._queue.empty() and not is_busy and not self._is_owed():
                return
            message = await self._next(FILL_SECONDS)

    def _is_owed(self) -> bool:
        """Whether more was fetched than has arrived: it is on its way through Faust's queues."""
        return self.admission is not None and self.admission.is_owed(self._mark)

    async def _commit(self, builder: BatchBuilder[S]) -> None:
        changelog_offset = await self._transactor.commit(builder.batch())
        states = builder.states
        if states:
            items = ((key.encode(), written.encoded) for key, written in states.items())
            self._store.write(self.partition, items, changelog_offset)
        self.transactions += 1
        self.records += builder.records
        self.dead_letters += builder.dead_letters
        self._listener.committed(self.partition, [(key, written.state) for key, written in states.items()])

    def _read(self, key: bytes) -> bytes | None:
        return self._store.get(self.partition, key)
