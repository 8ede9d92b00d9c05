"""A record on the wire: what goes out as headers, and a consumed record as the core sees it."""

from collections.abc import Sequence
from typing import Protocol

from processors.record import Record, Source, Topic

SOURCE_HEADER = "source"
RECEIVED_HEADER = "received_ms"


class Consumed(Protocol):
    """What we read of aiokafka's ConsumerRecord; `timestamp` is the broker's, in ms since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


def headers_of(source: Source, received_ms: int) -> list[tuple[str, bytes]]:
    return [(SOURCE_HEADER, source.encode()), (RECEIVED_HEADER, str(received_ms).encode())]


def record_of(topic: Topic, consumed: Consumed) -> Record | None:
    """None when its headers cannot be read: not one of ours. (The agents make a dead letter of such a record.)"""
    headers = dict(consumed.headers)
    try:
        source = Source((headers.get(SOURCE_HEADER) or b"").decode())
        received_ms = int(headers.get(RECEIVED_HEADER) or b"")
    except ValueError:  # absent, null, no text, no number, no such source
        return None
    return _record(topic, consumed, source, received_ms)


def changelog_record_of(topic: Topic, consumed: Consumed) -> Record:
    """A changelog carries no headers: `received_ms` is when the broker took it, and its source is a replay of the
    table. A deletion has an empty value.
    """
    return _record(topic, consumed, Source.REPLAY, consumed.timestamp)


def _record(topic: Topic, consumed: Consumed, source: Source, received_ms: int) -> Record:
    return Record(
        topic=topic,
        partition=consumed.partition,
        offset=consumed.offset,
        key=consumed.key or b"",
        value=consumed.value or b"",
        source=source,
        received_ms=received_ms,
    )
