"""What the tests of the embedded log are made of: records, a full disk, waiting."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from processors.record import Source, Topic
from streams import topics
from streams.embedded.log import EmbeddedLog
from streams.embedded.store import Store
from streams.log import NewRecord
from streams.settings import Settings
from streams.transactions.agent import Agent
from streams.transactions.embedded import EmbeddedTransactions
from streams.transactions.transactor import Batch, ChangelogRecord

SECONDS_MAX = 20.0
EVENTS = Topic.CUSTOMER_EVENTS
AGENT = Agent(
    name="customers",
    source=EVENTS,
    table=topics.CUSTOMERS_TABLE,
    decode=bytes,
    encode=bytes,
    step=lambda _view, _record: pytest.fail("no step runs here"),
)


def event(key: bytes, value: bytes = b"v", *, topic: Topic = EVENTS, partition: int | None = None) -> NewRecord:
    return NewRecord(topic, key, value, Source.WEBHOOK, 7, partition)


async def append_many(log: EmbeddedLog, count: int, partition: int | None = None) -> None:
    await log.append_all([event(b"cus_%d" % number, bytes(500), partition=partition) for number in range(count)])


def part(log: EmbeddedLog, number: int) -> Any:
    return log.partitions(EVENTS)[number]


def transactions(log: EmbeddedLog) -> EmbeddedTransactions:
    return EmbeddedTransactions(log, log._settings, {"customers": AGENT})


def big_batch() -> Batch:
    return Batch([ChangelogRecord(b"a", bytes(500_000))], [], 1)


def counted_commits(log: EmbeddedLog) -> list[int]:
    """Grows by the number of jobs with every commit from now on."""
    commits: list[int] = []
    store = log.file._writer._commits._store
    write = store.write

    def counted(jobs: Any, *rest: Any) -> Any:
        commits.append(len(jobs))
        return write(jobs, *rest)

    store.write = counted
    return commits


async def fill(log: EmbeddedLog) -> None:
    """Lets the file grow no further: what SQLite then says is what a full disk makes it say."""

    def limit(store: Store) -> None:
        (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
        store.connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    await log.file._writer.call(limit)


async def make_room(log: EmbeddedLog) -> None:
    await log.file._writer.call(lambda store: store.connection.execute("PRAGMA max_page_count = 1000000").fetchone())


async def until(condition: Callable[[], Any]) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not condition():
            await asyncio.sleep(0.005)


async def started(settings: Settings) -> EmbeddedLog:
    log = EmbeddedLog(settings)
    await log.start()
    return log


async def started_and_stopped(settings: Settings) -> None:
    await (await started(settings)).stop()
