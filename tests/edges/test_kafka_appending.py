"""Single appends on a real Kafka: gathered to batches, each is still told its own position and its own failure."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from processors.record import Source, Topic
from streams.errors import LogUnavailable
from streams.kafka.log import KafkaLog
from streams.kafka.provision import record_bytes_max
from streams.kafka.writing import BATCH_BYTES_MAX, BATCH_EXTRA_BYTES, Appender
from streams.log import NewRecord, Position
from streams.settings import Settings

pytestmark = pytest.mark.kafka

PARTITIONS = 2


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str) -> Settings:
    return Settings(broker=f"kafka://{kafka_bootstrap}", topic_prefix=topic_prefix, partitions=PARTITIONS)


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(settings)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


@pytest.fixture
async def appender(settings: Settings, log: KafkaLog) -> AsyncIterator[Appender]:
    appender = Appender(settings)
    await appender.start()
    try:
        yield appender
    finally:
        await appender.stop()


def event(value: bytes, partition: int = 0) -> NewRecord:
    return NewRecord(Topic.CUSTOMER_EVENTS, b"cus_1", value, Source.WEBHOOK, 1_700_000_000_123, partition)


async def values(log: KafkaLog, partition: int = 0) -> list[bytes]:
    return [record.value async for record in log.read(Topic.CUSTOMER_EVENTS, partition)]


async def test_each_of_many_appends_at_once_is_told_where_its_own_record_is(log: KafkaLog) -> None:
    # Sizes from nothing to several batches, so that batches end in every way.
    sizes = [0, BATCH_BYTES_MAX // 20, BATCH_BYTES_MAX // 2, BATCH_BYTES_MAX, 3 * BATCH_BYTES_MAX]
    records = [event(b"%d " % number + bytes(sizes[number % len(sizes)]), number % PARTITIONS) for number in range(400)]

    async def append_after(turns: int, record: NewRecord) -> tuple[int, int]:
        for _ in range(turns):
            await asyncio.sleep(0)
        position = await log.append(record)
        return position.partition, position.offset

    told = await asyncio.gather(*(append_after(number % 40, record) for number, record in enumerate(records)))
    there = [await values(log, partition) for partition in range(PARTITIONS)]
    assert [there[partition][offset] for partition, offset in told] == [record.value for record in records]
    assert sum(map(len, there)) == len(records)


async def test_a_record_too_large_fails_alone_and_the_largest_is_taken(
    appender: Appender, log: KafkaLog, settings: Settings
) -> None:
    largest = bytes(record_bytes_max(settings) - BATCH_EXTRA_BYTES - len(b"cus_1"))
    outcomes = await asyncio.gather(
        *(appender.append(event(value)) for value in (b"a", largest + b"!", largest, b"b")), return_exceptions=True
    )
    assert [type(outcome) for outcome in outcomes] == [Position, LogUnavailable, Position, Position]
    assert await values(log) == [b"a", largest, b"b"]


async def test_after_an_error_that_a_producer_does_not_survive_the_next_append_takes_a_new_one(
    appender: Appender, log: KafkaLog
) -> None:
    await appender.append(event(b"before"))
    await appender.stop()
    outcomes = await asyncio.gather(*(appender.append(event(b"lost")) for _ in range(3)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [LogUnavailable] * 3
    await asyncio.gather(*(appender.append(event(b"after")) for _ in range(3)))
    assert await values(log) == [b"before", b"after", b"after", b"after"]


async def test_who_gives_up_before_the_record_has_left_takes_it_back(appender: Appender, log: KafkaLog) -> None:
    giving_up = asyncio.create_task(appender.append(event(b"given up")))
    await asyncio.sleep(0)
    giving_up.cancel()
    await appender.append(event(b"kept"))
    assert giving_up.cancelled()
    assert await values(log) == [b"kept"]
