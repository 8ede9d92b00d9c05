"""One opened log file, topics by their full names: what is behind EmbeddedLog, Faust's transport and the transactions.

Appends go to the writer thread, recent records come from memory, older ones from the reader thread. A read-only
opening has no writer: it looks now and then whether the owner, in another process, has appended.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from streams.embedded import database
from streams.embedded.commits import Job
from streams.embedded.ownership import Ownership
from streams.embedded.partition import Cache, Partition
from streams.embedded.reader import Reader
from streams.embedded.store import Appended, Store
from streams.embedded.stored import Append, OffsetCommit, PartitionRow, StoredRecord
from streams.embedded.writer import Writer
from streams.errors import LogUnavailable, LogUnusable
from streams.topics import TopicSpec

CHUNK_RECORDS_MAX = 500
CHUNK_BYTES_MAX = 1024 * 1024
"""What is read at once: some milliseconds of the reader thread, which all readers share."""
RETENTION_SECONDS = 600.0
"""How often what retention no longer keeps is removed; it counts in days, so this is soon enough."""
LOOK_SECONDS = 0.2
"""How often a read-only opening asks whether the owner has appended: another process cannot wake it."""


class LogFile:
    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.read_only = read_only
        self.log_id = ""
        """Random, given when the file was created; known once started."""
        self._topics: dict[str, list[Partition]] = {}
        self._by_id: dict[int, Partition] = {}
        self._committed: dict[tuple[str, int], int] = {}
        self._cache = Cache()
        self._reader = Reader(path)
        self._ownership: Ownership | None = None
        self._writer: Writer | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str | None:
        """Why nothing can be appended now, with the remedy; None when all is well."""
        return None if self._writer is None else self._writer.trouble

    async def until_unusable(self) -> LogUnusable:
        """Returns when the file has failed for good: why, and what to do. Only a restart may help then."""
        await self._owned().failed_for_good.wait()
        return LogUnusable(self.trouble)

    async def start(self) -> None:
        """Raises LogUnusable: owned by another process, damaged, of a newer schema, not there (read-only)."""
        try:
            if not self.read_only:
                self._writer = Writer(await asyncio.to_thread(self._own), self._on_written)
            await self._reader.start()
            self.log_id = await self._reader.ask(Store.log_id)
            await self._refresh()
        except BaseException:
            await self.stop()
            raise
        self._task = asyncio.create_task(self._watch() if self.read_only else self._retain(), name="log file")

    async def stop(self) -> None:
        """What was submitted is written first. Safe to call again, and after a start that failed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)  # a file that cannot be read must be let go, too
            self._task = None
        await self._reader.stop()
        if self._writer is not None:
            await self._writer.stop()
        if self._ownership is not None:
            self._ownership.release()
            self._ownership = None

    # --- topics -----------------------------------------------------------------------------------------------

    def partitions(self, topic: str) -> Sequence[Partition]:
        """In the order of their numbers; none for a topic that does not exist."""
        return self._topics.get(topic, ())

    async def create_topics(self, specs: Iterable[TopicSpec]) -> None:
        """Creates those that are missing. Raises WrongSettings when one exists with other partitions."""
        self._register(await self._owned().call(lambda store: store.create_topics(specs)))

    # --- writing ----------------------------------------------------------------------------------------------

    def submit(self, records: Sequence[Append], offsets: Sequence[OffsetCommit] = (), *, patient: bool = False) -> Job:
        """All of it becomes visible together; the job's future gives the offset of the last record (-1: none).

        `patient`: waits while the disk is full. Raises LogUnavailable, LogUnusable; so may the future.
        """
        return self._owned().submit(records, offsets, patient=patient)

    def _on_written(self, appended: Appended, jobs: Sequence[Job]) -> None:
        by_partition = {self._by_id[partition]: records for partition, records in appended.items()}
        self._cache.add(by_partition)
        for job in jobs:
            for group, partition, next_offset in job.offsets:
                self._committed[group, partition] = next_offset
        for partition_appended in by_partition:
            partition_appended.notify()

    # --- reading ----------------------------------------------------------------------------------------------

    async def fetch(
        self, partition: Partition, start: int, end: int | None = None, records_max: int = CHUNK_RECORDS_MAX
    ) -> list[StoredRecord]:
        """Committed records from `start` (or the first kept), before `end`; what is in memory comes at once."""
        end = partition.end if end is None else min(end, partition.end)
        if start >= end:
            return []
        if start >= partition.cached_from:
            return partition.cached(start, min(records_max, end - start), CHUNK_BYTES_MAX)
        return await self._reader.ask(lambda store: store.read(partition.id, start, end, records_max, CHUNK_BYTES_MAX))

    async def since(self, partition: Partition, since_ms: int) -> list[StoredRecord]:
        """Committed records that the log took at or after this time; for the recent past."""
        return await self._reader.ask(lambda store: store.since(partition.id, since_ms))

    async def first_offset(self, partition: Partition) -> int:
        """The first kept; 0 in an empty partition."""
        return await self._reader.ask(lambda store: store.first_offset(partition.id))

    def committed(self, group: str, partition: Partition) -> int | None:
        """The offset the group wants next; None if it never committed."""
        return self._committed.get((group, partition.id))

    async def look(self) -> None:
        """In a read-only opening: sees what the owner has appended and committed until now."""
        if self.read_only:
            await self._refresh()

    # --- inside -----------------------------------------------------------------------------------------------

    def _own(self) -> Store:
        database.create_file(self.path)
        self._ownership = Ownership(self.path)
        return Store(self.path)

    def _owned(self) -> Writer:
        if self._writer is None:
            if self.read_only:
                raise LogUnusable(f"The log {self.path} was opened read-only; only its owner appends.")
            raise LogUnavailable(f"The log {self.path} is not open; start it first.")
        return self._writer

    def _register(self, rows: Iterable[PartitionRow]) -> None:
        for row in rows:
            known = self._by_id.get(row.id)
            if known is None:
                partition = self._by_id[row.id] = Partition(row)
                self._topics.setdefault(row.topic, []).append(partition)
            elif self.read_only and row.end != known.end:
                known.advance(row.end)
                known.notify()

    async def _refresh(self) -> None:
        self._register(await self._reader.ask(Store.partitions))
        self._committed = await self._reader.ask(Store.committed)

    async def _watch(self) -> None:
        seen = 0
        while True:
            version = await self._reader.ask(Store.data_version)
            if version != seen:
                seen = version
                await self._refresh()
            await asyncio.sleep(LOOK_SECONDS)

    async def _retain(self) -> None:
        while True:
            try:
                while await self._owned().call(lambda store: store.trim(time.time_ns() // 1_000_000)):
                    pass
            except LogUnavailable:
                pass  # a full disk: there is another time
            except LogUnusable:
                return  # `until_unusable` says so
            await asyncio.sleep(RETENTION_SECONDS)
