"""The log on Kafka: streams/log.py's `Log` for everything outside of the agents (edge, commands, status).

Topics are created on start (provision.py); writing.py appends, reading.py reads, lag.py compares. Agents write
through streams/transactions instead.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from processors.record import Record, Topic
from streams import topics
from streams.kafka import reading
from streams.kafka.connection import client_arguments, unreachable
from streams.kafka.lag import Lag
from streams.kafka.provision import ensure_topics
from streams.kafka.records import Consumed, changelog_record_of, record_of
from streams.kafka.writing import Appender
from streams.log import NewRecord, Position, Reached
from streams.settings import Settings


class KafkaLog:
    """Records whose headers cannot be read are passed over by `read`, `tail` and `since`, and counted in
    `unreadable_records`: the agent that consumes them makes the dead letter.
    """

    def __init__(self, settings: Settings) -> None:
        """Connects nothing yet. Raises WrongSettings when the connection's settings do not fit together."""
        arguments = client_arguments(settings)
        self.unreadable_records = 0
        self._settings = settings
        self._admin = AIOKafkaAdminClient(**arguments)
        self._committed = reading.new_consumer(settings)
        self._all_records = reading.new_consumer(settings, committed=False)
        self._appender = Appender(settings)
        self._lag = Lag(settings, self._admin, self._committed, self._all_records)

    async def start(self) -> None:
        """Raises Unreachable, WrongSettings (an existing topic does not fit), LogUnusable (not allowed to)."""
        try:
            await self._start()
        except BaseException as error:
            await self.stop()
            if isinstance(error, KafkaError | OSError):
                raise unreachable(self._settings, error) from error
            raise

    async def _start(self) -> None:
        await self._admin.start()
        await ensure_topics(self._admin, self._settings)
        await self._committed.start()
        await self._all_records.start()
        await self._appender.start()

    async def stop(self) -> None:
        await self._appender.stop()
        await self._committed.stop()
        await self._all_records.stop()
        await self._admin.close()

    async def append(self, record: NewRecord) -> Position:
        return await self._appender.append(record)

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        written = await self._appender.append_all(records)
        await reading.wait_until_visible(self._committed, written)

    async def ends(self, topic: Topic | str) -> Mapping[int, int]:
        ends = await reading.end_offsets(self._committed, self._partitions(topic))
        return {tp.partition: end for tp, end in ends.items()}

    async def lag(self, topic: Topic) -> Mapping[int, int]:
        return await self._lag.of(self._partitions(topic))

    async def read(self, topic: Topic, partition: int, start: int = 0) -> AsyncIterator[Record]:
        tp = TopicPartition(topics.topic_name(self._settings, topic), partition)
        ends = await reading.end_offsets(self._committed, [tp])
        async with aclosing(reading.read_ranges(self._settings, {tp: (start, ends[tp])})) as consumed:
            async for one in consumed:
                if (record := self._readable(topic, one)) is not None:
                    yield record

    async def since(self, topic: Topic, since_ms: int) -> list[Record]:
        tps = self._partitions(topic)
        ends = await reading.end_offsets(self._committed, tps)
        starts = await reading.offsets_at(self._committed, dict.fromkeys(tps, since_ms))
        ranges = {tp: (start, ends[tp]) for tp, start in starts.items()}
        async with aclosing(reading.read_ranges(self._settings, ranges)) as consumed:
            records = [self._readable(topic, one) async for one in consumed if one.timestamp >= since_ms]
        return [record for record in records if record is not None]

    async def tail(self, topic: Topic | str, start: Mapping[int, int] | None = None) -> AsyncIterator[Record | Reached]:
        name, partitions = self._name(topic), len(self._partitions(topic))
        async with aclosing(reading.follow(self._settings, name, start or {}, partitions)) as consumed:
            async for one in consumed:
                if isinstance(one, Reached):
                    yield one
                elif not isinstance(topic, Topic):
                    yield changelog_record_of(topics.TABLE_SOURCES[topic], one)
                elif (record := self._readable(topic, one)) is not None:
                    yield record

    def _readable(self, topic: Topic, consumed: Consumed) -> Record | None:
        record = record_of(topic, consumed)
        if record is None:
            self.unreadable_records += 1
        return record

    def _name(self, topic: Topic | str) -> str:
        """Of a topic, or of the changelog of a table."""
        if isinstance(topic, Topic):
            return topics.topic_name(self._settings, topic)
        return topics.changelog_name(self._settings, topic)

    def _partitions(self, topic: Topic | str) -> list[TopicPartition]:
        source = topic if isinstance(topic, Topic) else topics.TABLE_SOURCES[topic]
        name = self._name(topic)
        return [TopicPartition(name, number) for number in range(topics.partitions_of(self._settings, source))]
