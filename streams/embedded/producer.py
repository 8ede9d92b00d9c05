"""What Faust itself sends on the embedded log: its futures resolve when the record is on disk.

Our agents' outputs do not come this way (streams/transactions/embedded.py), but Faust's tables and `topic.send` may:
Faust only logs a failed send, so these wait for a full disk instead of failing.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import faust.transport.producer
from faust.types import TP
from faust.types.tuples import RecordMetadata
from mode import want_seconds

from streams import topics
from streams.embedded.commits import Job
from streams.embedded.partition import Partition
from streams.embedded.stored import Append
from streams.errors import LogUnusable
from streams.topics import TopicSpec

LOG_APPEND_TIME = 1
"""Kafka's timestamp type for records stamped by the log itself, as these are."""


class Producer(faust.transport.producer.Producer):  # type: ignore[misc] # Faust is untyped
    def __post_init__(self) -> None:
        self._pending: set[asyncio.Future[RecordMetadata]] = set()

    @property
    def _file(self) -> Any:
        return self.app.event_log.file

    async def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        timestamp: float | None,  # noqa: ARG002 - the log stamps its records itself
        headers: Any,
        *,
        transactional_id: str | None = None,  # noqa: ARG002 - Faust's own exactly-once is not used
    ) -> "asyncio.Future[RecordMetadata]":
        """The future gives the record's place once it is on disk. Raises LogUnusable for an unknown topic."""
        target = self._partition(topic, key, partition)
        source, received_ms = _known_headers(headers)
        job: Job = self._file.submit((Append(target.id, key, value, source, received_ms),), patient=True)
        sent: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        self._pending.add(sent)
        sent.add_done_callback(self._pending.discard)
        job.future.add_done_callback(lambda done: _pass_on(done, sent, TP(topic, target.number)))
        return sent

    async def send_and_wait(self, *args: Any, **kwargs: Any) -> RecordMetadata:
        return await (await self.send(*args, **kwargs))

    async def flush(self) -> None:
        """Returns when everything sent before is on disk, or has failed."""
        await self.buffer.flush()
        if self._pending:
            await asyncio.wait(set(self._pending))

    async def create_topic(
        self,
        topic: str,
        partitions: int,
        replication: int,  # noqa: ARG002 - one file
        *,
        config: Mapping[str, Any] | None = None,  # noqa: ARG002 - Kafka's
        timeout: Any = 0,  # noqa: ARG002, ASYNC109 - Faust's signature
        retention: Any = None,
        compacting: bool | None = None,
        deleting: bool | None = None,  # noqa: ARG002 - says the same as a retention
        ensure_created: bool = False,  # noqa: ARG002 - it always is
    ) -> None:
        retention_ms = int(want_seconds(retention) * 1000) if retention else None
        await self._file.create_topics([TopicSpec(topic, partitions, bool(compacting), retention_ms)])

    def key_partition(self, topic: str, key: bytes) -> TP:
        return TP(topic, self._partition(topic, key, None).number)

    def supports_headers(self) -> bool:
        return False  # of a person's own making; `source` and `received_ms` are kept

    def _partition(self, topic: str, key: bytes | None, number: int | None) -> Partition:
        partitions = self._file.partitions(topic)
        if not partitions:
            raise LogUnusable(f"The log {self._file.path} has no topic {topic}; create it before sending.")
        if number is None:
            number = topics.partition_of(key or b"", len(partitions))
        found: Partition = partitions[number]
        if found.compacted and key is None:
            raise ValueError(f"{topic} is compacted: a record without a key would replace nothing, and never go")
        return found


def _pass_on(done: "asyncio.Future[int]", sent: "asyncio.Future[RecordMetadata]", tp: TP) -> None:
    if sent.done():
        return
    if done.cancelled():
        sent.cancel()
    elif error := done.exception():
        sent.set_exception(error)
    else:
        sent.set_result(RecordMetadata(tp.topic, tp.partition, tp, done.result(), None, LOG_APPEND_TIME))


def _known_headers(headers: Any) -> tuple[str | None, int | None]:
    """Raises ValueError for a header the log has no column for: better than losing it without a word."""
    if not headers:
        return None, None
    given = dict(headers.items() if isinstance(headers, Mapping) else headers)
    source, received = given.pop("source", None), given.pop("received_ms", None)
    if given:
        raise ValueError(f"the embedded log keeps the headers source and received_ms, not {', '.join(sorted(given))}")
    return source and source.decode(), received and int(received)
