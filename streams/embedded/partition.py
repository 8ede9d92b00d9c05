"""A partition of the embedded log as the loop sees it: its end, its latest records, and who waits for the next ones.

What was just appended is what everybody reads next, so it is kept in memory: the way from the edge through the agents
to Kit never reads the disk. streams/embedded/log_file.py feeds it from the writer's reports.
"""

from collections import deque
from collections.abc import Callable, Mapping

from streams.embedded.stored import PartitionRow, StoredRecord

CACHED_BYTES_MAX = 64 * 1024 * 1024
"""Of all partitions together; older records are read from the file."""
CACHED_RECORD_BYTES = 300
"""What a record takes in memory beside its value."""

Listener = Callable[[], None]


class Partition:
    """`end` is the offset after the last committed record."""

    __slots__ = ("_records", "compacted", "end", "id", "listeners", "number", "topic")

    def __init__(self, row: PartitionRow) -> None:
        self.id = row.id
        self.topic = row.topic
        self.number = row.number
        self.compacted = row.compacted
        self.end = row.end
        self.listeners: set[Listener] = set()
        self._records: list[StoredRecord] = []

    @property
    def cached_from(self) -> int:
        return self.end - len(self._records)

    def append(self, records: list[StoredRecord]) -> None:
        assert records[0].offset == self.end, "offsets are dense"
        self._records += records
        self.end = records[-1].offset + 1

    def forget(self, count: int) -> None:
        del self._records[:count]

    def advance(self, end: int) -> None:
        """Another process has appended: nothing of it is in memory."""
        self._records.clear()
        self.end = end

    def cached(self, start: int, records_max: int, bytes_max: int) -> list[StoredRecord]:
        """From `start`, which must be cached or the end; at least one record where there is one."""
        first = start - self.cached_from
        records = self._records[first : first + records_max]
        total_bytes = 0
        for count, record in enumerate(records, start=1):
            total_bytes += len(record.value or b"")
            if total_bytes >= bytes_max:
                return records[:count]
        return records

    def notify(self) -> None:
        for listener in self.listeners:
            listener()


class Cache:
    """Adds what was appended to the partitions and takes the oldest groups out again, within CACHED_BYTES_MAX."""

    def __init__(self, bytes_max: int = CACHED_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0
        self._groups: deque[tuple[int, list[tuple[Partition, int]]]] = deque()

    def add(self, appended: Mapping[Partition, list[StoredRecord]]) -> None:
        size = 0
        for partition, records in appended.items():
            partition.append(records)
            size += CACHED_RECORD_BYTES * len(records) + sum([len(record.value or b"") for record in records])
        self._groups.append((size, [(partition, len(records)) for partition, records in appended.items()]))
        self._bytes += size
        while self._bytes > self._bytes_max:
            oldest, counts = self._groups.popleft()
            self._bytes -= oldest
            for partition, count in counts:
                partition.forget(count)
