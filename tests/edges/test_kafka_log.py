"""KafkaLog against a real broker: what is acknowledged is there, what is read is committed, lag is about records."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.structs import OffsetAndMetadata

from processors.record import Record, Source, Topic
from streams import topics
from streams.errors import LogUnavailable, LogUnusable, Unreachable, WrongSettings
from streams.kafka.log import KafkaLog
from streams.kafka.writing import Appender
from streams.log import APPEND_SECONDS_MAX, NewRecord, Reached
from streams.settings import Settings

pytestmark = pytest.mark.kafka

DEADLINE_SECONDS = 30
STOP_SECONDS_ENOUGH = 8
"""A role must end within 10 s of SIGTERM, also while the broker is away."""


@pytest.fixture
def settings(kafka_bootstrap: str, topic_prefix: str) -> Settings:
    return Settings(broker=f"kafka://{kafka_bootstrap}", topic_prefix=topic_prefix, partitions=2)


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[KafkaLog]:
    async with started(settings) as log:
        yield log


@asynccontextmanager
async def started(settings: Settings) -> AsyncIterator[KafkaLog]:
    log = KafkaLog(settings)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def event(value: bytes, *, topic: Topic = Topic.CUSTOMER_EVENTS, partition: int | None = 0) -> NewRecord:
    return NewRecord(topic, b"cus_1", value, Source.WEBHOOK, 1_700_000_000_123, partition)


async def values(
    log: KafkaLog, topic: Topic = Topic.CUSTOMER_EVENTS, partition: int = 0, start: int = 0
) -> list[bytes]:
    return [record.value async for record in log.read(topic, partition, start)]


@asynccontextmanager
async def transaction(settings: Settings, name: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.broker.removeprefix("kafka://"), transactional_id=settings.topic_prefix + name
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        yield producer
    finally:
        await producer.stop()


def foreign_headers() -> list[tuple[str, bytes]]:
    return [("source", b"webhook"), ("received_ms", b"1")]


# --- append and read ------------------------------------------------------------------------------------------


async def test_an_appended_record_is_read_as_it_was_given(log: KafkaLog) -> None:
    position = await log.append(event(b"paid", partition=1))
    assert (position.partition, position.offset) == (1, 0)
    assert [record async for record in log.read(Topic.CUSTOMER_EVENTS, 1)] == [
        Record(Topic.CUSTOMER_EVENTS, 1, 0, b"cus_1", b"paid", Source.WEBHOOK, 1_700_000_000_123)
    ]


async def test_a_record_without_a_partition_goes_to_its_keys(log: KafkaLog) -> None:
    position = await log.append(event(b"paid", partition=None))
    assert position.partition == topics.partition_of(b"cus_1", 2)


async def test_concurrent_appends_to_a_partition_all_arrive_once(log: KafkaLog) -> None:
    positions = await asyncio.gather(*(log.append(event(b"%d" % number)) for number in range(300)))
    assert sorted(position.offset for position in positions) == list(range(300))
    assert sorted(map(int, await values(log))) == list(range(300))


async def test_reading_starts_where_it_is_told_and_ends_at_the_end(log: KafkaLog) -> None:
    for value in (b"a", b"b", b"c"):
        await log.append(event(value))
    assert await values(log, start=1) == [b"b", b"c"]
    assert await values(log, start=3) == []
    assert await values(log, start=99) == []


async def test_a_record_as_large_as_the_edge_takes_fits_with_its_dead_letter(log: KafkaLog, settings: Settings) -> None:
    body = bytes(settings.edge_body_bytes_max)
    await log.append(event(body))
    await log.append(event(body + body, topic=Topic.DEAD_LETTERS))
    assert await values(log) == [body]
    assert await values(log, Topic.DEAD_LETTERS) == [body + body]


async def test_a_record_with_broken_headers_is_passed_over_and_counted(log: KafkaLog, settings: Settings) -> None:
    name = topics.topic_name(settings, Topic.CUSTOMER_EVENTS)
    await log.append(event(b"before"))
    async with transaction(settings, "foreign") as producer:
        await producer.send_and_wait(name, b"no headers", partition=0)
        await producer.send_and_wait(name, b"no source", partition=0, headers=[("received_ms", b"1")])
        await producer.send_and_wait(
            name, b"no number", partition=0, headers=[("source", b"webhook"), ("received_ms", b"x")]
        )
        await producer.commit_transaction()
    await log.append(event(b"after"))
    assert await values(log) == [b"before", b"after"]
    assert log.unreadable_records == 3


async def test_since_gives_what_the_log_took_from_that_time_on(log: KafkaLog) -> None:
    assert await log.since(Topic.SUBSCRIBER_EVENTS, 0) == []
    await log.append(event(b"old", topic=Topic.SUBSCRIBER_EVENTS, partition=0))
    until_the_clock_moves()
    from_here = int(time.time() * 1000)
    for partition in (0, 1):
        await log.append(event(b"new", topic=Topic.SUBSCRIBER_EVENTS, partition=partition))
    recent = await log.since(Topic.SUBSCRIBER_EVENTS, from_here)
    assert sorted((record.value, record.partition) for record in recent) == [(b"new", 0), (b"new", 1)]
    assert len(await log.since(Topic.SUBSCRIBER_EVENTS, 0)) == 3
    assert await log.since(Topic.SUBSCRIBER_EVENTS, from_here + 3_600_000) == []


def until_the_clock_moves() -> None:
    moment = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == moment:
        pass


# --- append_all -----------------------------------------------------------------------------------------------


async def test_what_is_appended_together_becomes_visible_together(log: KafkaLog) -> None:
    await log.append_all([event(b"a"), event(b"b", partition=1), event(b"c")])
    assert await values(log) == [b"a", b"c"]
    assert await values(log, partition=1) == [b"b"]


async def test_of_records_appended_together_none_is_visible_when_one_fails(log: KafkaLog, settings: Settings) -> None:
    # A topic that takes less than the producer sends: the broker refuses one record of the transaction.
    too_large = bytes(17 * 1024 * 1024)
    generous = settings.model_copy(update={"edge_body_bytes_max": 64 * 1024 * 1024})
    async with started(generous) as other:
        with pytest.raises(LogUnavailable, match="MessageSizeTooLarge"):
            await other.append_all([event(b"a"), event(too_large, partition=1)])
    assert await values(log) == []
    await log.append_all([event(b"afterwards")])
    assert await values(log) == [b"afterwards"]


async def test_an_append_in_one_transaction_aborts_what_a_former_process_left_open(
    log: KafkaLog, settings: Settings
) -> None:
    async with transaction(settings, "millrace-append") as dead:
        name = topics.topic_name(settings, Topic.CUSTOMER_EVENTS)
        await dead.send_and_wait(name, b"never committed", partition=0, headers=foreign_headers())
        await log.append_all([event(b"committed")])
        assert await values(log) == [b"committed"]


async def test_processes_that_append_in_one_transaction_at_once_all_succeed_in_the_end(
    log: KafkaLog, settings: Settings
) -> None:
    appends = (Appender(settings).append_all([event(b"a"), event(b"b", partition=1)] * 20) for _ in range(3))
    await asyncio.gather(*appends)
    assert len(await values(log)) == len(await values(log, partition=1)) == 3 * 20


# --- tail -----------------------------------------------------------------------------------------------------


async def next_of(tail: AsyncIterator[Record | Reached]) -> Record | Reached:
    return await asyncio.wait_for(anext(tail), DEADLINE_SECONDS)


async def reached(tail: AsyncIterator[Record | Reached], offsets: dict[int, int]) -> list[bytes]:
    """The values that the tail yields before it has reached these offsets."""
    seen = []
    while True:
        one = await next_of(tail)
        if isinstance(one, Record):
            seen.append(one.value)
        elif one.offsets == offsets:
            return seen


async def test_a_tail_of_an_empty_topic_has_reached_its_end_at_once(log: KafkaLog) -> None:
    async with aclosing(log.tail(Topic.CUSTOMER_EVENTS)) as tail:
        assert await next_of(tail) == Reached({0: 0, 1: 0})


async def test_a_tail_gives_what_is_there_and_then_what_comes(log: KafkaLog) -> None:
    await log.append(event(b"a"))
    await log.append(event(b"b", partition=1))
    async with aclosing(log.tail(Topic.CUSTOMER_EVENTS)) as tail:
        assert sorted(await reached(tail, {0: 1, 1: 1})) == [b"a", b"b"]
        await log.append(event(b"c"))
        assert await reached(tail, {0: 2, 1: 1}) == [b"c"]


async def test_a_tail_starts_where_it_is_told(log: KafkaLog) -> None:
    for value in (b"a", b"b"):
        await log.append(event(value))
    async with aclosing(log.tail(Topic.CUSTOMER_EVENTS, {0: 1})) as tail:
        assert await reached(tail, {0: 2, 1: 0}) == [b"b"]


async def test_a_tail_passes_over_markers_and_never_shows_what_was_aborted(log: KafkaLog, settings: Settings) -> None:
    await log.append_all([event(b"a")])
    name = topics.topic_name(settings, Topic.CUSTOMER_EVENTS)
    async with aclosing(log.tail(Topic.CUSTOMER_EVENTS)) as tail:
        assert await reached(tail, {0: 2, 1: 0}) == [b"a"]
        async with transaction(settings, "aborted") as producer:
            await producer.send_and_wait(name, b"aborted", partition=0, headers=foreign_headers())
            await producer.abort_transaction()
        assert await reached(tail, {0: 4, 1: 0}) == []
        assert await log.ends(Topic.CUSTOMER_EVENTS) == {0: 4, 1: 0}


async def test_a_tail_of_a_table_gives_its_changelog_with_deletions_as_empty_values(
    log: KafkaLog, settings: Settings
) -> None:
    changelog = topics.changelog_name(settings, topics.SUBSCRIBERS_TABLE)
    async with transaction(settings, "agent") as producer:
        await producer.send_and_wait(changelog, b"state", key=b"k", partition=1)
        await producer.send_and_wait(changelog, None, key=b"k", partition=1)
        await producer.commit_transaction()
    async with aclosing(log.tail(topics.SUBSCRIBERS_TABLE)) as tail:
        records = [await next_of(tail), await next_of(tail)]
        assert await log.ends(topics.SUBSCRIBERS_TABLE) == {0: 0, 1: 3}
        assert await reached(tail, {0: 0, 1: 3}) == []
    assert all(isinstance(one, Record) and one.topic is Topic.SUBSCRIBER_EVENTS for one in records)
    assert [(one.key, one.value) for one in records if isinstance(one, Record)] == [(b"k", b"state"), (b"k", b"")]


async def test_a_tail_from_beyond_the_end_says_that_the_topic_was_recreated(log: KafkaLog) -> None:
    async with aclosing(log.tail(Topic.CUSTOMER_EVENTS, {1: 5})) as tail:
        with pytest.raises(LogUnusable, match="partition 1, ends at 0, but was read up to 5"):
            await next_of(tail)


# --- lag ------------------------------------------------------------------------------------------------------


async def commit(settings: Settings, topic: Topic, partition: int, offset: int) -> None:
    """What a worker commits."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.broker.removeprefix("kafka://"),
        group_id=topics.group_name(settings),
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        tp = TopicPartition(topics.topic_name(settings, topic), partition)
        consumer.assign([tp])
        await consumer.commit({tp: OffsetAndMetadata(offset, "")})
    finally:
        await consumer.stop()


