"""A process that writes to the embedded log as hard as it can, until it is killed: test_embedded_crash.py starts it.

Usage: embedded_writer.py BROKER [LANE=FIRST…]. Each acknowledged append is one line on stdout, `lane number`,
unbuffered and written after the acknowledgement; each committed transaction is a line `t number`.
"""

import asyncio
import hashlib
import itertools
import os
import sys

import uvloop

from processors.record import Source, Topic
from streams import topics
from streams.embedded.log import EmbeddedLog
from streams.log import NewRecord
from streams.settings import Settings
from streams.transactions.agent import Agent
from streams.transactions.embedded import EmbeddedTransactions
from streams.transactions.transactor import Batch, ChangelogRecord

LANES = 16
"""Appends in flight; each lane appends its own key's numbers one after the other."""

COUNTED = Agent("customers", Topic.PAYMENT_EVENTS, topics.CUSTOMERS_TABLE, bytes, bytes, lambda _view, _record: None)
"""Not run: only its source and its table are used. Its source's partition 0 is consumed in batches of one."""


def value_of(lane: str, number: int) -> bytes:
    """Different for each record, of 64 to 6000 bytes: within a page and beyond one."""
    digest = hashlib.sha256(f"{lane} {number}".encode()).digest()
    return digest * (2 + digest[0] % 190)


async def main(broker: str, first: dict[str, int]) -> None:
    log = EmbeddedLog(Settings(broker=broker))
    await log.start()
    async with asyncio.TaskGroup() as lanes:
        for number in range(LANES):
            lanes.create_task(append(log, str(number), first.get(str(number), 0)))
        lanes.create_task(transact(log))


async def append(log: EmbeddedLog, lane: str, first: int) -> None:
    for number in itertools.count(first):
        await log.append(
            NewRecord(Topic.CUSTOMER_EVENTS, lane.encode(), value_of(lane, number), Source.WEBHOOK, number)
        )
        acknowledge(lane, number)


async def transact(log: EmbeddedLog) -> None:
    """Consumes record n of partition 0, gives the key `last` the value n, sends one output that says n."""
    transactor = await EmbeddedTransactions(log, Settings(broker="sqlite:///-"), {"customers": COUNTED}).open(
        "customers", 0
    )
    [source, *_] = log.partitions(Topic.PAYMENT_EVENTS)
    consumed = source.end - (await log.lag(Topic.PAYMENT_EVENTS))[0]
    for number in itertools.count(consumed):
        if number == source.end:
            await log.append(NewRecord(Topic.PAYMENT_EVENTS, b"pi", b"", Source.WEBHOOK, number, partition=0))
        output = NewRecord(Topic.SUBSCRIBER_EVENTS, b"s", b"%d" % number, Source.WEBHOOK, number, partition=0)
        await transactor.commit(Batch([ChangelogRecord(b"last", b"%d" % number)], [output], number + 1))
        acknowledge("t", number)


def acknowledge(lane: str, number: int) -> None:
    os.write(sys.stdout.fileno(), f"{lane} {number}\n".encode())


if __name__ == "__main__":
    pairs = [argument.split("=") for argument in sys.argv[2:]]
    uvloop.run(main(sys.argv[1], {lane: int(number) for lane, number in pairs}))
