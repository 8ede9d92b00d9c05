"""The rows of the embedded log, as they go in and come out of its store, writer, log and transport."""

from typing import NamedTuple


class Append(NamedTuple):
    """A record to be written. `value` None deletes the key of a compacted topic; changelogs carry no headers."""

    partition: int
    """The partition's row id in the file, not its number within the topic."""
    key: bytes | None
    value: bytes | None
    source: str | None
    received_ms: int | None


class StoredRecord(NamedTuple):
    """A record as it is on disk; `timestamp_ms` is the writer's clock when it was appended."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    source: str | None
    received_ms: int | None


class OffsetCommit(NamedTuple):
    """The next offset that a consumer group wants of a partition (row id)."""

    group: str
    partition: int
    next_offset: int


class PartitionRow(NamedTuple):
    """A partition as the file knows it. `end`: the offset that the next record gets."""

    id: int
    topic: str
    number: int
    compacted: bool
    retention_ms: int | None
    end: int
