"""Transactions on the embedded log: a batch is one job of the writer thread, so one SQLite transaction.

Batches of several partitions that wait at the same time share one commit and its fsync. The log file has one owner, so
a partition's former owner can only be in this process: `open` fences it and waits until nothing of it is under way.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from streams import topics
from streams.embedded.commits import Job
from streams.embedded.log import EmbeddedLog
from streams.embedded.stored import Append, OffsetCommit
from streams.errors import Fenced, LogUnavailable
from streams.settings import Settings
from streams.transactions.agent import Agent
from streams.transactions.transactor import Batch


class EmbeddedTransactions:
    """`agents`: by name; filled while the app is put together, read when partitions are assigned."""

    def __init__(self, log: EmbeddedLog, settings: Settings, agents: Mapping[str, Agent[Any]]) -> None:
        self._log = log
        self._settings = settings
        self._agents = agents
        self._owners: dict[tuple[str, int], EmbeddedTransactor] = {}

    async def open(self, agent: str, partition: int) -> "EmbeddedTransactor":
        former = self._owners.get((agent, partition))
        owner = EmbeddedTransactor(self._log, self._settings, self._agents[agent], partition)
        self._owners[agent, partition] = owner
        if former is not None:
            await former.fence()
        return owner


class EmbeddedTransactor:
    def __init__(self, log: EmbeddedLog, settings: Settings, agent: Agent[Any], partition: int) -> None:
        self._log = log
        self._name = f"{agent.name}, partition {partition}"
        self._group = topics.group_name(settings)
        self._source = log.partitions(agent.source)[partition]
        self._changelog = log.partitions(agent.table)[partition]
        self._job: Job | None = None
        self._fenced = False

    async def commit(self, batch: Batch) -> int | None:
        """Waits while the disk is full. Raises Fenced, and LogUnusable when the file has failed."""
        if self._fenced:
            raise self._fencing()
        committed = self._log.file.committed(self._group, self._source)
        assert batch.next_offset > (committed or 0), "a batch consumes records that none has consumed before"
        assert batch.next_offset <= self._source.end, "it consumes records that exist"
        rows = [self._log.row(output) for output in batch.outputs]
        rows += [Append(self._changelog.id, change.key, change.value, None, None) for change in batch.changelog]
        offset = OffsetCommit(self._group, self._source.id, batch.next_offset)
        self._job = self._log.file.submit(rows, [offset], patient=True)
        # Shielded: whoever gives up waiting must not make `fence` believe that the commit is over.
        try:
            last_offset = await asyncio.shield(self._job.future)
        except LogUnavailable as error:
            if self._job.withdrawn:
                raise self._fencing() from error
            raise
        return last_offset if batch.changelog else None

    async def fence(self) -> None:
        """Nothing of this owner is written after this returns: what still waits for the disk is withdrawn."""
        self._fenced = True
        if self._job is not None and not self._job.future.done():
            self._job.withdrawn = True
            await asyncio.wait([self._job.future])

    async def close(self) -> None:
        await self.fence()

    def _fencing(self) -> Fenced:
        return Fenced(
            f"{self._name} has another owner now. This worker stops, nothing of it was committed; start it again."
        )
