"""One transactional producer per source partition: who opens it fences the former owner, and no send fails unseen."""

import asyncio
import contextlib

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError

from processors.record import Source, Topic
from streams import topics
from streams.errors import Fenced, Unreachable
from streams.kafka.log import KafkaLog
from streams.log import NewRecord
from streams.settings import Settings
from streams.transactions.kafka import KafkaTransactions
from streams.transactions.transactor import Batch, ChangelogRecord
from tests.acceptance.counting_worker import counting_agent

pytestmark = pytest.mark.kafka


@pytest.fixture
async def log(kafka_bootstrap: str, topic_prefix: str):
    settings = Settings(broker=f"kafka://{kafka_bootstrap}", topic_prefix=topic_prefix, partitions=2)
    log = KafkaLog(settings)
    await log.start()
    yield log
    await log.stop()


@pytest.fixture
def transactions(kafka_bootstrap: str, topic_prefix: str) -> KafkaTransactions:
    settings = Settings(broker=f"kafka://{kafka_bootstrap}", topic_prefix=topic_prefix, partitions=2)
    return KafkaTransactions(settings, {"customers": counting_agent()})


def output(value: bytes, partition: int | None = 0) -> NewRecord:
    return NewRecord(Topic.CUSTOMER_CHANGES, b"key", value, Source.KIT, 17, partition)


async def changes(log: KafkaLog) -> list[bytes]:
    return [record.value for partition in range(2) async for record in log.read(Topic.CUSTOMER_CHANGES, partition)]


async def test_a_batch_becomes_visible_with_its_offset_and_tells_the_changelogs_last_offset(log, transactions):
    transactor = await transactions.open("customers", 1)
    states = [ChangelogRecord(b"a", b"1"), ChangelogRecord(b"b", b"2")]
    assert await transactor.commit(Batch(states, [output(b"said"), output(b"by its key", None)], 5)) == 1
    assert await transactor.commit(Batch([], [], 6)) is None
    await transactor.close()
    by_key = topics.partition_of(b"key", 2)
    (record,) = [r async for r in log.read(Topic.CUSTOMER_CHANGES, by_key) if r.value == b"by its key"]
    assert (record.source, record.received_ms, record.key) == (Source.KIT, 17, b"key")
    assert sorted(await changes(log)) == [b"by its key", b"said"]


async def test_opening_a_partition_fences_whoever_had_it(log, transactions):
    former = await transactions.open("customers", 0)
    await former.commit(Batch([], [output(b"before")], 1))
    heir = await transactions.open("customers", 0)
    with pytest.raises(Fenced, match="another worker owns the partition"):
        await former.commit(Batch([], [output(b"too late")], 2))
    await heir.commit(Batch([], [output(b"after")], 2))
    await asyncio.gather(former.close(), heir.close())
    assert await changes(log) == [b"before", b"after"]


async def test_a_batch_with_a_record_that_the_broker_refuses_is_not_committed(
    kafka_bootstrap: str, topic_prefix: str, log, transactions
):
    await refuse_large_records(kafka_bootstrap, topic_prefix + Topic.CUSTOMER_CHANGES)
    transactor = await transactions.open("customers", 0)
    with pytest.raises(Fenced, match="MessageSizeTooLarge"):
        await transactor.commit(Batch([], [output(b"small", 1), output(bytes(2000), 0)], 1))
    await transactor.close()
    heir = await transactions.open("customers", 0)  # aborts what was left open
    await heir.close()
    assert b"small" not in await changes(log)


async def refuse_large_records(kafka_bootstrap: str, topic: str) -> None:
    """Returns when the broker refuses a record of 2,000 bytes; those before it were taken."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "1000"})])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=kafka_bootstrap) as producer, asyncio.timeout(10):
        with contextlib.suppress(MessageSizeTooLargeError):
            while True:
                await producer.send_and_wait(topic, bytes(2000))


async def test_a_broker_that_does_not_answer_is_named(unused_tcp_port: int):
    settings = Settings(broker=f"kafka://127.0.0.1:{unused_tcp_port}")
    with pytest.raises(Unreachable, match=f"127.0.0.1:{unused_tcp_port}"):
        await KafkaTransactions(settings, {"customers": counting_agent()}).open("customers", 0)
