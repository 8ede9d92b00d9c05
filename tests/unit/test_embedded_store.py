"""The file of the embedded log, one connection, no threads: offsets, compaction, retention, all or nothing."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.embedded.batches import BATCH_BYTES_MAX, BATCH_RECORDS_MAX
from streams.embedded.store import DELETIONS_KEPT_MS, Store
from streams.embedded.stored import Append, OffsetCommit
from streams.errors import LogUnusable, WrongSettings
from streams.topics import TopicSpec

PLAIN, OTHER, CHANGELOG, TRIMMED = 1, 2, 3, 4
"""Partition row ids, in the order of the topics below."""

SPECS = [
    TopicSpec("plain", 2),
    TopicSpec("changelog", 1, compacted=True),
    TopicSpec("trimmed", 1, retention_ms=1000),
]


def test_offsets_are_dense_in_each_partition_across_groups_and_restarts(store: Store):
    write(store, [row(PLAIN, b"a"), row(OTHER, b"b"), row(PLAIN, b"c")])
    write(store, [row(PLAIN, b"d")])
    store = reopened(store)
    write(store, [row(PLAIN, b"e"), row(OTHER, b"f")])
    plain = [(record.offset, record.key) for record in read(store, PLAIN)]
    assert plain == [(0, b"a"), (1, b"c"), (2, b"d"), (3, b"e")]
    assert [(record.offset, record.key) for record in read(store, OTHER)] == [(0, b"b"), (1, b"f")]
    store.close()


def test_a_record_comes_back_byte_equal_with_its_headers_and_the_writers_time(store: Store):
    value = bytes(range(256)) * 20
    store.write([[Append(PLAIN, b"\x00k\xff", value, "webhook", 123)]], [], now_ms=456)
    assert read(store, PLAIN) == [(0, 456, b"\x00k\xff", value, "webhook", 123)]


def test_each_job_learns_the_offset_of_its_last_record(store: Store):
    jobs = [[row(PLAIN, b"a"), row(PLAIN, b"b")], [], [row(OTHER, b"c")], [row(PLAIN, b"d")]]
    _, last_offsets = store.write(jobs, [], now_ms=0)
    assert last_offsets == [1, -1, 0, 2]


def test_a_group_larger_than_a_row_holds_is_spread_over_rows_and_read_from_any_offset(store: Store):
    count = 2 * BATCH_RECORDS_MAX + 5
    write(store, [row(PLAIN, b"%d" % number) for number in range(count)])
    write(store, [row(OTHER, b"%d" % number, bytes(BATCH_BYTES_MAX // 2)) for number in range(5)])
    assert [record.key for record in read(store, PLAIN)] == [b"%d" % number for number in range(count)]
    assert [record.key for record in read(store, OTHER)] == [b"%d" % number for number in range(5)]
    for start in (0, 1, BATCH_RECORDS_MAX - 1, BATCH_RECORDS_MAX, count - 1):
        assert store.read(PLAIN, start, count, 1, 1)[0].offset == start
    assert store.connection.execute("SELECT count(*) FROM batches").fetchone() == (6,)


def test_a_compacted_topic_keeps_the_newest_record_of_each_key_at_its_offset(store: Store):
    write(store, [row(CHANGELOG, b"a", b"1"), row(CHANGELOG, b"b", b"2"), row(CHANGELOG, b"a", b"3")])
    write(store, [row(CHANGELOG, b"c", b"4"), row(CHANGELOG, b"b", b"5")])
    kept = [(record.offset, record.key, record.value) for record in read(store, CHANGELOG)]
    assert kept == [(2, b"a", b"3"), (3, b"c", b"4"), (4, b"b", b"5")]
    assert store.partitions()[CHANGELOG - 1].end == 5


def test_the_same_key_in_plain_topics_and_other_partitions_is_not_compacted(store: Store):
    write(store, [row(PLAIN, b"a"), row(PLAIN, b"a"), row(OTHER, b"a"), row(CHANGELOG, b"a")])
    assert [len(read(store, partition)) for partition in (PLAIN, OTHER, CHANGELOG)] == [2, 1, 1]


def test_a_deletion_replaces_the_value_and_stays_readable_for_a_day(store: Store):
    write(store, [row(CHANGELOG, b"a", b"1"), row(CHANGELOG, b"b", b"2"), row(CHANGELOG, b"a", None)], now_ms=0)
    write(store, [row(CHANGELOG, b"c", b"3")], now_ms=0)
    store.trim(now_ms=DELETIONS_KEPT_MS)
    assert [(record.key, record.value) for record in read(store, CHANGELOG)][1] == (b"a", None)
    store.trim(now_ms=DELETIONS_KEPT_MS + 1)
    assert [(record.key, record.value) for record in read(store, CHANGELOG)] == [(b"b", b"2"), (b"c", b"3")]


def test_the_newest_record_is_never_removed_so_that_no_offset_is_given_twice(store: Store):
    write(store, [row(CHANGELOG, b"a", b"1"), row(CHANGELOG, b"a", None), row(TRIMMED, b"x")])
    write(store, [row(TRIMMED, b"y")])
    store.trim(now_ms=10 * DELETIONS_KEPT_MS)
    store = reopened(store)
    assert [(record.offset, record.key) for record in read(store, TRIMMED)] == [(1, b"y")]
    assert [record.offset for record in read(store, CHANGELOG)] == [1]
    write(store, [row(CHANGELOG, b"b", b"2"), row(TRIMMED, b"z")])
    assert read(store, CHANGELOG)[-1].offset == 2
    assert read(store, TRIMMED)[-1].offset == 2
    store.close()


def test_retention_removes_what_is_older_and_nothing_of_topics_kept_forever(store: Store):
    for time_ms in (0, 500, 1500, 2000):
        write(store, [row(TRIMMED, b"%d" % time_ms), row(PLAIN, b"%d" % time_ms)], now_ms=time_ms)
    assert store.trim(now_ms=2000) == 2
    assert store.trim(now_ms=2000) == 0
    assert [record.key for record in read(store, TRIMMED)] == [b"1500", b"2000"]
    assert store.first_offset(TRIMMED) == 2
    assert len(read(store, PLAIN)) == 4


def test_a_group_that_fails_leaves_nothing_behind_and_can_be_written_again(store: Store):
    write(store, [row(PLAIN, b"before")])
    jobs = [[row(PLAIN, b"a"), row(CHANGELOG, b"k", b"1")]]
    with pytest.raises(sqlite3.IntegrityError):
        store.write(jobs, [OffsetCommit("workers", PLAIN, None)], now_ms=0)  # type: ignore[arg-type] # the failure
    assert len(read(store, PLAIN)) == 1
    store.write(jobs, [OffsetCommit("workers", PLAIN, 1)], now_ms=0)
    assert [(record.offset, record.key) for record in read(store, PLAIN)] == [(0, b"before"), (1, b"a")]
    assert store.committed() == {("workers", PLAIN): 1}


def test_reading_stops_at_the_limits_but_gives_at_least_one_record(store: Store):
    write(store, [row(PLAIN, b"%d" % number, b"x" * 100) for number in range(10)])
    assert [record.offset for record in store.read(PLAIN, 2, 10, 3, 10_000)] == [2, 3, 4]
    assert [record.offset for record in store.read(PLAIN, 0, 10, 100, 250)] == [0, 1, 2]
    assert [record.offset for record in store.read(PLAIN, 5, 10, 100, 1)] == [5]
    assert [record.offset for record in store.read(PLAIN, 8, 9, 100, 10_000)] == [8]


def test_the_recent_past_is_read_in_order_even_if_the_clock_was_put_right(store: Store):
    for time_ms in (100_000, 200_000, 199_000, 201_000):
        write(store, [row(PLAIN, b"%d" % time_ms)], now_ms=time_ms)
    assert [record.key for record in store.since(PLAIN, 199_500)] == [b"200000", b"201000"]


def test_a_commit_waits_for_the_disk_and_the_log_is_written_ahead(store: Store):
    assert store.connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL: fsync at every commit"
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_another_number_of_partitions_is_refused_with_both_numbers(store: Store):
    with pytest.raises(WrongSettings, match=r"MILLRACE_PARTITIONS.* plain .* 2 partitions, 3 are asked for"):
        store.create_topics([TopicSpec("plain", 3)])


def test_topics_that_exist_are_left_as_they_are_and_missing_ones_added(store: Store):
    rows = store.create_topics([*SPECS, TopicSpec("new", 2)])
    assert [(one.topic, one.number) for one in rows][-2:] == [("new", 0), ("new", 1)]
    assert len(rows) == 6


def test_a_file_of_a_newer_schema_is_refused_unchanged(store: Store):
    store.connection.execute("PRAGMA user_version = 2")
    with pytest.raises(LogUnusable, match="schema 2, written by a newer Millrace; this one reads up to 1"):
        reopened(store)


def test_another_programs_database_is_refused(tmp_path: Path):
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE theirs (id)")
    other.close()
    with pytest.raises(LogUnusable, match="not a Millrace log"):
        Store(tmp_path / "other.db")


def test_an_empty_file_left_by_a_first_start_that_was_killed_becomes_a_log(tmp_path: Path):
    path = tmp_path / "log.db"
    with sqlite3.connect(path) as interrupted:
        interrupted.execute("PRAGMA journal_mode = WAL")
    interrupted.close()
    store = Store(path)
    assert len(store.log_id()) == 32
    store.close()


def test_the_log_id_is_random_and_stays(store: Store, tmp_path: Path):
    other = Store(tmp_path / "other.db")
    first = store.log_id()
    assert first != other.log_id()
    other.close()
    store = reopened(store)
    assert store.log_id() == first
    store.close()


def row(partition: int, key: bytes, value: bytes | None = b"v") -> Append:
    return Append(partition, key, value, None, None)


def write(store: Store, rows: list[Append], now_ms: int = 0) -> None:
    store.write([rows], [], now_ms)


def read(store: Store, partition: int) -> list[tuple]:
    return store.read(partition, 0, 1 << 40, 10_000, 1 << 30)


def reopened(store: Store) -> Store:
    store.close()
    return Store(store.path)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "log.db")
    store.create_topics(SPECS)
    yield store
    store.close()
