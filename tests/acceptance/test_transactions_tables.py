"""State stores on disk, sources written in transactions, and offsets that cannot be right."""

import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from processors.record import Source, Topic
from streams import topics
from streams.kafka.connection import client_arguments
from streams.kafka.records import headers_of
from tests.acceptance.fleet import PARTITIONS, Fleet, Worker, fleet

pytestmark = [pytest.mark.kafka, pytest.mark.acceptance]


def recovery_starts(worker: Worker) -> list[int]:
    """The changelog offsets that its recovery started from (-1: from nothing), as Faust logs them."""
    told = worker.errors.read_text().split("Reading Starts At")[1].split("Resuming flow")[0]
    return [int(offset) for offset in re.findall(r"\| *\d+ +\| (-?\d+) +\|", told)]


async def test_a_rocksdb_table_goes_on_where_it_stopped(kafka_bootstrap: str, tmp_path: Path):
    async with fleet(kafka_bootstrap, tmp_path, store="rocksdb") as workers:
        await workers.feed(500)
        first = workers.start(data="shared")
        await workers.drained()
        assert await first.terminated() == 0
        await workers.feed(500)
        second = workers.start(data="shared")
        await workers.drained()
        assert recovery_starts(first) == [-1] * PARTITIONS
        assert min(recovery_starts(second)) > 0
        assert await second.terminated() == 0
        await workers.check()  # by a worker that has no state store yet


async def test_a_batch_committed_but_not_yet_in_the_rocksdb_table_is_recovered(kafka_bootstrap: str, tmp_path: Path):
    async with fleet(kafka_bootstrap, tmp_path, store="rocksdb") as workers:
        await workers.feed(500)
        unlucky = workers.start(data="shared", die_before_write=3)
        assert await unlucky.ended() == -9
        heir = workers.start(data="shared")
        await workers.feed(500)
        await workers.drained()
        assert await heir.terminated() == 0
        last = workers.start(data="shared")
        await workers.settled(last)
        assert sum(n for n, _ in last.states().values()) == workers.fed
        assert await last.terminated() == 0
        await workers.check()


async def test_a_source_written_in_transactions_is_read_without_what_was_aborted(kafka_bootstrap: str, tmp_path: Path):
    async with fleet(kafka_bootstrap, tmp_path) as workers:
        worker = workers.start()
        await workers.settled(worker)
        producer = AIOKafkaProducer(
            transactional_id=workers.settings.topic_prefix, **client_arguments(workers.settings)
        )
        async with producer:
            for is_kept in (False, True, False, True, False):
                await producer.begin_transaction()
                await _send_everywhere(producer, workers, 20)
                if is_kept:
                    await producer.commit_transaction()
                    workers.fed += 20 * PARTITIONS
                else:
                    await producer.flush()
                    await producer.abort_transaction()
            await workers.drained()
        assert await worker.terminated() == 0
        await workers.check()


async def _send_everywhere(producer: AIOKafkaProducer, workers: Fleet, records: int) -> None:
    source = topics.topic_name(workers.settings, Topic.CUSTOMER_EVENTS)
    for number in range(records):
        for partition in range(PARTITIONS):
            key = f"p{partition}k{number % 5}".encode()
            await producer.send(source, b"x", key=key, partition=partition, headers=headers_of(Source.KIT, 1))


@pytest.mark.parametrize(
    ("committed", "complaint"),
    [(1_000_000, "created anew or restored"), (None, "no longer known")],
    ids=["beyond the end", "forgotten"],
)
async def test_a_worker_refuses_offsets_that_cannot_be_right(
    kafka_bootstrap: str, tmp_path: Path, committed: int | None, complaint: str
):
    async with fleet(kafka_bootstrap, tmp_path) as workers:
        await workers.feed(100)
        worker = workers.start()
        await workers.drained()
        assert await worker.terminated() == 0
        await _set_offsets(workers, committed)
        refusing = workers.start()
        assert await refusing.ended() == 3
        assert complaint in refusing.errors.read_text()
        assert refusing.told()[-1]["counts"]["transactions"] == 0


async def _set_offsets(workers: Fleet, offset: int | None) -> None:
    """Kafka calls an offset of -1 none."""
    group = topics.group_name(workers.settings)
    source = topics.topic_name(workers.settings, Topic.CUSTOMER_EVENTS)
    async with AIOKafkaConsumer(
        group_id=group, enable_auto_commit=False, **client_arguments(workers.settings)
    ) as consumer:
        partitions = [TopicPartition(source, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.commit(dict.fromkeys(partitions, -1 if offset is None else offset))
