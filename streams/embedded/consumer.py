"""How Faust reads the embedded log: positions, numbering, and fetching that wakes at once when something is appended.

Faust calls it through transport.py. There is one member in the group, so subscribing assigns every partition of the
topics to this process. Records of source topics are numbered as streams/transactions/provenance.py says, in the same
step in which their partition's position moves.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from typing import Any, NamedTuple

import faust.transport.consumer
from faust.assignor.client_assignment import ClientAssignment
from faust.types import TP, ConsumerMessage, Message
from mode import Service

from streams import topics
from streams.embedded.log_file import LogFile
from streams.embedded.partition import Partition
from streams.embedded.producer import LOG_APPEND_TIME
from streams.embedded.stored import OffsetCommit, StoredRecord
from streams.errors import LogUnusable
from streams.transactions.provenance import Mark, Provenance

FETCH_RECORDS_MAX = 500
"""Of all partitions together, so that one turn of Faust's fetcher stays short."""
FETCH_RECORDS_PER_PARTITION_MAX = 100
"""So that a partition with a backlog leaves room for the others."""


class Numbered(NamedTuple):
    """A record on its way to Faust. `provenance` None: of a changelog."""

    stored: StoredRecord
    provenance: Provenance | None


class Consumer(faust.transport.consumer.Consumer):  # type: ignore[misc] # Faust is untyped
    """A `NumberingConsumer` (provenance.py). Everything happens in the event loop."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partitions: dict[TP, Partition] = {}
        self._positions: dict[TP, int] = {}
        self._marks: dict[TP, Mark] = {}
        self._epochs = 0
        self._behind: dict[TP, None] = {}
        """Assigned partitions whose end may lie beyond the position; first in line is fetched first."""
        self._stirred = asyncio.Event()
        """Something may be there to fetch: an append, a seek, a partition resumed."""
        self._listeners: dict[TP, Any] = {}
        self._rebalance: asyncio.Task[None] | None = None

    @property
    def _file(self) -> LogFile:
        file: LogFile = self.app.event_log.file
        return file

    # --- assignment -------------------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Assigns in a task of its own: Faust's handling of an assignment waits for this call to have returned."""
        if self._rebalance is not None:
            await asyncio.wait([self._rebalance])
        self._rebalance = self.add_future(self._assign(frozenset(topics)))

    async def _assign(self, topics: frozenset[str]) -> None:
        app: Any = self.app
        app.on_rebalance_start()
        await self.on_partitions_revoked(self.assignment())
        self._give_up_all()
        for topic in sorted(topics):
            self._take(topic)
        actives = {topic: [partition.number for partition in self._file.partitions(topic)] for topic in topics}
        app.assignor._assignment = ClientAssignment(actives=actives, standbys={})  # noqa: SLF001 - what Kafka's group protocol would have set
        app.assignor._active_tps = self.assignment()  # noqa: SLF001 - likewise
        app.assignor._standby_tps = set()  # noqa: SLF001 - likewise
        app.consumer_generation_id += 1
        await self.on_partitions_assigned(self.assignment(), app.consumer_generation_id)

    def _take(self, topic: str) -> None:
        partitions = self._file.partitions(topic)
        if not partitions:
            raise LogUnusable(f"The log {self._file.path} has no topic {topic}, which an agent reads. Create it first.")
        for partition in partitions:
            tp = TP(topic, partition.number)
            self._partitions[tp] = partition
            self._positions[tp] = 0  # a source partition is read from where it is sought, and not before
            self._listeners[tp] = partial(self._stir, tp)
            partition.listeners.add(self._listeners[tp])
            self._stir(tp)

    def _give_up_all(self) -> None:
        for tp, listener in self._listeners.items():
            self._partitions[tp].listeners.discard(listener)
        for held in (self._listeners, self._partitions, self._positions, self._behind, self._marks):
            held.clear()

    def assignment(self) -> set[TP]:
        return set(self._partitions)

    async def on_stop(self) -> None:
        await super().on_stop()
        self._give_up_all()

    @Service.task  # type: ignore[untyped-decorator] # Faust is untyped
    async def _end_with_the_file(self) -> None:
        """Where no record comes any more, no lane would notice; a supervisor can only restart what ends."""
        raise await self._file.until_unusable()

    # --- fetching ---------------------------------------------------------------------------------------------

    async def _wait_next_records(self, timeout: float) -> Any:  # noqa: ASYNC109 - Faust's signature
        """While every partition is paused or its stream's buffer full, Faust's own would sleep for a second."""
        if self.flow_active and not self._get_active_partitions():
            await self._wait_until_stirred(timeout)
        return await super()._wait_next_records(timeout)

    async def _getmany(
        self,
        active_partitions: set[TP] | None,
        timeout: float,  # noqa: ASYNC109 - Faust's signature
    ) -> Mapping[TP, list[Numbered]]:
        active = self.assignment() if active_partitions is None else active_partitions
        if not self._due(active):
            await self._wait_until_stirred(timeout)
        self._stirred.clear()
        fetched: dict[TP, list[Numbered]] = {}
        room = FETCH_RECORDS_MAX
        for tp in self._due(active):
            records = await self._advance(tp, min(room, FETCH_RECORDS_PER_PARTITION_MAX))
            if records:
                fetched[tp] = records
                room -= len(records)
                if room <= 0:
                    break
        return fetched

    def _due(self, active: set[TP]) -> list[TP]:
        """Faust resumes the source partitions before it seeks them: what is not sought yet has to wait."""
        return [tp for tp in self._behind if tp in active and (tp in self._marks or self._is_changelog_tp(tp))]

    async def _advance(self, tp: TP, records_max: int) -> list[Numbered]:
        partition, position, mark = self._partitions[tp], self._positions[tp], self._marks.get(tp)
        end = partition.end
        stored = await self._file.fetch(partition, position, end, records_max)
        if not self.flow_active or self._positions.get(tp) != position or self._marks.get(tp) is not mark:
            return []  # sought or revoked while the disk was read: fetched again from where it stands now
        position = self._positions[tp] = stored[-1].offset + 1 if stored else end
        self._behind.pop(tp, None)
        if position < partition.end:
            self._behind[tp] = None  # at the end of the line
        if mark is None:
            return [Numbered(record, None) for record in stored]
        first, mark.next_sequence = mark.next_sequence, mark.next_sequence + len(stored)
        return [Numbered(record, Provenance(mark.epoch, number)) for number, record in enumerate(stored, first)]

    def _to_message(self, tp: TP, record: Numbered) -> ConsumerMessage:
        stored = record.stored
        headers = []
        if stored.source is not None:
            headers.append(("source", stored.source.encode()))
        if stored.received_ms is not None:
            headers.append(("received_ms", str(stored.received_ms).encode()))
        message = ConsumerMessage(
            tp.topic,
            tp.partition,
            stored.offset,
            stored.timestamp_ms / 1000,
            LOG_APPEND_TIME,
            headers,
            stored.key,
            stored.value,
            None,
            tp=tp,
            generation_id=self.app.consumer_generation_id,
        )
        message.provenance = record.provenance
        return message

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Message]]:  # noqa: ASYNC109 - likewise
        """Where our numbering decides what is taken, Faust must not drop by offset what a reseek brings again."""
        acks_enabled_for = self.app.topics.acks_enabled_for
        async for tp, message in super().getmany(timeout):
            if message.provenance is not None and not acks_enabled_for(tp.topic):
                self._read_offset[tp] = None
            yield tp, message

    def _stir(self, tp: TP) -> None:
        self._behind[tp] = None
        self._stirred.set()

    async def _wait_until_stirred(self, seconds_max: float) -> None:
        try:
            async with asyncio.timeout(seconds_max):
                await self._stirred.wait()
        except TimeoutError:
            return

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        super().resume_partitions(tps)
        self._stirred.set()

    def on_buffer_drop(self, tp: TP) -> None:
        super().on_buffer_drop(tp)
        self._stirred.set()

    def stop_flow(self) -> None:
        super().stop_flow()
        self._stirred.set()

    # --- positions --------------------------------------------------------------------------------------------

    def mark_of(self, tp: TP) -> Mark | None:
        return self._marks.get(tp)

    async def reseek(self, tp: TP, offset: int) -> None:
        self._move(tp, offset)

    def _move(self, tp: TP, offset: int) -> None:
        """Position and new epoch in one step."""
        self._positions[tp] = offset
        if not self._is_changelog_tp(tp):
            self._epochs += 1
            self._marks[tp] = Mark(self._epochs, 0, offset)
        self._stir(tp)

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        committed = {tp: self._committed(tp) for tp in self.assignment()}
        for tp, offset in committed.items():
            if not self._is_changelog_tp(tp):
                self._move(tp, await self._file.first_offset(self._partitions[tp]) if offset is None else offset)
            elif offset is not None:
                self._move(tp, offset)
        return committed

    async def _seek(self, partition: TP, offset: int) -> None:
        self._move(partition, offset)

    async def seek_wait(self, partitions: Mapping[TP, int]) -> None:
        for tp, offset in partitions.items():
            self._move(tp, offset)
            self._read_offset[tp] = offset or None  # as Kafka's does: what comes again is delivered again

    async def position(self, tp: TP) -> int | None:
        return self._positions.get(tp)

    def highwater(self, tp: TP) -> int:
        return self._partitions[tp].end

    async def highwaters(self, *partitions: TP) -> Mapping[TP, int]:
        return {tp: self.highwater(tp) for tp in partitions}

    async def earliest_offsets(self, *partitions: TP) -> Mapping[TP, int]:
        return {tp: await self._file.first_offset(self._partitions[tp]) for tp in partitions}

    def _committed(self, tp: TP) -> int | None:
        return self._file.committed(self._group, self._partitions[tp])

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        commits = [OffsetCommit(self._group, self._partitions[tp].id, offset) for tp, offset in offsets.items()]
        await self._file.submit((), commits, patient=True).future
        return True

    @property
    def _group(self) -> str:
        group: str = self.app.conf.id
        return group

    # --- topics -----------------------------------------------------------------------------------------------

    async def create_topic(self, *args: Any, **kwargs: Any) -> None:
        await self.app.producer.create_topic(*args, **kwargs)

    def topic_partitions(self, topic: str) -> int | None:
        return len(self._file.partitions(topic)) or None

    def key_partition(self, topic: str, key: bytes | None, partition: int | None = None) -> int | None:
        count = self.topic_partitions(topic)
        if count is None or partition is not None:
            return partition
        return topics.partition_of(key or b"", count)

    def _new_topicpartition(self, topic: str, partition: int) -> TP:
        return TP(topic, partition)
