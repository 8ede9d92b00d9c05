"""Faust's Kafka consumer, made exact: every record is numbered in the step in which the position moves.

Faust's consumer lives in a thread of its own; records cross to the main loop through queues that Faust clears around a
rebalance. NumberingThread numbers what it fetches (provenance.py); KafkaConsumer carries the numbers on the messages;
the engine and the recovery drop or fetch again whatever does not come in sequence. It reads committed records only.
"""

# ruff: noqa: SLF001, ASYNC109 - this file lives in the insides of Faust and aiokafka, whose versions are pinned

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from streams.transactions.offset_guard import refuse_beyond_end, refuse_forgotten
from streams.transactions.provenance import Mark, Provenance

FETCH_WAIT_MS = 100
"""How long the broker holds a fetch that finds nothing. Records are answered at once; but whatever else is asked over
the same connection waits behind it, and every takeover asks four times (Faust has 1500).
"""

RECOVERY_FETCH_SECONDS = 0.1
"""How long a fetch waits for records during recovery: a changelog may end in markers alone, which are no records, and
only an empty-handed return says that they are read.
"""


class Numbered(NamedTuple):
    """A fetched record (aiokafka's ConsumerRecord) with its number."""

    record: Any
    provenance: Provenance


class Reading(NamedTuple):
    """How far a partition had been read at the end of a fetch: everything below `position` has been numbered since the
    seek of `epoch`, `next_sequence` records in all. Made in one step, so the three agree.
    """

    epoch: int
    next_sequence: int
    position: int


class NumberingThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # Faust is untyped
    """Runs in the consumer's thread; `marks` and `readings` are changed only there and replaced or read in one step."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.marks: dict[TP, Mark] = {}
        self.readings: dict[TP, Reading] = {}
        self._epoch = 0

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust asks for it only with its own exactly-once. With it, the end offsets that recovery reads are those of
        # the last committed record.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Mapping[TP, list[Any]]:
        if self.app.in_recovery:
            timeout = RECOVERY_FETCH_SECONDS
        fetched = await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)
        # No await from here on: position, numbers and readings move together.
        if not self.consumer.flow_active:
            self._undo(fetched)  # a rebalance began while we waited, and Faust would drop them
            return {}
        numbered = {tp: self._numbered(tp, records) for tp, records in fetched.items()}
        self._note_readings()
        return numbered

    def _undo(self, fetched: Mapping[TP, list[Any]]) -> None:
        for tp, records in fetched.items():
            if records and self._state(tp) is not None:
                self._consumer._fetcher.seek_to(tp, records[0].offset)

    def _numbered(self, tp: TP, records: list[Any]) -> list[Any]:
        mark = self.marks.get(tp)
        if mark is None:
            return records
        start = mark.next_sequence
        mark.next_sequence += len(records)
        return [Numbered(record, Provenance(mark.epoch, start + index)) for index, record in enumerate(records)]

    def _note_readings(self) -> None:
        for tp, mark in self.marks.items():
            state = self._state(tp)
            if state is not None and state.has_valid_position:
                self.readings[tp] = Reading(mark.epoch, mark.next_sequence, state.position)

    def _state(self, tp: TP) -> Any | None:
        """The client's state of an assigned partition."""
        subscription = self._consumer._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return None
        return subscription.assignment.state_value(TopicPartition(*tp))

    def seek_and_mark(self, offsets: Mapping[TP, int]) -> None:
        """Seeks, and begins a new epoch, in one step."""
        for tp, offset in offsets.items():
            if self._state(tp) is not None:
                self._consumer._fetcher.seek_to(TopicPartition(*tp), offset)
                self._epoch += 1
                self.marks[TP(*tp)] = Mark(self._epoch, 0, offset)

    async def _seek_wait(self, consumer: Any, partitions: Mapping[TP, int]) -> None:  # noqa: ARG002 - Faust's signature
        self.seek_and_mark(partitions)
        for tp in partitions:
            self.consumer._read_offset[tp] = None

    async def reseek(self, tp: TP, offset: int) -> None:
        await self.call_thread(self._reseek, tp, offset)

    async def _reseek(self, tp: TP, offset: int) -> None:
        self.seek_and_mark({tp: offset})

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        """Source partitions only: changelogs are sought by the recovery. aiokafka's own skips offsets None and 0."""
        offsets: Mapping[TP, int | None] = await self.call_thread(self._seek_to_committed)
        return offsets

    async def _seek_to_committed(self) -> Mapping[TP, int | None]:
        while True:
            holds = self.app.takeovers
            sources = [TopicPartition(*tp) for tp in self._consumer.assignment() if tp.topic in self.app.source_names]
            committed = dict(zip(sources, await asyncio.gather(*map(self._consumer.committed, sources)), strict=True))
            starts = await self._starts(committed)
            if holds == self.app.takeovers:
                break  # else a former owner was fenced meanwhile, after whose last commit the offsets must be read
        self.seek_and_mark({TP(*tp): start for tp, start in starts.items()})
        return {TP(*tp): offset for tp, offset in committed.items()}

    async def _starts(self, committed: Mapping[TopicPartition, int | None]) -> dict[TopicPartition, int]:
        """Raises LogUnusable where an offset lies beyond the end of its topic."""
        if not committed:
            return {}
        firsts, ends = await asyncio.gather(
            self._consumer.beginning_offsets(list(committed)), self._consumer.end_offsets(list(committed))
        )
        for tp, offset in committed.items():
            refuse_beyond_end(TP(*tp), offset, ends[tp])
        return {tp: firsts[tp] if offset is None else offset for tp, offset in committed.items()}


class KafkaConsumer(driver.Consumer):  # type: ignore[misc] # Faust is untyped
    """A NumberingConsumer."""

    _thread: NumberingThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._partitions_resumed = asyncio.Event()

    def _new_consumer_thread(self) -> NumberingThread:
        return NumberingThread(self, loop=self.loop, beacon=self.beacon)

    def mark_of(self, tp: TP) -> Mark | None:
        return self._thread.marks.get(tp)

    def reading_of(self, tp: TP) -> Reading | None:
        return self._thread.readings.get(tp)

    async def reseek(self, tp: TP, offset: int) -> None:
        await self._thread.reseek(tp, offset)

    async def seek_to_committed(self) -> Mapping[TP, int | None]:
        committed = await self._thread.seek_to_committed()
        for tp, offset in committed.items():
            if offset is None:
                refuse_forgotten(tp, offset, has_states=self.app.has_states(tp))
        return committed

    def _to_message(self, tp: TP, record: Any) -> Any:
        if not isinstance(record, Numbered):
            message = super()._to_message(tp, record)
            message.provenance = None
            return message
        message = super()._to_message(tp, record.record)
        message.provenance = record.provenance
        return message

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        super().resume_partitions(tps)
        self._partitions_resumed.set()

    async def _wait_next_records(self, timeout: float) -> Any:
        # Faust sleeps for a second when nothing may be fetched, as at the end of a recovery: wait for the change.
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        if not self._get_active_partitions():
            self._partitions_resumed.clear()
            await self.wait(self._partitions_resumed, timeout=timeout)
        return await super()._wait_next_records(timeout)

    async def getmany(self, timeout: float) -> AsyncIterator[tuple[TP, Any]]:
        async for tp, message in super().getmany(timeout):
            self._read_offset[tp] = None  # the numbers decide what is dropped, not Faust's idea of the position
            yield tp, message
        self.app.tables.recovery.on_fetch_delivered()


class KafkaTransport(driver.Transport):  # type: ignore[misc] # Faust is untyped
    Consumer = KafkaConsumer
