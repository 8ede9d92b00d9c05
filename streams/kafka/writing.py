"""Appending to Kafka outside of the agents: one idempotent producer, and transactions for what belongs together.

Acknowledged means acks=all. A send whose acknowledgement is late is never sent again from here: it may still arrive,
once; the caller decides whether to append anew, and readers drop repeats by the id inside.
"""

import asyncio
import contextlib
import random
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError, ProducerFenced

from streams.deadline import SharedDeadline
from streams.errors import LogUnavailable, Unreachable
from streams.kafka.batches import Batches
from streams.kafka.connection import client_arguments, unreachable
from streams.kafka.provision import record_bytes_max
from streams.kafka.records import headers_of
from streams.log import APPEND_SECONDS_MAX, NewRecord, Position
from streams.settings import Settings
from streams.topics import group_name, partition_of, partitions_of, topic_name

TRANSACTION_SECONDS_MAX = 20.0
"""One record in each of 1,024 partitions takes seconds; the broker aborts what is open for longer."""
STOP_SECONDS_MAX = 3.0
"""aiokafka's idempotent producer would wait for an absent broker for ever."""
REQUEST_SECONDS_MAX = 5.0
RETRY_BACKOFF_MS = 20
"""How soon a new transaction asks again whether a former one's abort is done; the default of 100 is felt."""

BATCH_BYTES_MAX = 64 * 1024
"""aiokafka's default of 16 kB holds four events: more of them for a partition wait for the batch to leave. One batch of
each of 1,024 partitions still fits into a request that a broker takes (100 MB).
"""
BATCH_EXTRA_BYTES = 256
"""More than the heads of a batch and of a record, with our headers. What a broker refused would break the sequence."""

FENCED_PAUSE_SECONDS_MAX = 0.5
"""Several times what such a transaction takes, by chance: two that fence each other must not go on in step."""


