"""The embedded log: streams/log.py's `Log` over one SQLite file, for one machine with nothing to install.

What it adds to LogFile (log_file.py) is Millrace's own: the topics of streams/topics.py with their prefix, records
with their source and time, the workers' group. The rest of the shell sees only this.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from processors.record import Record, Source, Topic
from streams import topics
from streams.embedded.log_file import LogFile
from streams.embedded.partition import Partition
from streams.embedded.stored import Append, StoredRecord
from streams.errors import WrongSettings
from streams.log import NewRecord, Position, Reached
from streams.settings import Settings

SCHEME = "sqlite:///"


class EmbeddedLog:
    """`read_only`: beside the owner, from another process; what appends then raises LogUnusable."""

    def __init__(self, settings: Settings, *, read_only: bool = False) -> None:
        self._settings = settings
        self._group = topics.group_name(settings)
        self._partitions: dict[str, Sequence[Partition]] = {}
        self.file = LogFile(path_of(settings), read_only=read_only)

    @property
    def log_id(self) -> str:
        """Random, given when the file was created: tells a log that was replaced from the one it replaced."""
        return self.file.log_id

    @property
    def trouble(self) -> str | None:
        """Why nothing can be appended now (a full disk, a broken file), with the remedy; None when all is well."""
        return self.file.trouble

    async def start(self) -> None:
        """Raises LogUnusable (owned by another process, damaged, newer schema), WrongSettings (partitions differ)."""
        await self.file.start()
        try:
            if not self.file.read_only:
                await self.file.create_topics(topics.all_topics(self._settings))
        except BaseException:
            await self.file.stop()
            raise

    async def stop(self) -> None:
        await self.file.stop()

    async def append(self, record: NewRecord) -> Position:
        partition = self._partition_for(record)
        offset = await self.file.submit((_append(record, partition),)).future
        return Position(partition.number, offset)

    async def append_all(self, records: Sequence[NewRecord]) -> None:
        if records:
            await self.file.submit([self.row(record) for record in records]).future

    async def ends(self, topic: Topic | str) -> Mapping[int, int]:
        await self.file.look()
        return {partition.number: partition.end for partition in self.partitions(topic)}

    async def lag(self, topic: Topic) -> Mapping[int, int]:
        await self.file.look()
        return {partition.number: await self._lag(partition) for partition in self.partitions(topic)}

    def read(self, topic: Topic, partition: int, start: int = 0) -> AsyncIterator[Record]:
        return self._read(topic, self.partitions(topic)[partition], start)

    async def since(self, topic: Topic, since_ms: int) -> list[Record]:
        await self.file.look()
        return [
            _record(topic, partition.number, stored)
            for partition in self.partitions(topic)
            for stored in await self.file.since(partition, since_ms)
        ]

    async def tail(self, topic: Topic | str, start: Mapping[int, int] | None = None) -> AsyncIterator[Record | Reached]:
        partitions = self.partitions(topic)
        origin = topics.TABLE_SOURCES.get(topic) or Topic(topic)
        offsets = {partition.number: (start or {}).get(partition.number, 0) for partition in partitions}
        moved = asyncio.Event()
        for partition in partitions:
            partition.listeners.add(moved.set)
        try:
            await self.file.look()
            while True:
                moved.clear()
                for partition in partitions:
                    end = partition.end
                    async for record in self._between(origin, partition, offsets[partition.number], end):
                        yield record
                    offsets[partition.number] = max(end, offsets[partition.number])
                yield Reached(dict(offsets))
                await moved.wait()
        finally:
            for partition in partitions:
                partition.listeners.discard(moved.set)

    def partitions(self, topic: Topic | str) -> Sequence[Partition]:
        """Of a topic, or of a table's changelog."""
        found = self._partitions.get(topic)
        if found is None:
            is_table = topic in topics.TABLE_SOURCES
            name = topics.changelog_name(self._settings, topic) if is_table else self._settings.topic_prefix + topic
            found = self._partitions[topic] = self.file.partitions(name)
            assert found, f"the topic {name} was created at the start"
        return found

    def row(self, record: NewRecord) -> Append:
        """As LogFile.submit takes it."""
        return _append(record, self._partition_for(record))

    def _partition_for(self, record: NewRecord) -> Partition:
        partitions = self.partitions(record.topic)
        if record.partition is not None:
            return partitions[record.partition]
        return partitions[topics.partition_of(record.key, len(partitions))]

    async def _lag(self, partition: Partition) -> int:
        committed = self.file.committed(self._group, partition)
        if committed is None:
            committed = await self.file.first_offset(partition)
        return max(0, partition.end - committed)

    async def _read(self, topic: Topic, partition: Partition, start: int) -> AsyncIterator[Record]:
        await self.file.look()
        async for record in self._between(topic, partition, start, partition.end):
            yield record

    async def _between(self, topic: Topic, partition: Partition, start: int, end: int) -> AsyncIterator[Record]:
        while start < end and (chunk := await self.file.fetch(partition, start, end)):
            for stored in chunk:
                yield _record(topic, partition.number, stored)
            start = chunk[-1].offset + 1


def path_of(settings: Settings) -> Path:
    if not settings.broker.startswith(SCHEME) or settings.broker == SCHEME:
        raise WrongSettings(f"MILLRACE_BROKER: {settings.broker!r} is no embedded log; write sqlite:///PATH.")
    return Path(settings.broker.removeprefix(SCHEME))


def _append(record: NewRecord, partition: Partition) -> Append:
    return Append(partition.id, record.key, record.value, record.source, record.received_ms)


def _record(topic: Topic, partition: int, stored: StoredRecord) -> Record:
    """A changelog's record has no source of its own; its time is that of the append."""
    source = Source.REPLAY if stored.source is None else Source(stored.source)
    received_ms = stored.timestamp_ms if stored.received_ms is None else stored.received_ms
    return Record(topic, partition, stored.offset, stored.key or b"", stored.value or b"", source, received_ms)
