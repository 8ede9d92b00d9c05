"""The log as the rest of the shell sees it: one protocol, two of it (streams/embedded, streams/kafka).

Topics here carry no prefix: each implementation adds it. Every append waits for the acknowledgement: when it returns,
the record is on disk (embedded: fsync; Kafka: acks=all, idempotent).
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from processors.record import Record, Source, Topic


class NewRecord(msgspec.Struct, frozen=True):
    """A record to append. `partition` None: the key's (topics.partition_of)."""

    topic: Topic
    key: bytes
    value: bytes
    source: Source
    received_ms: int
    partition: int | None = None


class Position(msgspec.Struct, frozen=True):
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Reached:
    """A tail has read everything below these offsets, by partition."""

    offsets: Mapping[int, int]


class Log(Protocol):
    async def start(self) -> None:
        """Connects or opens, and creates the topics that are missing. Raises LogUnusable, Unreachable."""

    async def stop(self) -> None: ...

    async def append(self, record: NewRecord) -> Position:
        """Raises LogUnavailable when the acknowledgement does not come within APPEND_SECONDS_MAX."""

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        """All of them become visible together, or none. Raises LogUnavailable."""

    async def ends(self, topic: Topic | str) -> Mapping[int, int]:
        """Partition → the offset after the last record that a committed reader can see, markers included. A table's
        name stands for its changelog.
        """

    async def lag(self, topic: Topic) -> Mapping[int, int]:
        """Partition → records that the workers have not yet committed; transaction markers do not count, an open
        transaction counts as at least one.
        """

    def read(self, topic: Topic, partition: int, start: int = 0) -> AsyncIterator[Record]:
        """Committed records from `start` (or the first kept) up to the end as it is at the call; then it stops."""

    async def since(self, topic: Topic, since_ms: int) -> list[Record]:
        """Committed records of all partitions that the log took at or after this time (ms since the epoch, the log's
        own clock), in order within each partition. For the recent past: everything is held in memory.
        """

    def tail(self, topic: Topic | str, start: Mapping[int, int] | None = None) -> AsyncIterator[Record | Reached]:
        """Committed records of all partitions from `start` (missing: the first kept), then for ever as they come.

        Yields a Reached each time everything that is there has been read, transaction markers included: at the start,
        and again whenever the end has moved. Besides topics, a table's name (`subscribers`) tails its changelog;
        deletions have an empty value. With a table's name, a record's topic is Topic.SUBSCRIBER_EVENTS or
        Topic.CUSTOMER_EVENTS, the source topic of that table.
        """


APPEND_SECONDS_MAX = 5.0
"""Stripe waits some seconds, unpublished; whoever appends for the edge answers 503 after this."""