class Appender:
    """`append` from any number of tasks at once; `append_all` one after the other."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._record_bytes_max = record_bytes_max(settings) - BATCH_EXTRA_BYTES
        self._batches: Batches | None = None
        self._deadline = SharedDeadline(APPEND_SECONDS_MAX)
        self._renewing = asyncio.Lock()
        self._closing: set[asyncio.Task[None]] = set()
        self._transacting = asyncio.Lock()

    async def start(self) -> None:
        """Raises Unreachable."""
        producer = await self._started(AIOKafkaProducer(enable_idempotence=True, **self._arguments()))
        self._batches = Batches(producer)

    async def stop(self) -> None:
        if self._batches is not None:
            await _closed(self._batches)
        await asyncio.gather(*self._closing)

    async def append(self, record: NewRecord) -> Position:
        """Raises LogUnavailable within APPEND_SECONDS_MAX."""
        batches = self._batches
        try:
            return await self._deadline.within(self._append(record))
        except TimeoutError as error:
            raise self._unavailable(f"no acknowledgement within {APPEND_SECONDS_MAX:.0f} s") from error
        except KafkaError as error:
            if batches is not None and not _passing(error):
                self._abandon(batches)
            raise self._unavailable(f"{type(error).__name__}: {error}") from error
        except Unreachable as error:  # of a new producer in place of an abandoned one
            raise self._unavailable(str(error)) from error

    async def _append(self, record: NewRecord) -> Position:
        if len(record.key) + len(record.value) > self._record_bytes_max:
            raise MessageSizeTooLargeError(f"{len(record.value)} bytes, at most {self._record_bytes_max} are taken")
        batches = self._batches or await self._renewed()
        return await batches.add(self._partition_of(record), record)

    async def append_all(self, records: Sequence[NewRecord]) -> dict[TopicPartition, int]:
        """Returns the last offset in each partition written; committed readers see it some milliseconds later.

        Raises LogUnavailable. Another process that does the same at that moment ends this one's transaction, as roles
        do that start together on a new log: nothing was written then, and it is tried again.
        """
        try:
            async with self._transacting, asyncio.timeout(TRANSACTION_SECONDS_MAX):
                while True:
                    # aiokafka asserts that it is not fenced between two sends
                    with contextlib.suppress(ProducerFenced, AssertionError):
                        return await self._transact(records)
                    await asyncio.sleep(random.uniform(0, FENCED_PAUSE_SECONDS_MAX))  # noqa: S311 - no secret
        except TimeoutError as error:
            raise self._unavailable(f"no acknowledgement within {TRANSACTION_SECONDS_MAX:.0f} s") from error
        except KafkaError as error:
            raise self._unavailable(f"{type(error).__name__}: {error}") from error

    async def _transact(self, records: Sequence[NewRecord]) -> dict[TopicPartition, int]:
        # Its own producer each time: starting it aborts what a former one left open, and nothing is held in between.
        producer = AIOKafkaProducer(
            transactional_id=f"{group_name(self._settings)}-append",
            transaction_timeout_ms=int(TRANSACTION_SECONDS_MAX * 1000),
            retry_backoff_ms=RETRY_BACKOFF_MS,
            **self._arguments(),
        )
        try:
            await producer.start()
            await producer.begin_transaction()
            try:
                sends = [await self._send(producer, record) for record in records]
                written = await asyncio.gather(*sends)  # aiokafka would commit although a send failed
            except BaseException:
                await _aborted(producer)
                raise
            await producer.commit_transaction()
        finally:
            await _stopped(producer)
        return {sent.topic_partition: sent.offset for sent in written}

    async def _send(self, producer: AIOKafkaProducer, record: NewRecord) -> "asyncio.Future[Any]":
        where = self._partition_of(record)
        sent: asyncio.Future[Any] = await producer.send(
            where.topic,
            record.value,
            key=record.key,
            partition=where.partition,
            headers=headers_of(record.source, record.received_ms),
        )
        sent.add_done_callback(_look_at_failure)
        return sent

    def _partition_of(self, record: NewRecord) -> TopicPartition:
        partition = record.partition
        if partition is None:
            partition = partition_of(record.key, partitions_of(self._settings, record.topic))
        return TopicPartition(topic_name(self._settings, record.topic), partition)

    def _arguments(self) -> dict[str, Any]:
        return {
            "acks": "all",
            "linger_ms": 0,
            "max_batch_size": BATCH_BYTES_MAX,
            "max_request_size": record_bytes_max(self._settings),
            "request_timeout_ms": int(REQUEST_SECONDS_MAX * 1000),
            **client_arguments(self._settings),
        }

    async def _started(self, producer: AIOKafkaProducer) -> AIOKafkaProducer:
        try:
            await producer.start()
        except BaseException as error:
            await _stopped(producer)
            if isinstance(error, KafkaError | OSError):
                raise unreachable(self._settings, error) from error
            raise
        return producer

    async def _renewed(self) -> Batches:
        async with self._renewing:
            if self._batches is None:
                await self.start()
        assert self._batches is not None
        return self._batches

    def _abandon(self, batches: Batches) -> None:
        """After a fatal error (its sequence is broken, or it lost a right) a producer fails every send: the next append
        takes a new one.
        """
        if self._batches is batches:
            self._batches = None
            closing = asyncio.create_task(_closed(batches))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    def _unavailable(self, reason: str) -> LogUnavailable:
        return LogUnavailable(
            f"Kafka has not acknowledged ({reason}): nothing was promised. Check the broker and append again."
        )


def _passing(error: KafkaError) -> bool:
    return error.retriable or isinstance(error, KafkaTimeoutError | MessageSizeTooLargeError)


def _look_at_failure(sent: "asyncio.Future[Any]") -> None:
    """Of several sends that fail together the first is raised; the others would be logged as never retrieved."""
    if not sent.cancelled():
        sent.exception()


async def _aborted(producer: AIOKafkaProducer) -> None:
    """Best effort: the next start, or the transaction's timeout, aborts it as well."""
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await producer.abort_transaction()
    except AssertionError:
        # Who was fenced has nothing to abort, and aiokafka keeps the reason in a future that wants to be looked at.
        _look_at_failure(producer._txn_manager.wait_for_transaction_end())  # noqa: SLF001 - no public way to it
    except (KafkaError, TimeoutError):
        pass


async def _closed(batches: Batches) -> None:
    await _stopped(batches.producer)
    batches.close()


async def _stopped(producer: AIOKafkaProducer) -> None:
    try:
        async with asyncio.timeout(STOP_SECONDS_MAX):
            await producer.stop()
    except (KafkaError, TimeoutError):
        await producer.client.close()
