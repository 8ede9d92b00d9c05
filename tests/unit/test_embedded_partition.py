"""What a partition of the embedded log keeps in memory: the latest records, within a limit over all partitions."""

from streams.embedded.partition import CACHED_RECORD_BYTES, Cache, Partition
from streams.embedded.stored import PartitionRow, StoredRecord


def test_what_was_appended_is_read_from_memory_from_any_of_its_offsets():
    partition = Partition(PartitionRow(1, "topic", 0, compacted=False, retention_ms=None, end=10))
    Cache().add({partition: records(10, 5)})
    assert (partition.cached_from, partition.end) == (10, 15)
    assert offsets(partition.cached(12, 100, 10_000)) == [12, 13, 14]
    assert offsets(partition.cached(10, 2, 10_000)) == [10, 11]
    assert partition.cached(15, 100, 10_000) == []


def test_a_read_from_memory_is_bounded_in_bytes_but_gives_at_least_one():
    partition = Partition(PartitionRow(1, "topic", 0, compacted=False, retention_ms=None, end=0))
    Cache().add({partition: records(0, 5, value=b"x" * 100)})
    assert offsets(partition.cached(0, 100, 150)) == [0, 1]
    assert offsets(partition.cached(3, 100, 1)) == [3]


def test_the_oldest_groups_leave_memory_first_whichever_partition_they_are_of():
    one, other = (
        Partition(PartitionRow(number, "topic", number, compacted=False, retention_ms=None, end=0)) for number in (1, 2)
    )
    cache = Cache(bytes_max=10 * (CACHED_RECORD_BYTES + 1))
    cache.add({one: records(0, 4)})
    cache.add({one: records(4, 2), other: records(0, 2)})
    assert (one.cached_from, other.cached_from) == (0, 0)
    cache.add({other: records(2, 3)})
    assert (one.cached_from, other.cached_from) == (4, 0)
    cache.add({one: records(6, 9)})
    assert (one.cached_from, other.cached_from) == (6, 5)
    assert (one.end, other.end) == (15, 5)


def test_listeners_are_told_until_they_leave():
    partition = Partition(PartitionRow(1, "topic", 0, compacted=False, retention_ms=None, end=0))
    told = []
    listener = lambda: told.append(1)  # noqa: E731 - the set holds this very object
    partition.listeners.add(listener)
    partition.notify()
    partition.listeners.discard(listener)
    partition.notify()
    assert told == [1]


def records(first: int, count: int, value: bytes = b"v") -> list[StoredRecord]:
    return [StoredRecord(offset, 0, b"k", value, None, None) for offset in range(first, first + count)]


def offsets(found: list[StoredRecord]) -> list[int]:
    return [record.offset for record in found]
