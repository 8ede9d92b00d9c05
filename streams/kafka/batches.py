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
    record: NewRecord
    acknowledged: "asyncio.Future[Position]"


class Batches:
    """Of one idempotent producer; bound to the running loop. Of each partition one batch at a time is on its way:
    aiokafka sends no more, and gives up batches that have to wait for each other.
    """

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self.producer = producer
        self._loop = asyncio.get_running_loop()
        self._waiting: defaultdict[TopicPartition, list[_Waiting]] = defaultdict(list)
        self._flushing: asyncio.Handle | None = None
        self._on_the_way: dict[TopicPartition, asyncio.Task[None]] = {}

    def add(self, where: TopicPartition, record: NewRecord) -> "asyncio.Future[Position]":
        """The future fails with a KafkaError. Cancelling it takes back only what has not left."""
        acknowledged: asyncio.Future[Position] = self._loop.create_future()
        self._waiting[where].append(_Waiting(record, acknowledged))
        if self._flushing is None:
            self._flush_soon()
        return acknowledged

    def close(self) -> None:
        """After the producer has stopped: what is not acknowledged by now fails."""
        for delivery in self._on_the_way.values():
            delivery.cancel()
        for together in self._waiting.values():
            _fail((one.acknowledged for one in together), ProducerClosed())

    def _flush_soon(self) -> None:
        """With nothing on its way in this turn of the loop, so that what else it brings comes along."""
        self._flushing = (
            self._loop.call_later(GATHER_SECONDS_MAX, self._flush)
            if self._on_the_way
            else self._loop.call_soon(self._flush)
        )

    def _flush(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None
        waiting, self._waiting = self._waiting, defaultdict(list)
        for where, all_together in waiting.items():
            together = [one for one in all_together if not one.acknowledged.done()]
            rest = together if where in self._on_the_way else self._hand_over(where, together)
            if rest:
                self._waiting[where] = rest
        if self._waiting:
            self._flush_soon()

    def _hand_over(self, where: TopicPartition, together: list[_Waiting]) -> list[_Waiting]:
        """Returns those that do not fit into one batch."""
        if not together:
            return []
        builder = self.producer.create_batch()
        fitting = 0
        while fitting < len(together) and _fits(builder, together[fitting].record):
            fitting += 1
        assert fitting, "the first record of a batch fits, whatever its size"
        builder.close()
        members = [one.acknowledged for one in together[:fitting]]
        self._on_the_way[where] = self._loop.create_task(self._deliver(where, builder, members))
        return together[fitting:]

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
        finally:
            del self._on_the_way[where]
            if self._waiting and not self._on_the_way:
                self._flush()


def _fits(builder: BatchBuilder, record: NewRecord) -> bool:
    """Whether it is in the batch now."""
    headers = headers_of(record.source, record.received_ms)
    return builder.append(timestamp=None, key=record.key, value=record.value, headers=headers) is not None


def _fail(futures: "Iterable[asyncio.Future[Position]]", error: KafkaError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(copy.copy(error))  # raised in several tasks, one would collect all their tracebacks
