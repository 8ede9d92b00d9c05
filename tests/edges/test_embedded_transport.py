"""Faust on the embedded log, without our engine: agents, tables, recovery, committed offsets, numbering."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import faust
import pytest
from faust.types import TP

from processors.record import Source
from streams.embedded.log import EmbeddedLog
from streams.embedded.stored import Append
from streams.errors import LogUnusable
from streams.settings import Settings
from streams.topics import TopicSpec

SECONDS_MAX = 20.0
PARTITIONS = 4
SOURCE = "orders"


class CountingApp(faust.App):
    """An app of one agent, which counts the records of each key in a table with a changelog."""

    event_log: EmbeddedLog

    def __init__(self, log: EmbeddedLog, folder: Path, *, acks: bool) -> None:
        super().__init__(
            "counting",
            broker="sqlite://",
            store="memory://",
            datadir=folder / "faust",
            web_enabled=False,
            topic_disable_leader=True,
            topic_partitions=PARTITIONS,
            table_standby_replicas=0,
            stream_wait_empty=False,
            broker_commit_interval=0.2,
        )
        self.event_log = log
        self.seen: list[Any] = []
        self.stopped_by: BaseException | None = None
        source = self.topic(SOURCE, key_serializer="raw", value_serializer="raw", acks=acks)
        self.counts = self.Table("counts", partitions=PARTITIONS)

        @self.agent(source, name="counter")
        async def counter(stream: Any) -> None:
            async for event in stream.events() if acks else stream.noack().events():
                self.counts[event.key.decode()] = (self.counts.get(event.key.decode()) or 0) + 1
                self.seen.append(event.message)


async def test_an_agent_gets_each_record_once_and_in_the_order_of_its_partition(log: EmbeddedLog, tmp_path: Path):
    async with running(CountingApp(log, tmp_path, acks=False)) as app:
        await append(log, 300)
        await until(lambda: len(app.seen) >= 300)
    for partition in range(PARTITIONS):
        offsets = [message.offset for message in app.seen if message.partition == partition]
        assert offsets == list(range(len(offsets)))
    assert len(app.seen) == 300
    assert app.seen[0].headers == [("source", b"webhook"), ("received_ms", b"7")]


async def test_records_that_were_there_before_the_start_are_read_from_the_disk(settings: Settings, tmp_path: Path):
    log = await opened(settings)
    await append(log, 700)
    await log.stop()
    log = await opened(settings)
    async with running(CountingApp(log, tmp_path, acks=False)) as app:
        await until(lambda: len(app.seen) >= 700)
    await log.stop()
    assert len(app.seen) == 700


async def test_a_table_is_recovered_from_its_changelog_and_the_committed_offset_is_kept(
    log: EmbeddedLog, tmp_path: Path
):
    source = log.file.partitions(SOURCE)
    async with running(CountingApp(log, tmp_path, acks=True)) as app:
        await append(log, 100, keys=10)
        await until(lambda: sum(app.counts.values()) == 100)
        await until(lambda: all((log.file.committed("counting", each) or 0) == each.end for each in source))
    assert sum(log.file.committed("counting", each) or 0 for each in source) == 100
    async with running(CountingApp(log, tmp_path, acks=True)) as again:
        assert sum(again.counts.values()) == 100, "recovered"
        await append(log, 50, keys=10)
        await until(lambda: len(again.seen) >= 50)
        await until(lambda: sum(again.counts.values()) == 150)
    assert len(again.seen) == 50, "what was committed does not come again"


async def test_an_append_wakes_the_fetcher_instead_of_waiting_for_its_timeout(log: EmbeddedLog, tmp_path: Path):
    loop = asyncio.get_running_loop()
    slowest = 0.0
    async with running(CountingApp(log, tmp_path, acks=False)) as app:
        for count in range(1, 21):
            began = loop.time()
            await append(log, 1)
            await until(lambda count=count: len(app.seen) >= count)
            slowest = max(slowest, loop.time() - began)
    assert slowest < 0.5, "Faust's fetcher waits up to a second for records"


async def test_a_partition_with_a_backlog_does_not_keep_others_waiting(log: EmbeddedLog, tmp_path: Path):
    crowded, quiet = log.file.partitions(SOURCE)[:2]
    await log.file.submit([order(crowded.id, b"k%d" % number) for number in range(2000)]).future
    await log.file.submit([order(quiet.id, b"quiet")]).future
    async with running(CountingApp(log, tmp_path, acks=False)) as app:
        await until(lambda: len(app.seen) >= 2001)
    place = next(place for place, message in enumerate(app.seen) if message.key == b"quiet")
    assert place < 300


async def test_source_records_are_numbered_within_the_epoch_of_their_seek(log: EmbeddedLog, tmp_path: Path):
    async with running(CountingApp(log, tmp_path, acks=False)) as app:
        await append(log, 40, keys=40)
        await until(lambda: len(app.seen) >= 40)
        tp = TP(SOURCE, app.seen[0].partition)
        before = app.consumer.mark_of(tp)
        count = log.file.partitions(SOURCE)[tp.partition].end
        await app.consumer.reseek(tp, 1)
        await until(lambda: len(app.seen) >= 40 + count - 1)
        after = app.consumer.mark_of(tp)
    again = [message for message in app.seen[40:] if message.tp == tp]
    assert [message.offset for message in again] == list(range(1, count))
    assert [message.provenance.sequence for message in again] == list(range(count - 1))
    assert {message.provenance.epoch for message in again} == {after.epoch}
    assert (after.sought, after.next_sequence) == (1, count - 1)
    assert after.epoch > before.epoch


async def test_a_deleted_key_stays_deleted_after_recovery(log: EmbeddedLog, tmp_path: Path):
    async with running(CountingApp(log, tmp_path, acks=True)) as app:
        await append(log, 20, keys=2)
        await until(lambda: sum(app.counts.values()) == 20)
    changelog = log.file.partitions("counting-counts-changelog")
    rows = [(each, record) for each in changelog for record in await log.file.fetch(each, 0)]
    partition, newest = max(rows, key=lambda row: row[1].offset)
    await log.file.submit([Append(partition.id, newest.key, None, None, None)]).future
    async with running(CountingApp(log, tmp_path, acks=True)) as again:
        assert sum(again.counts.values()) == 10


async def test_an_agent_on_a_topic_that_does_not_exist_stops_the_app_and_says_so(settings: Settings, tmp_path: Path):
    log = EmbeddedLog(settings)
    await log.start()
    app = CountingApp(log, tmp_path, acks=False)
    with pytest.raises(AssertionError, match="has no topic orders"):
        async with running(app):
            pass
    await log.stop()


async def test_an_idle_app_ends_when_its_file_fails_for_good_so_that_it_is_restarted(log: EmbeddedLog, tmp_path: Path):
    async with running(CountingApp(log, tmp_path, acks=False)) as app:
        with pytest.raises(LogUnusable, match="malformed"):
            await log.file._writer.call(meets_a_damaged_page)
        await until(lambda: app.crashed)
        assert isinstance(app._crash_reason, LogUnusable)
        with pytest.raises(LogUnusable, match="malformed"):
            await append(log, 1)


def meets_a_damaged_page(_store: Any) -> None:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    raise error


async def append(log: EmbeddedLog, count: int, keys: int = 7) -> None:
    partitions = log.file.partitions(SOURCE)
    rows = [order(partitions[number % keys % PARTITIONS].id, b"k%d" % (number % keys)) for number in range(count)]
    await log.file.submit(rows).future


def order(partition: int, key: bytes) -> Append:
    return Append(partition, key, b"an order", Source.WEBHOOK, 7)


@contextlib.asynccontextmanager
async def running(app: CountingApp) -> AsyncIterator[CountingApp]:
    """From `Worker ready` until stopped; an app that crashed fails the test with the reason."""
    app.finalize()
    ready = asyncio.Event()

    @app.on_rebalance_complete.connect(weak=False)
    async def on_rebalance_complete(*_: Any, **__: Any) -> None:
        ready.set()

    await app.start()
    try:
        await until(lambda: app.crashed or (ready.is_set() and not app.rebalancing))
        assert not app.crashed, app._crash_reason
        yield app
    finally:
        await app.stop()


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.005)


async def opened(settings: Settings) -> EmbeddedLog:
    log = EmbeddedLog(settings)
    await log.start()
    await log.file.create_topics([TopicSpec(SOURCE, PARTITIONS)])
    return log


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(broker=f"sqlite:///{tmp_path / 'log.db'}")


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[EmbeddedLog]:
    log = await opened(settings)
    yield log
    await log.stop()
