"""What a batch of records makes, collected as values: states, outputs, dead letters and the next offset.

The lane calls `take` for each delivered message and hands `batch()` to the Transactor. Nothing here waits, writes or
sends. A record that cannot be read, and a step that raises (our bug), become a dead letter in the same transaction.
"""

from collections.abc import Callable
from typing import Any, Generic

import structlog

from processors.messages import DeadLetter, encode
from processors.record import Advanced, Record, S, Source, Topic
from streams.errors import MillraceError
from streams.log import NewRecord
from streams.transactions.agent import Agent
from streams.transactions.overlay import Overlay, Written
from streams.transactions.transactor import Batch, ChangelogRecord

logger = structlog.get_logger(__name__)

BATCH_RECORDS_MAX = 500
"""More records hardly make a transaction cheaper, but what is redone after a crash longer."""

BATCH_BYTES_MAX = 8 * 1024 * 1024
"""What a batch reads and writes at most (plus one record): it is held in memory, for every partition at once."""

VALUE_BYTES_MAX = 8 * 1024 * 1024
"""A state or message beyond this is refused, with the record that made it: the broker would refuse the transaction
again and again, and the partition would stand still.
"""

PartitionOf = Callable[[Topic, bytes], int]


class TooLarge(Exception):  # noqa: N818 - says what is wrong
    """A state or message beyond VALUE_BYTES_MAX."""


class BatchBuilder(Generic[S]):
    def __init__(
        self, agent: Agent[S], partition: int, read: Callable[[bytes], bytes | None], partition_of: PartitionOf
    ) -> None:
        self._agent = agent
        self._partition = partition
        self._partition_of = partition_of
        self._overlay: Overlay[S] = Overlay(read, agent.decode)
        self._outputs: list[NewRecord] = []
        self._bytes = 0
        self._next_offset = 0
        self.records = 0
        self.dead_letters = 0

    @property
    def is_full(self) -> bool:
        return self.records >= BATCH_RECORDS_MAX or self._bytes >= BATCH_BYTES_MAX

    @property
    def states(self) -> dict[str, Written[S]]:
        return self._overlay.written

    def batch(self) -> Batch:
        changelog = [ChangelogRecord(key.encode(), written.encoded) for key, written in self.states.items()]
        return Batch(changelog, self._outputs, self._next_offset)

    def take(self, message: Any) -> None:
        """Runs the step on one message (a Faust `Message`: offset, key, value, headers, timestamp).

        Raises LogUnusable when the table cannot be read: then nothing of this batch may be committed.
        """
        key, value = message.key or b"", message.value or b""
        headers = {name: text for name, text in message.headers or () if text is not None}
        try:
            source = Source(_header(headers, "source"))
            received_ms = int(_header(headers, "received_ms"))
        except ValueError as error:
            self._bury(message, headers, f"the record's headers cannot be read: {error}")
        else:
            record = Record(self._agent.source, self._partition, message.offset, key, value, source, received_ms)
            self._advance(record, message, headers)
        self._bytes += len(key) + len(value)
        self._next_offset = message.offset + 1
        self.records += 1

    def _advance(self, record: Record, message: Any, headers: dict[str, bytes]) -> None:
        try:
            advanced = self._agent.step(self._overlay, record)
            written = self._encoded_state(advanced)
            outputs = self._encoded_outputs(advanced, record)
        except MillraceError:
            raise  # the table cannot be read: not this record's fault, and not to be committed over
        except Exception as error:
            logger.exception(
                "the step raised, which is a bug in Millrace",
                action="dead_letter",
                agent=self._agent.name,
                partition=self._partition,
                offset=message.offset,
            )
            self._bury(message, headers, f"a bug in Millrace: {type(error).__name__}: {error}")
            return
        if written is not None:
            self._overlay.written[advanced.key] = written
            self._bytes += len(written.encoded)
        self._outputs.extend(outputs)
        self._bytes += sum(len(output.value) for output in outputs)

    def _encoded_state(self, advanced: Advanced[S]) -> Written[S] | None:
        # Encoded for every record, not once at the commit: so a state that cannot be encoded is laid at the door of
        # the record that made it.
        if advanced.state is None:
            return None
        return Written(advanced.state, _bounded(self._agent.encode(advanced.state), f"the state of {advanced.key!r}"))

    def _encoded_outputs(self, advanced: Advanced[S], cause: Record) -> list[NewRecord]:
        return [
            NewRecord(
                topic=output.topic,
                key=(key := output.key.encode()),
                value=_bounded(encode(output.message), f"a message to {output.topic}"),
                source=cause.source,
                received_ms=cause.received_ms,
                partition=self._partition_of(output.topic, key),
            )
            for output in advanced.outputs
        ]

    def _bury(self, message: Any, headers: dict[str, bytes], reason: str) -> None:
        """Everything in a dead letter comes from the record: read again, it is the same (L4)."""
        received_ms = int((message.timestamp or 0) * 1000)
        letter = DeadLetter(
            topic=self._agent.source,
            partition=self._partition,
            offset=message.offset,
            key=message.key or b"",
            raw=message.value or b"",
            reason=reason,
            source=headers.get("source", b"").decode(errors="replace"),
            received_ms=received_ms,
        )
        key = self._agent.source.encode()
        partition = self._partition_of(Topic.DEAD_LETTERS, key)
        source = letter.source if letter.source in set(Source) else Source.REPLAY
        self._outputs.append(NewRecord(Topic.DEAD_LETTERS, key, encode(letter), Source(source), received_ms, partition))
        self.dead_letters += 1


def _header(headers: dict[str, bytes], name: str) -> str:
    if (value := headers.get(name)) is None:
        raise ValueError(f"{name} is missing")
    return value.decode()


def _bounded(value: bytes, what: str) -> bytes:
    if len(value) > VALUE_BYTES_MAX:
        raise TooLarge(f"{what} has {len(value)} bytes, at most {VALUE_BYTES_MAX} are allowed")
    return value
