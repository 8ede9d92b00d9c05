"""Records of plain topics on disk: a row holds what one group of appends brought to one partition, as Kafka's batches.

One row in place of dozens makes an append cheap: two thirds of the processor time and of the bytes of a row for each
record were measured. streams/embedded/store.py is the only caller; latest.py is the twin for compacted topics.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from streams.embedded.inserting import insert
from streams.embedded.stored import StoredRecord

BATCH_RECORDS_MAX = 128
BATCH_BYTES_MAX = 256 * 1024
"""Reading one record decodes its whole row, so rows stay small."""
TRIMMED_PER_CALL = 500
"""Rows; retention works in slices, so that appends never wait for a long deletion."""

Packed = tuple[bytes | None, bytes | None, str | None, int | None]
"""Key, value, source, received_ms, as they stand in `records`: a MessagePack array of arrays."""

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(list[Packed]).decode


class Batches:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def insert(self, appended: Mapping[int, Sequence[StoredRecord]]) -> None:
        rows = [
            (partition, batch[0].offset, batch[-1].offset, batch[0].timestamp_ms, _pack([row[2:] for row in batch]))
            for partition, records in appended.items()
            for batch in _batches(records)
        ]
        insert(
            self._connection, "INSERT INTO batches", "partition, first_offset, last_offset, timestamp_ms, records", rows
        )

    def read(self, partition: int, start: int, end: int) -> Iterator[StoredRecord]:
        """Records with start <= offset < end, in order."""
        rows = self._connection.execute(
            "SELECT first_offset, timestamp_ms, records FROM batches "
            "WHERE partition = ? AND last_offset >= ? AND first_offset < ? ORDER BY last_offset",
            (partition, start, end),
        )
        for first_offset, timestamp_ms, packed in rows:
            for record in _records(first_offset, timestamp_ms, packed):
                if start <= record.offset < end:
                    yield record

    def backwards(self, partition: int) -> Iterator[StoredRecord]:
        """From the newest to the oldest."""
        rows = self._connection.execute(
            "SELECT first_offset, timestamp_ms, records FROM batches WHERE partition = ? ORDER BY last_offset DESC",
            (partition,),
        )
        for first_offset, timestamp_ms, packed in rows:
            yield from reversed(list(_records(first_offset, timestamp_ms, packed)))

    def first_offset(self, partition: int) -> int | None:
        row = self._connection.execute(
            "SELECT first_offset FROM batches WHERE partition = ? ORDER BY last_offset LIMIT 1", (partition,)
        ).fetchone()
        return row and int(row[0])

    def end(self, partition: int) -> int:
        (last,) = self._connection.execute(
            "SELECT max(last_offset) FROM batches WHERE partition = ?", (partition,)
        ).fetchone()
        return 0 if last is None else int(last) + 1

    def trim(self, partition: int, end: int, before_ms: int) -> int:
        """Removes the oldest rows if they are older than that, never the newest one; returns how many."""
        return self._connection.execute(
            "DELETE FROM batches WHERE position IN (SELECT position FROM (SELECT position, timestamp_ms FROM batches "
            "WHERE partition = ? AND last_offset < ? ORDER BY last_offset LIMIT ?) WHERE timestamp_ms < ?)",
            (partition, end - 1, TRIMMED_PER_CALL, before_ms),
        ).rowcount


def _batches(records: Sequence[StoredRecord]) -> Iterator[Sequence[StoredRecord]]:
    first = size = 0
    for number, record in enumerate(records):
        if number > first and (size >= BATCH_BYTES_MAX or number - first >= BATCH_RECORDS_MAX):
            yield records[first:number]
            first, size = number, 0
        size += len(record.value or b"")
    yield records[first:]


def _records(first_offset: int, timestamp_ms: int, packed: bytes) -> Iterator[StoredRecord]:
    for offset, (key, value, source, received_ms) in enumerate(_unpack(packed), first_offset):
        yield StoredRecord(offset, timestamp_ms, key, value, source, received_ms)