async def test_lag_counts_the_records_that_no_worker_has_committed(log: KafkaLog, settings: Settings) -> None:
    assert await log.lag(Topic.CUSTOMER_EVENTS) == {0: 0, 1: 0}
    for value in (b"a", b"b", b"c"):
        await log.append(event(value))
    assert await log.lag(Topic.CUSTOMER_EVENTS) == {0: 3, 1: 0}
    await commit(settings, Topic.CUSTOMER_EVENTS, 0, 2)
    assert await log.lag(Topic.CUSTOMER_EVENTS) == {0: 1, 1: 0}


async def test_transaction_markers_are_no_lag(log: KafkaLog, settings: Settings) -> None:
    await log.append_all([event(b"a", topic=Topic.SUBSCRIBER_EVENTS)])
    await log.append_all([event(b"b", topic=Topic.SUBSCRIBER_EVENTS)])
    assert await log.ends(Topic.SUBSCRIBER_EVENTS) == {0: 4, 1: 0}
    assert await log.lag(Topic.SUBSCRIBER_EVENTS) == {0: 2, 1: 0}
    await commit(settings, Topic.SUBSCRIBER_EVENTS, 0, 3)
    assert await log.lag(Topic.SUBSCRIBER_EVENTS) == {0: 0, 1: 0}


