"""The embedded log as the shell uses it, on real files: acknowledgement, tails, transactions, a full disk."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from processors.record import Record, Source, Topic
from streams import topics
from streams.embedded import writer
from streams.embedded.log import EmbeddedLog
from streams.errors import Fenced, LogUnavailable, LogUnusable
from streams.log import Position, Reached
from streams.settings import Settings
from streams.transactions.transactor import Batch, ChangelogRecord
from tests.edges.embedded_parts import (
    EVENTS,
    append_many,
    big_batch,
    counted_commits,
    event,
    fill,
    make_room,
    part,
    started,
    transactions,
    until,
)

# --- appending and reading ------------------------------------------------------------------------------------


async def test_an_append_says_where_the_record_is_and_it_is_read_there(log: EmbeddedLog):
    positions = [await log.append(event(b"cus_1", b"%d" % number)) for number in range(3)]
    partition = topics.partition_of(b"cus_1", 8)
    assert positions == [Position(partition, number) for number in range(3)]
    read = [record async for record in log.read(EVENTS, partition, 1)]
    assert read == [Record(EVENTS, partition, n, b"cus_1", b"%d" % n, Source.WEBHOOK, 7) for n in (1, 2)]


async def test_appends_in_flight_share_commits_and_keep_the_order_they_were_made_in(log: EmbeddedLog):
    commits = counted_commits(log)
    await asyncio.gather(*(log.append(event(b"cus_1", b"%d" % number)) for number in range(200)))
    read = [record.value async for record in log.read(EVENTS, topics.partition_of(b"cus_1", 8))]
    assert read == [b"%d" % number for number in range(200)]
    assert sum(commits) == 200
    assert len(commits) < 20


async def test_what_is_appended_together_is_seen_together(log: EmbeddedLog):
    records = [event(b"cus_%d" % number, partition=number) for number in range(8)]
    seen: list[Record] = []
    async with aclosing(log.tail(EVENTS)) as tail:
        assert await anext(tail) == Reached(dict.fromkeys(range(8), 0))
        await log.append_all(records)
        while isinstance(item := await anext(tail), Record):
            seen.append(item)
    assert [record.partition for record in seen] == list(range(8))


async def test_everything_is_there_after_a_restart_under_the_same_log_id(settings: Settings, log: EmbeddedLog):
    await append_many(log, 50)
    first_id, ends = log.log_id, await log.ends(EVENTS)
    await log.stop()
    again = await started(settings)
    assert again.log_id == first_id
    assert await again.ends(EVENTS) == ends
    assert sum(ends.values()) == 50
    await again.stop()


async def test_a_tail_reads_what_is_there_then_what_comes_and_says_when_it_has_read_all(log: EmbeddedLog):
    await append_many(log, 700, partition=0)
    values = []
    async with aclosing(log.tail(EVENTS, {0: 600})) as tail:
        async for item in tail:
            if isinstance(item, Reached):
                assert item.offsets[0] == 600 + len(values)
                if len(values) == 105:
                    break
                await append_many(log, 5, partition=0)
            else:
                values.append(item.offset)
    assert values == list(range(600, 705))


async def test_a_tail_of_a_table_shows_its_changelog_and_deletions_as_empty_values(log: EmbeddedLog):
    transactor = await transactions(log).open("customers", 3)
    await append_many(log, 2, partition=3)
    await transactor.commit(Batch([ChangelogRecord(b"a", b"1"), ChangelogRecord(b"b", b"2")], [], 1))
    await transactor.commit(Batch([ChangelogRecord(b"a", None)], [], 2))
    async with aclosing(log.tail("customers")) as tail:
        items = [await anext(tail) for _ in range(3)]
    assert [(item.topic, item.key, item.value) for item in items] == [
        (EVENTS, b"a", b"1"),
        (EVENTS, b"b", b"2"),
        (EVENTS, b"a", b""),
    ]
    assert await log.ends("customers") == {number: 3 if number == 3 else 0 for number in range(8)}


async def test_the_recent_past_of_all_partitions_is_what_the_log_took_since_then(log: EmbeddedLog):
    await append_many(log, 3, partition=1)
    [first, *_] = await log.file.fetch(part(log, 1), 0)
    await append_many(log, 2, partition=2)
    assert len(await log.since(EVENTS, first.timestamp_ms)) == 5
    assert await log.since(EVENTS, first.timestamp_ms + 3_600_000) == []


async def test_a_queue_that_is_full_refuses_at_once_and_goes_on_when_it_has_been_written(log: EmbeddedLog):
    value = bytes(1024 * 1024)
    crowd = [asyncio.ensure_future(log.append(event(b"k", value))) for _ in range(80)]
    results = await asyncio.gather(*crowd, return_exceptions=True)
    refused = [result for result in results if isinstance(result, LogUnavailable)]
    assert len(results) - len(refused) == writer.QUEUED_BYTES_MAX // (1024 * 1024 + writer.RECORD_BYTES)
    assert "cannot keep up" in str(refused[0])
    assert await log.append(event(b"k"))


async def test_a_record_that_cannot_be_written_leaves_nobody_waiting(log: EmbeddedLog):
    with pytest.raises(LogUnusable, match="cannot write"):
        await log.append(event(b"k", range(3)))  # our own bug, whatever the types say
    with pytest.raises(LogUnusable, match="cannot write"):
        await log.append(event(b"k"))
    assert "Restart" in str(log.trouble)


# --- transactions ---------------------------------------------------------------------------------------------


async def test_a_batch_commits_outputs_changelog_and_offset_together(log: EmbeddedLog):
    await append_many(log, 5, partition=2)
    transactor = await transactions(log).open("customers", 2)
    outputs = [event(b"s", topic=Topic.SUBSCRIBER_EVENTS, partition=4)]
    assert await transactor.commit(Batch([ChangelogRecord(b"a", b"1"), ChangelogRecord(b"b", b"2")], outputs, 3)) == 1
    assert (await log.lag(EVENTS))[2] == 2
    assert (await log.ends(Topic.SUBSCRIBER_EVENTS))[4] == 1
    assert await transactor.commit(Batch([], [], 5)) is None
    assert (await log.lag(EVENTS))[2] == 0


async def test_batches_of_several_partitions_share_a_commit(log: EmbeddedLog):
    for partition in range(8):
        await append_many(log, 1, partition=partition)
    seam = transactions(log)
    owners = [await seam.open("customers", partition) for partition in range(8)]
    commits = counted_commits(log)
    await asyncio.gather(*(owner.commit(Batch([ChangelogRecord(b"k", b"1")], [], 1)) for owner in owners))
    assert commits == [8]
    assert set((await log.lag(EVENTS)).values()) == {0}


async def test_a_partition_taken_over_fences_its_former_owner(log: EmbeddedLog):
    await append_many(log, 2, partition=0)
    seam = transactions(log)
    former = await seam.open("customers", 0)
    await former.commit(Batch([], [], 1))
    owner = await seam.open("customers", 0)
    with pytest.raises(Fenced):
        await former.commit(Batch([], [], 2))
    await owner.commit(Batch([], [], 2))


async def test_a_takeover_withdraws_what_the_former_owner_has_waiting_on_a_full_disk(log: EmbeddedLog):
    await append_many(log, 1, partition=0)
    seam = transactions(log)
    former = await seam.open("customers", 0)
    await fill(log)
    commit = asyncio.ensure_future(former.commit(big_batch()))
    await until(lambda: log.trouble)
    owner = await seam.open("customers", 0)
    with pytest.raises(Fenced):
        await commit
    await make_room(log)
    await owner.commit(big_batch())
    assert (await log.ends("customers"))[0] == 1, "the former owner's never landed"


# --- a full disk ----------------------------------------------------------------------------------------------


async def test_a_full_disk_fails_appends_makes_transactions_wait_and_both_recover(log: EmbeddedLog):
    await append_many(log, 1, partition=0)
    transactor = await transactions(log).open("customers", 0)
    ends = await log.ends(EVENTS)
    await fill(log)
    commit = asyncio.ensure_future(transactor.commit(big_batch()))
    with pytest.raises(LogUnavailable, match=r"full.*Make room on its disk"):
        await log.append(event(b"k", bytes(100_000)))
    await until(lambda: log.trouble)
    assert not commit.done()
    assert await log.ends(EVENTS) == ends
    assert "stuck" in str(log.trouble)
    await make_room(log)
    assert await commit == 0
    assert log.trouble is None
    await log.append(event(b"k", bytes(100_000), partition=0))
    assert (await log.ends(EVENTS))[0] == 2
    assert (await log.lag(EVENTS))[0] == 1


async def test_a_log_that_is_stopped_while_its_disk_is_full_says_that_nothing_was_promised(settings: Settings):
    log = await started(settings)
    await append_many(log, 1, partition=0)
    transactor = await transactions(log).open("customers", 0)
    await fill(log)
    commit = asyncio.ensure_future(transactor.commit(big_batch()))
    await until(lambda: log.trouble)
    await log.stop()
    with pytest.raises(LogUnavailable, match="Nothing was promised"):
        await commit


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.db"


@pytest.fixture
def settings(path: Path) -> Settings:
    return Settings(broker=f"sqlite:///{path}")


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[EmbeddedLog]:
    log = await started(settings)
    yield log
    await log.stop()
