"""The embedded log on disk: topics, partitions with dense offsets, groups' offsets, retention.

One connection, used by one thread at a time: the owner's by the writer thread (streams/embedded/writer.py), readers'
by the reader thread of streams/embedded/reader.py. Nothing here waits, retries or knows of the event loop. What SQLite
refuses comes out as sqlite3.Error; `database.is_passing` tells a full disk from a broken file.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from streams.embedded import database
from streams.embedded.batches import Batches
from streams.embedded.latest import Latest
from streams.embedded.stored import Append, OffsetCommit, PartitionRow, StoredRecord
from streams.errors import WrongSettings
from streams.topics import TopicSpec

DELETIONS_KEPT_MS = 24 * 3600 * 1000
"""A deletion in a compacted topic stays readable this long (Kafka's delete.retention.ms), so that tails see it."""

CLOCK_STEP_MS = 60_000
"""A clock that is put right does not step further than this; records then lie out of the order of time."""

Appended = dict[int, list[StoredRecord]]
"""Partition row id → its new records, in order."""


class Store:
    """Raises LogUnusable when the file cannot be opened (see streams/embedded/database.py)."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.connection = database.connect(path, read_only=read_only)
        self._plain = Batches(self.connection)
        self._compacted = Latest(self.connection)
        self._partitions = {row.id: row for row in self.partitions()}
        self._ends = {row.id: row.end for row in self._partitions.values()}

    def close(self) -> None:
        self.connection.close()

    # --- topics ---------------------------------------------------------------------------------------------

    def log_id(self) -> str:
        """Random, given when the file was created: a file put in its place has another one."""
        (log_id,) = self.connection.execute("SELECT log_id FROM about").fetchone()
        return str(log_id)

    def create_topics(self, specs: Iterable[TopicSpec]) -> list[PartitionRow]:
        """Creates those that are missing; returns all partitions. Raises WrongSettings if a partition count differs."""
        existing = {row.topic: 0 for row in self._partitions.values()}
        for row in self._partitions.values():
            existing[row.topic] += 1
        missing = []
        for spec in specs:
            if spec.name not in existing:
                missing.append(spec)
            elif existing[spec.name] != spec.partitions:
                raise WrongSettings(
                    f"MILLRACE_PARTITIONS: the topic {spec.name} in {self.path} has {existing[spec.name]} partitions, "
                    f"{spec.partitions} are asked for. Their number is fixed once the log is created, because it "
                    f"decides where a key lives: set it back to {existing[spec.name]}, or start a new log."
                )
        if missing:
            self._insert_topics(missing)
        return list(self._partitions.values())

    def partitions(self) -> list[PartitionRow]:
        """All of them. The newest record of a partition is never removed, so its end can be read off it."""
        rows = self.connection.execute(
            "SELECT p.id, t.name, p.number, t.compacted, t.retention_ms "
            "FROM partitions p JOIN topics t ON t.id = p.topic ORDER BY p.id"
        ).fetchall()
        return [
            PartitionRow(partition, topic, number, bool(compacted), retention_ms, self._kind(compacted).end(partition))
            for partition, topic, number, compacted, retention_ms in rows
        ]

    def _insert_topics(self, specs: Sequence[TopicSpec]) -> None:
        with _Transaction(self.connection):
            for spec in specs:
                topic = self.connection.execute(
                    "INSERT INTO topics (name, compacted, retention_ms) VALUES (?, ?, ?)",
                    (spec.name, spec.compacted, spec.retention_ms),
                ).lastrowid
                self.connection.executemany(
                    "INSERT INTO partitions (topic, number) VALUES (?, ?)",
                    [(topic, number) for number in range(spec.partitions)],
                )
        for row in self.partitions():
            self._partitions.setdefault(row.id, row)
            self._ends.setdefault(row.id, row.end)

    # --- writing --------------------------------------------------------------------------------------------

    def write(
        self, jobs: Sequence[Sequence[Append]], offsets: Iterable[OffsetCommit], now_ms: int
    ) -> tuple[Appended, list[int]]:
        """One transaction, one fsync: all records of all jobs, in order, and the groups' offsets; or nothing at all.

        Returns the records as they are now stored, and the last offset of each job (-1: it had no records).
        """
        appended: Appended = {}
        last_offsets = []
        for job in jobs:
            offset = -1
            for partition, key, value, source, received_ms in job:
                records = appended.get(partition)
                if records is None:
                    records = appended[partition] = []
                offset = self._ends[partition] + len(records)
                records.append(StoredRecord(offset, now_ms, key, value, source, received_ms))
            last_offsets.append(offset)
        with _Transaction(self.connection):
            for compacted in (False, True):
                of_kind = {id_: new for id_, new in appended.items() if self._partitions[id_].compacted is compacted}
                if of_kind:
                    self._kind(compacted).insert(of_kind)
            self.connection.executemany("INSERT OR REPLACE INTO committed VALUES (?, ?, ?)", offsets)
        for partition, records in appended.items():
            self._ends[partition] += len(records)
        return appended, last_offsets

    def trim(self, now_ms: int) -> int:
        """Removes what retention no longer keeps, a slice at a time; returns how many rows (0: all is done)."""
        removed = 0
        with _Transaction(self.connection):
            for row in self._partitions.values():
                kept_ms = DELETIONS_KEPT_MS if row.compacted else row.retention_ms
                if kept_ms is not None:
                    removed += self._kind(row.compacted).trim(row.id, self._ends[row.id], now_ms - kept_ms)
        return removed

    # --- reading --------------------------------------------------------------------------------------------

    def read(self, partition: int, start: int, end: int, records_max: int, bytes_max: int) -> list[StoredRecord]:
        """Records with start <= offset < end, in order; at least one where there is one, whatever its size."""
        records: list[StoredRecord] = []
        total_bytes = 0
        # The cursor is dropped on return, and with it SQLite's snapshot: a kept one would let the WAL grow for ever.
        for record in self._table(partition).read(partition, start, end):
            records.append(record)
            total_bytes += len(record.value or b"")
            if len(records) >= records_max or total_bytes >= bytes_max:
                break
        return records

    def since(self, partition: int, since_ms: int) -> list[StoredRecord]:
        """Backwards from the end, so that it reads no more than it returns. The clock may have been set back a little:
        the first record that is older by CLOCK_STEP_MS ends it.
        """
        records = []
        for record in self._table(partition).backwards(partition):
            if record.timestamp_ms < since_ms - CLOCK_STEP_MS:
                break
            if record.timestamp_ms >= since_ms:
                records.append(record)
        return records[::-1]

    def first_offset(self, partition: int) -> int:
        """The first kept; 0 in an empty partition."""
        return self._table(partition).first_offset(partition) or 0

    def committed(self) -> dict[tuple[str, int], int]:
        """(group, partition row id) → the next offset the group wants."""
        rows = self.connection.execute("SELECT group_name, partition, next_offset FROM committed")
        return {(group, partition): next_offset for group, partition, next_offset in rows}

    def data_version(self) -> int:
        """Changes whenever another connection has committed."""
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    def _table(self, partition: int) -> Batches | Latest:
        if partition not in self._partitions:  # created since, through the owner's connection
            self._partitions = {row.id: row for row in self.partitions()}
        return self._kind(self._partitions[partition].compacted)

    def _kind(self, compacted: object) -> Batches | Latest:
        return self._compacted if compacted else self._plain


class _Transaction:
    """BEGIN IMMEDIATE … COMMIT; a COMMIT that fails is rolled back too, so that it can be tried again."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            if kind is None:
                self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:  # SQLite has rolled back by itself after some errors
                self._connection.execute("ROLLBACK")
