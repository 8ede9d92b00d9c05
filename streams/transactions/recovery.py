"""Faust's table recovery, with the lanes opened at its end; and the twin for Kafka, which proves that it is complete.

Faust restarts a recovery at every rebalance: read the changelogs of the partitions held into the tables, then seek the
sources to their committed offsets and let records flow.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from aiokafka.errors import IllegalStateError
from faust.tables import TableManager
from faust.tables.recovery import Recovery
from faust.types import TP
from mode import Service

from streams.transactions.admission import Admission, Verdict
from streams.transactions.provenance import Mark

logger = structlog.get_logger(__name__)


class LaneRecovery(Recovery):  # type: ignore[misc] # Faust is untyped
    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        # Before Faust's own, which seeks to the committed offsets: what is fetched after that seek is the lanes'.
        await self.app.open_lanes(generation_id)
        await super().on_recovery_completed(generation_id)

    def on_fetch_delivered(self) -> None:
        """Everything that the last fetch returned was handed to Faust's queues."""


class KafkaRecovery(LaneRecovery):
    """Faust's compares offsets with the end of the changelog, and waits for ever where that holds transaction markers
    or aborted records, which are never delivered; and a record that is lost on the way (Faust clears its queues when
    it resumes the flow) leaves a hole in the table. Here a changelog is read when its position has reached the end and
    every record numbered on the way has arrived; what has not arrived is fetched again.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_reading = False
        """From the seek to the end of a recovery; what arrives outside of it belongs to another one."""
        self._arrivals: dict[TP, Admission] = {}

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        self._is_reading = False
        super().on_partitions_revoked(revoked)

    async def on_rebalance(self, *args: Any, **kwargs: Any) -> None:
        self._is_reading = False
        await super().on_rebalance(*args, **kwargs)

    async def on_recovery_completed(self, generation_id: int = 0) -> None:
        self._is_reading = False
        await super().on_recovery_completed(generation_id)

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Mapping[TP, int], title: str) -> None:  # noqa: ARG002 - Faust's signature
        """`offsets`: the last one already in the table. Faust would seek to that one, below the start of a trimmed
        changelog.
        """
        before = {tp: consumer.mark_of(tp) for tp in tps}
        await consumer.seek_wait({tp: offsets[tp] + 1 for tp in tps})
        marks = {tp: mark for tp in tps if (mark := consumer.mark_of(tp)) is not before[tp]}
        if len(marks) < len(tps):
            raise IllegalStateError("a changelog has been revoked meanwhile")  # Faust waits for the next rebalance
        self._arrivals = {tp: Admission(floor=mark.epoch - 1) for tp, mark in marks.items()}
        # May still be set from the last recovery; this one would end at once, with a wrong table.
        self.signal_recovery_end.clear()
        self._is_reading = True

    @Service.task  # type: ignore[untyped-decorator] # Faust is untyped
    async def _slurp_changelogs(self) -> None:
        """Replaces Faust's."""
        queue = self.tables.changelog_queue
        while not self.should_stop:
            event = await queue.get()
            await self._take(event)
            self._end_if_read()

    async def _take(self, event: Any) -> None:
        message = event.message
        tp, arrivals = message.tp, self._arrivals.get(message.tp)
        if not self._is_reading or arrivals is None:
            return
        mark = self.app.consumer.mark_of(tp)
        match arrivals.judge(message.provenance, mark, message.offset):
            case Verdict.TAKE:
                self._apply(tp, event)
            case Verdict.GAP:
                await self._fetch_again(tp)
            case Verdict.STALE | Verdict.REPEATED:
                pass

    def _apply(self, tp: TP, event: Any) -> None:
        table = self.tp_to_table[tp]
        self.active_offsets[tp] = event.message.offset
        buffer = self.buffers[table]
        buffer.append(event)
        if len(buffer) >= table.recovery_buffer_size:
            table.apply_changelog_batch(buffer)
            buffer.clear()

    def on_fetch_delivered(self) -> None:
        if not (self._is_reading and self.in_recovery):
            return
        self._end_if_read()
        if self.in_recovery and self.tables.changelog_queue.empty():
            for tp in self._arrivals:
                if self._is_lost(tp):
                    self.add_future(self._fetch_again(tp))

    def _end_if_read(self) -> None:
        if not (self._is_reading and self.in_recovery):
            return
        unread = [tp for tp in self._arrivals if not self._is_read(tp)]
        if unread:
            return
        for tp in self._arrivals:
            self.active_offsets[tp] = max(self.active_offsets[tp], self.active_highwaters[tp])
        self._is_reading = False
        self.flush_buffers()
        self._set_recovery_ended()
        self.signal_recovery_end.set()

    def _is_read(self, tp: TP) -> bool:
        end = self.active_highwaters[tp]
        if self.active_offsets[tp] >= end:
            return True
        reading = self.app.consumer.reading_of(tp)
        if reading is None or reading.epoch <= self._arrivals[tp].floor:
            return False
        return reading.position > end and not self._is_owed(tp, reading)

    def _is_lost(self, tp: TP) -> bool:
        """To be asked when all that the last fetch returned has been delivered: what is owed then does not come."""
        reading, mark = self.app.consumer.reading_of(tp), self.app.consumer.mark_of(tp)
        return reading is not None and reading.epoch == mark.epoch and self._is_owed(tp, reading)

    def _is_owed(self, tp: TP, reading: Any) -> bool:
        return self._arrivals[tp].is_owed(Mark(reading.epoch, reading.next_sequence, sought=0))

    async def _fetch_again(self, tp: TP) -> None:
        consumer, arrivals = self.app.consumer, self._arrivals.get(tp)
        mark = consumer.mark_of(tp)
        if arrivals is not None and mark is not None:
            logger.info("a lost record is sought", action="changelog_refetched", topic=tp.topic, partition=tp.partition)
            await consumer.reseek(tp, arrivals.resume_from(mark))


class LaneTables(TableManager):  # type: ignore[misc] # Faust is untyped
    Recovery: type[LaneRecovery] = LaneRecovery

    _recovery: LaneRecovery | None

    @property
    def recovery(self) -> LaneRecovery:
        if self._recovery is None:
            self._recovery = self.Recovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery


class KafkaTables(LaneTables):
    Recovery = KafkaRecovery
