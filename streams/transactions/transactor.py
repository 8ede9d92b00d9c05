"""The seam between the engine and the two logs: a batch of steps of one source partition, committed as one.

The engine collects what a batch of records makes (batch.py, lane.py); a Transactor makes it visible together with the
consumed offset, or not at all. streams/transactions/kafka.py and streams/transactions/embedded.py implement it.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from streams.log import NewRecord


class ChangelogRecord(msgspec.Struct, frozen=True):
    """The last value that a batch gave to one key (None: deleted). Goes to the table's changelog, same partition."""

    key: bytes
    value: bytes | None


class Batch(msgspec.Struct, frozen=True):
    """One transaction: `next_offset` is the source offset after the last record it consumed."""

    changelog: Sequence[ChangelogRecord]
    outputs: Sequence[NewRecord]
    next_offset: int


class Transactor(Protocol):
    """Owns one source partition of one agent until it is closed or fenced."""

    async def commit(self, batch: Batch) -> int | None:
        """Returns the changelog offset of the batch's last record (None: it had none). Raises Fenced; after that the
        worker must stop. On the embedded log it waits while the disk is full.
        """

    async def close(self) -> None: ...


class Transactions(Protocol):
    async def open(self, agent: str, partition: int) -> Transactor:
        """Takes the partition over: fences a former owner and aborts what it left open, before this returns."""