async def test_aborted_records_are_no_lag_and_an_open_transaction_is(log: KafkaLog, settings: Settings) -> None:
    name = topics.topic_name(settings, Topic.SUBSCRIBER_EVENTS)
    async with transaction(settings, "agent") as producer:
        await producer.send_and_wait(name, b"open", partition=0, headers=foreign_headers())
        assert await log.lag(Topic.SUBSCRIBER_EVENTS) == {0: 1, 1: 0}
        assert await log.ends(Topic.SUBSCRIBER_EVENTS) == {0: 0, 1: 0}
        await producer.abort_transaction()
        assert await log.lag(Topic.SUBSCRIBER_EVENTS) == {0: 0, 1: 0}


# --- topics ---------------------------------------------------------------------------------------------------


async def test_another_partition_count_is_refused_with_both_numbers(log: KafkaLog, settings: Settings) -> None:
    with pytest.raises(WrongSettings, match=r"has 2 partitions, but it must have 3: .* Set MILLRACE_PARTITIONS to 2"):
        await KafkaLog(settings.model_copy(update={"partitions": 3})).start()


async def test_more_copies_than_brokers_are_refused(settings: Settings) -> None:
    with pytest.raises(WrongSettings, match="MILLRACE_REPLICATION is 3"):
        await KafkaLog(settings.model_copy(update={"replication": 3})).start()


