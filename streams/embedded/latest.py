"""Records of compacted topics on disk: one row for each key, the newest, at the offset that it got.

A deletion is a row without a value: tails must see it, so it stays for a day. streams/embedded/store.py is the only
caller; batches.py is the twin for plain topics.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

from streams.embedded.inserting import insert
from streams.embedded.stored import StoredRecord

TRIMMED_PER_CALL = 2000
"""Rows; retention works in slices, so that appends never wait for a long deletion."""

_COLUMNS = '"offset", timestamp_ms, key, value, source, received_ms'


class Latest:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, appended: Mapping[int, Sequence[StoredRecord]]) -> None:
        """The unique index of keys makes a new record replace the old one."""
        rows = [(partition, *record) for partition, records in appended.items() for record in records]
        insert(self._connection, "INSERT OR REPLACE INTO latest", f"partition, {_COLUMNS}", rows)

    def read(self, partition: int, start: int, end: int) -> Iterator[StoredRecord]:
        """Records with start <= offset < end, in order."""
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM latest "  # noqa: S608 - our own column names
            'WHERE partition = ? AND "offset" >= ? AND "offset" < ? ORDER BY "offset"',
            (partition, start, end),
        )
        return map(StoredRecord._make, rows)

    def backwards(self, partition: int) -> Iterator[StoredRecord]:
        """From the newest to the oldest."""
        rows = self._connection.execute(
            f'SELECT {_COLUMNS} FROM latest WHERE partition = ? ORDER BY "offset" DESC',  # noqa: S608 - likewise
            (partition,),
        )
        return map(StoredRecord._make, rows)

    def first_offset(self, partition: int) -> int | None:
        (first,) = self._connection.execute(
            'SELECT min("offset") FROM latest WHERE partition = ?', (partition,)
        ).fetchone()
        return first and int(first)

    def end(self, partition: int) -> int:
        (last,) = self._connection.execute(
            'SELECT max("offset") FROM latest WHERE partition = ?', (partition,)
        ).fetchone()
        return 0 if last is None else int(last) + 1

    def trim(self, partition: int, end: int, before_ms: int) -> int:
        """Removes deletions older than that, never the newest record; returns how many."""
        return self._connection.execute(
            "DELETE FROM latest WHERE position IN (SELECT position FROM latest INDEXED BY deletions "
            'WHERE value IS NULL AND partition = ? AND timestamp_ms < ? AND "offset" < ? LIMIT ?)',
            (partition, before_ms, end - 1, TRIMMED_PER_CALL),
        ).rowcount
