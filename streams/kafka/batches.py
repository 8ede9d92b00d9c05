"""Single appends gathered to batches: while the broker works on some, the next ones gather, and leave together.

Made and used by streams/kafka/writing.py. `AIOKafkaProducer.send` looks up the topic and its partitions and wakes the
sender for a single record, which costs as much as all that the edge does before it; `send_batch` does it for many.
A batch is closed before aiokafka gets it: what joins one between its numbering and its sending breaks the sequence of
an idempotent producer.
"""

import asyncio
import copy
from collections import defaultdict
from collections.abc import Iterable
from typing import NamedTuple

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerClosed
from aiokafka.producer.message_accumulator import BatchBuilder

from streams.kafka.records import headers_of
from streams.log import NewRecord, Position

GATHER_SECONDS_MAX = 0.02
"""Longer than a broker takes to acknowledge; and no more is what the other partitions wait for one whose broker hangs.
With nothing on its way, nothing is waited for.
"""


class _Waiting(NamedTuple):
    where: TopicPartition
    record: NewRecord
    acknowledged: "asyncio.Future[Position]"


class Batches:
    """Of one idempotent producer; bound to the running loop."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Waiting] = []
        self._flushing: asyncio.Handle | None = None
        self._deliveries: set[asyncio.Task[None]] = set()

    def add(self, where: TopicPartition, record: NewRecord) -> "asyncio.Future[Position]":
        """The future fails with a KafkaError. Cancelling it takes back only what has not left."""
        acknowledged: asyncio.Future[Position] = self._loop.create_future()
        self._waiting.append(_Waiting(where, record, acknowledged))
        if self._flushing is None:
            # Even then not at once: others of the same turn of the loop come along.
            self._flushing = (
                self._loop.call_later(GATHER_SECONDS_MAX, self._flush)
                if self._deliveries
                else self._loop.call_soon(self._flush)
            )
        return acknowledged

    def close(self) -> None:
        """After the producer has stopped: what is not acknowledged by now fails."""
        for delivery in self._deliveries:
            delivery.cancel()
        _fail((one.acknowledged for one in self._waiting), ProducerClosed())

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        of_partition: defaultdict[TopicPartition, list[_Waiting]] = defaultdict(list)
        for one in self._waiting:
            if not one.acknowledged.done():
                of_partition[one.where].append(one)
        self._waiting = []
        for where, together in of_partition.items():
            self._hand_over(where, together)

    def _hand_over(self, where: TopicPartition, together: Iterable[_Waiting]) -> None:
        """In as few batches as hold them."""
        builder, members = self.producer.create_batch(), list["asyncio.Future[Position]"]()
        for one in together:
            if not _fits(builder, one.record):
                self._start_delivery(where, builder, members)
                builder, members = self.producer.create_batch(), []
                assert _fits(builder, one.record), "the first record of a batch fits, whatever its size"
            members.append(one.acknowledged)
        self._start_delivery(where, builder, members)

    def _start_delivery(
        self, where: TopicPartition, builder: BatchBuilder, members: "list[asyncio.Future[Position]]"
    ) -> None:
        builder.close()
        delivery = self._loop.create_task(self._deliver(where, builder, members))
        self._deliveries.add(delivery)
        delivery.add_done_callback(self._delivered)

    def _delivered(self, delivery: "asyncio.Task[None]") -> None:
        self._deliveries.discard(delivery)
        if self._waiting and not self._deliveries:
            self._flush()

    async def _deliver(
        self, where: TopicPartition, builder: BatchBuilder, members: "list[asyncio.Future[Position]]"
    ) -> None:
        try:
            sent = await (await self.producer.send_batch(builder, where.topic, partition=where.partition))
        except KafkaError as error:
            _fail(members, error)
        except BaseException:
            _fail(members, ProducerClosed())
            raise
        else:
            for number, acknowledged in enumerate(members):
                if not acknowledged.done():
                    acknowledged.set_result(Position(where.partition, sent.offset + number))


def _fits(builder: BatchBuilder, record: NewRecord) -> bool:
    """Whether it is in the batch now."""
    headers = headers_of(record.source, record.received_ms)
    return builder.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


def _fail(futures: "Iterable[asyncio.Future[Position]]", error: KafkaError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(copy.copy(error))  # raised in several tasks, one would collect all their tracebacks