async def test_an_existing_topic_that_would_lose_records_is_refused(settings: Settings) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.broker.removeprefix("kafka://"))
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topics.topic_name(settings, Topic.CUSTOMER_EVENTS), 2, 1)])
    finally:
        await admin.close()
    with pytest.raises(LogUnusable, match=r"would lose records \(retention\.ms=604800000 instead of -1\)"):
        await KafkaLog(settings).start()


async def test_topics_that_were_created_here_are_taken_again(log: KafkaLog, settings: Settings) -> None:
    async with started(settings) as again:
        await again.append(event(b"a"))
    assert await values(log) == [b"a"]


async def test_processes_that_start_at_once_share_the_topics(settings: Settings) -> None:
    logs = [KafkaLog(settings) for _ in range(3)]
    try:
        await asyncio.gather(*(log.start() for log in logs))
    finally:
        await asyncio.gather(*(log.stop() for log in logs))


# --- the broker away ------------------------------------------------------------------------------------------


async def test_nobody_there_is_unreachable_and_says_what_to_check() -> None:
    log = KafkaLog(Settings(broker="kafka://127.0.0.1:1"))
    with pytest.raises(Unreachable, match=r"Kafka at 127\.0\.0\.1:1 cannot be reached .* MILLRACE_BROKER"):
        await log.start()
    with pytest.raises(LogUnavailable, match="nothing was promised"):  # needs a new producer for one that was abandoned
        await Appender(Settings(broker="kafka://127.0.0.1:1")).append(event(b"a"))


async def test_a_stopped_broker_is_refused_within_the_bound_and_what_was_acknowledged_stays(kafka_broker: Any) -> None:
    settings = Settings(broker=f"kafka://{kafka_broker.bootstrap}", partitions=1)
    given_up = KafkaLog(settings)
    await given_up.start()
    async with started(settings) as log, aclosing(log.tail(Topic.CUSTOMER_EVENTS)) as tail:
        await log.append(event(b"before"))
        assert await reached(tail, {0: 1}) == [b"before"]
        await asyncio.to_thread(kafka_broker.stop)

        appends = (log.append(event(b"late")), log.append(event(b"late too")), given_up.append(event(b"given up")))
        async with asyncio.timeout(APPEND_SECONDS_MAX + 1):
            outcomes = await asyncio.gather(*appends, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LogUnavailable] * 3
        async with asyncio.timeout(STOP_SECONDS_ENOUGH):
            await given_up.stop()

        await asyncio.to_thread(kafka_broker.start)
        await appended_in_the_end(log, event(b"after"))
        seen = await tailed_until(tail, b"after")
        # What was not acknowledged may arrive late; nothing arrives twice that was appended once.
        assert seen.count(b"late") <= 1
        assert seen.count(b"late too") <= 1
        assert await values(log) == [b"before", *seen]


async def appended_in_the_end(log: KafkaLog, record: NewRecord) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while True:
        try:
            await log.append(record)
        except LogUnavailable:
            assert time.monotonic() < deadline, "the log did not recover"
        else:
            return


async def tailed_until(tail: AsyncIterator[Record | Reached], last: bytes) -> list[bytes]:
    seen: list[bytes] = []
    while not seen or seen[-1] != last:
        one = await next_of(tail)
        if isinstance(one, Record):
            seen.append(one.value)
    return seen
