"""A worker whose one agent counts: what it writes, sends and remembers can be compared with its input to the record.

Run by fleet.py as a process of its own. It takes its orders from standard input, one JSON object: `settings`,
`step_seconds`, and `die_before_write`: how many batches it commits before it dies between a commit and the write to its
table. What it tells, it writes to standard output, one JSON line each:
`opened` with the states of a partition's table when a lane opens, `closed`, and `exit` with the exit code.
"""

import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from processors.record import Advanced, Output, Record, Topic, View
from streams.app import add_agent, create_app
from streams.cli.context import EXIT_SECONDS_MAX, leave_within
from streams.kafka.log import KafkaLog
from streams.running import run_until_stopped
from streams.settings import Settings
from streams.topics import CUSTOMERS_TABLE
from streams.transactions.agent import Agent
from streams.transactions.table_store import RocksStore

SESSION_SECONDS = 6.0
"""The least that a broker allows by default."""


class Count(msgspec.Struct, frozen=True):
    n: int
    last_offset: int


class Counted(msgspec.Struct, frozen=True, tag="counted"):
    """The `n`-th record of its key, and where it was read."""

    partition: int
    offset: int
    key: str
    n: int
    padding: str = ""


class Counting:
    def __init__(self, step_seconds: float = 0, padding: str = "") -> None:
        self._step_seconds = step_seconds
        self._padding = padding

    def __call__(self, view: View[Count], record: Record) -> Advanced[Count]:
        if self._step_seconds:
            time.sleep(self._step_seconds)  # stands for work, so that kills hit transactions under way
        key = record.key.decode()
        before = view.get(key) or Count(0, -1)
        after = Count(before.n + 1, record.offset)
        counted = Counted(record.partition, record.offset, key, after.n, self._padding)
        # To another key than its own: outputs cross partitions.
        return Advanced(key, after, (Output(Topic.CUSTOMER_CHANGES, f"out{record.offset % 101}", counted),))


def counting_agent(step_seconds: float = 0, padding: str = "") -> Agent[Count]:
    return Agent(
        name="customers",
        source=Topic.CUSTOMER_EVENTS,
        table=CUSTOMERS_TABLE,
        decode=msgspec.json.Decoder(Count).decode,
        encode=msgspec.json.encode,
        step=Counting(step_seconds, padding),
    )


class Telling:
    """A LaneListener."""

    def lane_opened(self, partition: int, lane: str, states: Iterable[tuple[str, Count]]) -> None:
        tell(event="opened", partition=partition, lane=lane, states={key: [s.n, s.last_offset] for key, s in states})

    def committed(self, partition: int, states: Sequence[tuple[str, Count]]) -> None:
        pass

    def lane_closed(self, partition: int) -> None:
        tell(event="closed", partition=partition)


def tell(**what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - the parent reads it


def die_before_write(batches: int) -> None:
    """What a power failure does, at the worst moment: the log has the batch, the table does not."""
    write = RocksStore.write

    def dying(*arguments: Any) -> None:
        nonlocal batches
        if batches == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        batches -= 1
        write(*arguments)

    RocksStore.write = dying


async def main(orders: dict[str, Any]) -> int:
    settings = Settings.model_validate(orders["settings"])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    log = KafkaLog(settings)
    await log.start()
    try:
        app = create_app(settings, log, session_seconds=SESSION_SECONDS)
        engine = add_agent(app, counting_agent(orders["step_seconds"]), Telling())
        code = await run_until_stopped(app, stop)
        tell(event="exit", code=code, counts={name: getattr(engine.counts, name) for name in engine.counts.__slots__})
    finally:
        await log.stop()
    if code:
        leave_within(EXIT_SECONDS_MAX, code)  # as the command line does
    return code


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    line = sys.stdin.readline()
    if not line:
        sys.exit("no orders")
    orders = json.loads(line)
    if "die_before_write" in orders:
        die_before_write(orders["die_before_write"])
    sys.exit(asyncio.run(main(orders)))
