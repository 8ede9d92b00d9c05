"""Transactions on Kafka: one transactional producer for each source partition of each agent.

`open` is called before Faust handles an assignment: starting the producer fences the former owner and aborts what it
left open. Outputs, changelog and consumed offset of a batch then go through this producer, and become visible to
committed readers together.
"""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams import topics
from streams.errors import Fenced
from streams.kafka.connection import client_arguments, unreachable
from streams.kafka.provision import record_bytes_max
from streams.kafka.records import headers_of
from streams.log import NewRecord
from streams.settings import Settings
from streams.transactions.agent import Agent
from streams.transactions.transactor import Batch

TRANSACTION_SECONDS_MAX = 30.0
"""The broker aborts a transaction that is open for longer; committed readers wait behind an open one."""

COMMIT_SECONDS_MAX = 25.0
"""A commit that takes longer has failed: it must be over before the broker gives the transaction up."""

OPEN_SECONDS_MAX = 20.0
"""Fencing waits until the former owner's open transaction is aborted: 18 to 100 ms on a healthy broker."""

CLOSE_SECONDS_MAX = 3.0
RETRY_BACKOFF_MS = 20
"""How often a start over an open transaction asks whether its abort is done; the default of 100 is felt."""

PRODUCE_BATCH_BYTES = 256 * 1024
"""Records for one partition that travel together; the default of 16 KiB holds five events."""


class KafkaTransactions:
    """`agents`: by name; filled while the app is put together, read when partitions are assigned."""

    def __init__(self, settings: Settings, agents: Mapping[str, Agent[Any]]) -> None:
        self._settings = settings
        self._agents = agents

    async def open(self, agent: str, partition: int) -> "KafkaTransactor":
        """Raises Unreachable."""
        group = topics.group_name(self._settings)
        producer = AIOKafkaProducer(
            transactional_id=f"{group}-{agent}-{partition}",
            transaction_timeout_ms=int(TRANSACTION_SECONDS_MAX * 1000),
            retry_backoff_ms=RETRY_BACKOFF_MS,
            max_request_size=record_bytes_max(self._settings),
            max_batch_size=PRODUCE_BATCH_BYTES,
            **client_arguments(self._settings),
        )
        try:
            async with asyncio.timeout(OPEN_SECONDS_MAX):
                await producer.start()
        except (KafkaError, OSError, TimeoutError) as error:
            await _stop(producer)
            raise unreachable(self._settings, error) from error
        except BaseException:
            await _stop(producer)
            raise
        return KafkaTransactor(self._settings, self._agents[agent], partition, producer)


class KafkaTransactor:
    def __init__(self, settings: Settings, agent: Agent[Any], partition: int, producer: AIOKafkaProducer) -> None:
        self._settings = settings
        self._name = f"{agent.name}, partition {partition}"
        self._group = topics.group_name(settings)
        self._source = TopicPartition(topics.topic_name(settings, agent.source), partition)
        self._changelog = topics.changelog_name(settings, agent.table)
        self._producer = producer

    async def commit(self, batch: Batch) -> int | None:
        sends: list[asyncio.Future[Any]] = []
        try:
            async with asyncio.timeout(COMMIT_SECONDS_MAX):
                return await self._commit(batch, sends)
        except Exception as error:
            # Whatever it is: a transaction that timed out surfaces as ProducerFenced too, and fencing as
            # IllegalOperation. What this worker has in mind is ahead of the log; a restart brings the two together.
            raise Fenced(
                f"the transaction of {self._name} failed ({type(error).__name__}: {error}): another worker owns the "
                "partition now, or the broker refused it, or it had forgotten this worker because the partition was "
                "idle for longer than transactional.id.expiration.ms (7 days). It is in the log as a whole or not at "
                "all; this worker stops, start it again."
            ) from error
        finally:
            _look_at_failures(sends)

    async def _commit(self, batch: Batch, sends: "list[asyncio.Future[Any]]") -> int | None:
        """`sends` receives the future of every send, the changelog's last."""
        producer = self._producer
        await producer.begin_transaction()
        for output in batch.outputs:
            sends.append(await self._send(output))
        for change in batch.changelog:
            change_sent = producer.send(self._changelog, change.value, key=change.key, partition=self._source.partition)
            sends.append(await change_sent)
        await producer.flush()
        for sent in sends:
            sent.result()  # aiokafka would commit although a send failed
        offsets = {self._source: OffsetAndMetadata(batch.next_offset, "")}
        await producer.send_offsets_to_transaction(offsets, self._group)
        await producer.commit_transaction()
        return int(sends[-1].result().offset) if batch.changelog else None

    async def _send(self, record: NewRecord) -> "asyncio.Future[Any]":
        partition = record.partition
        if partition is None:
            partition = topics.partition_of(record.key, topics.partitions_of(self._settings, record.topic))
        sent: asyncio.Future[Any] = await self._producer.send(
            topics.topic_name(self._settings, record.topic),
            record.value,
            key=record.key,
            partition=partition,
            headers=headers_of(record.source, record.received_ms),
        )
        return sent

    async def close(self) -> None:
        await _stop(self._producer)


def _look_at_failures(sends: "list[asyncio.Future[Any]]") -> None:
    """The first one is reported by the commit; the others would be logged as never retrieved."""
    for sent in sends:
        if sent.done() and not sent.cancelled():
            sent.exception()


async def _stop(producer: AIOKafkaProducer) -> None:
    """A transaction that is still open is aborted by the next owner, or by the broker."""
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await producer.stop()
            return
    with contextlib.suppress(KafkaError, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS_MAX):
            await producer.client.close()
