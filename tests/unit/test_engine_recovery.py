"""A table is recovered when everything of its changelog has been read, and not before; nor later."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from faust.types import TP

from streams.transactions.kafka_consumer import Reading
from streams.transactions.provenance import Mark, Provenance
from streams.transactions.recovery import KafkaRecovery

CHANGELOG = TP("millrace-customers-changelog", 0)


@dataclass
class ChangelogConsumer:
    """Numbers what is fetched, as the consumer's thread does."""

    marks: dict[TP, Mark] = field(default_factory=dict)
    readings: dict[TP, Reading] = field(default_factory=dict)
    seeks: list[int] = field(default_factory=list)
    seek_seen: asyncio.Event = field(default_factory=asyncio.Event)

    def mark_of(self, tp: TP) -> Mark | None:
        return self.marks.get(tp)

    def reading_of(self, tp: TP) -> Reading | None:
        return self.readings.get(tp)

    async def seek_wait(self, offsets: dict[TP, int]) -> None:
        for tp, offset in offsets.items():
            await self.reseek(tp, offset)

    async def reseek(self, tp: TP, offset: int) -> None:
        epoch = self.marks[tp].epoch + 1 if tp in self.marks else 1
        self.marks[tp] = Mark(epoch, 0, offset)
        self.seeks.append(offset)
        self.seek_seen.set()

    def fetch(self, *offsets: int, position: int) -> list[Any]:
        mark = self.marks[CHANGELOG]
        events = []
        for offset in offsets:
            provenance = Provenance(mark.epoch, mark.next_sequence)
            events.append(SimpleNamespace(message=SimpleNamespace(tp=CHANGELOG, offset=offset, provenance=provenance)))
            mark.next_sequence += 1
        self.readings[CHANGELOG] = Reading(mark.epoch, mark.next_sequence, position)
        return events


class AppliedTable:
    """What was applied of a changelog, by offset."""

    recovery_buffer_size = 2

    def __init__(self) -> None:
        self.applied: list[int] = []

    def apply_changelog_batch(self, events: list[Any]) -> None:
        self.applied += [event.message.offset for event in events]


class Recovering:
    """A recovery of one changelog whose last offset is `end`, begun."""

    def __init__(self) -> None:
        self.consumer = ChangelogConsumer()
        self.table = AppliedTable()
        self.queue: asyncio.Queue[Any] = asyncio.Queue()
        app = SimpleNamespace(
            conf=SimpleNamespace(stream_recovery_delay=0), consumer=self.consumer, in_recovery=False, tracer=None
        )
        self.recovery = KafkaRecovery(app, SimpleNamespace(changelog_queue=self.queue, standbys_ready=False))

    async def begin(self, end: int, recovered: int = -1) -> None:
        recovery = self.recovery
        recovery.tp_to_table[CHANGELOG] = self.table
        recovery.active_tps.add(CHANGELOG)
        recovery.active_highwaters[CHANGELOG] = end
        recovery.active_offsets[CHANGELOG] = recovered
        recovery.signal_recovery_end.set()  # left over from the last recovery
        await recovery._seek_offsets(self.consumer, {CHANGELOG}, recovery.active_offsets, "active")
        recovery._set_recovery_started()
        self.slurping = asyncio.create_task(KafkaRecovery._slurp_changelogs.fun(recovery))

    async def deliver(self, events: list[Any]) -> None:
        """What a fetch returned reaches the queue; then the fetch is over."""
        for event in events:
            self.queue.put_nowait(event)
        while not self.queue.empty():
            await asyncio.sleep(0)
        self.recovery.on_fetch_delivered()
        await asyncio.sleep(0)

    @property
    def is_over(self) -> bool:
        return self.recovery.signal_recovery_end.is_set() and not self.recovery.in_recovery

    async def end(self) -> None:
        self.slurping.cancel()
        await asyncio.gather(self.slurping, return_exceptions=True)
        await self.recovery._default_stop_futures()


@pytest.fixture
async def recovering() -> AsyncIterator[Recovering]:
    recovering = Recovering()
    yield recovering
    await recovering.end()


async def test_a_recovery_begins_after_what_the_store_holds_and_ends_at_the_last_record(recovering: Recovering):
    await recovering.begin(end=12, recovered=9)
    assert recovering.consumer.seeks == [10]
    await recovering.deliver(recovering.consumer.fetch(10, 11, position=12))
    assert not recovering.is_over
    await recovering.deliver(recovering.consumer.fetch(12, position=13))
    assert recovering.is_over
    assert recovering.table.applied == [10, 11, 12]


async def test_a_changelog_that_ends_in_markers_is_read_when_the_position_has_passed_them(recovering: Recovering):
    await recovering.begin(end=5)
    await recovering.deliver(recovering.consumer.fetch(0, 1, position=2))
    assert not recovering.is_over
    await recovering.deliver(recovering.consumer.fetch(position=6))
    assert recovering.is_over
    assert recovering.table.applied == [0, 1]


async def test_a_changelog_of_nothing_but_markers_is_read_too(recovering: Recovering):
    await recovering.begin(end=3)
    await recovering.deliver(recovering.consumer.fetch(position=4))
    assert recovering.is_over
    assert recovering.table.applied == []


async def test_a_changelog_record_that_is_lost_on_the_way_is_fetched_again(recovering: Recovering):
    await recovering.begin(end=2)
    first, _lost, third = recovering.consumer.fetch(0, 1, 2, position=3)
    recovering.consumer.seek_seen.clear()
    await recovering.deliver([first, third])
    await asyncio.wait_for(recovering.consumer.seek_seen.wait(), 5)
    assert recovering.consumer.seeks == [0, 1]
    assert not recovering.is_over
    await recovering.deliver(recovering.consumer.fetch(1, 2, position=3))
    assert recovering.is_over
    assert recovering.table.applied == [0, 1, 2]


async def test_a_lost_last_record_is_missed_although_no_later_one_shows_it(recovering: Recovering):
    await recovering.begin(end=2)
    first, _lost = recovering.consumer.fetch(0, 1, position=3)  # offset 2 is a marker
    recovering.consumer.seek_seen.clear()
    await recovering.deliver([first])
    await asyncio.wait_for(recovering.consumer.seek_seen.wait(), 5)
    assert recovering.consumer.seeks == [0, 1]
    assert not recovering.is_over
    await recovering.deliver(recovering.consumer.fetch(1, position=3))
    assert recovering.is_over
    assert recovering.table.applied == [0, 1]


async def test_a_record_of_an_earlier_seek_is_not_taken(recovering: Recovering):
    await recovering.begin(end=1)
    late = recovering.consumer.fetch(0, 1, position=2)
    await recovering.consumer.reseek(CHANGELOG, 0)
    await recovering.deliver(late)
    assert not recovering.is_over
    await recovering.deliver(recovering.consumer.fetch(0, 1, position=2))
    assert recovering.is_over
    assert recovering.table.applied == [0, 1]


async def test_after_a_revocation_nothing_is_taken_until_the_next_recovery_begins(recovering: Recovering):
    await recovering.begin(end=1)
    events = recovering.consumer.fetch(0, 1, position=2)
    recovering.recovery.on_partitions_revoked({CHANGELOG})
    await recovering.deliver(events)
    assert not recovering.is_over
    assert recovering.table.applied == []
