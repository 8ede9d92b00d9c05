"""The workers that bench/agents.py compares, each a process: `python -m bench.agent_worker KIND LOG EVENTS`.

It fills a topic of its own with sample events, starts an agent on it, says how fast that went, and ends.

- millrace: the customers agent, through the real app and engine;
- empty: the same app and engine, and a step that decides nothing: it reads the same keys, writes the same bytes and
  sends the same messages as the customers agent, all of them worked out before;
- plain: a Faust agent as one would write it, tuned, with one table write and one send for each event, at least once.
"""

import asyncio
import gc
import logging
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import faust
import uvloop
from msgspec import structs

from bench.child import say
from bench.events import Body, customer_events
from processors import messages
from processors.ids import catalogue_key
from processors.record import Advanced, Record, Source, Topic, View
from streams.app import add_agent, create_app
from streams.catalogue_apply import ensure_applied
from streams.catalogue_file import load_catalogue
from streams.log import Log, NewRecord
from streams.logging_setup import configure_logging
from streams.open_log import open_log
from streams.running import run_until_stopped
from streams.settings import Settings
from streams.topics import group_name, topic_name
from streams.transactions.agent import Agent
from streams.transactions.listener import NobodyListens
from streams.worker import CUSTOMERS

PARTITIONS = 4
CATALOGUE = Path(__file__).parent.parent / "catalogue.example.toml"
PRELOADED_AT_ONCE = 500
EMBEDDED = "embedded"

Place = tuple[int, int]
"""Partition and offset."""


class Speed(NamedTuple):
    """From the first record processed to the last one committed (plain: acknowledged)."""

    events_per_second: float
    cpu_us: float
    """Of this process, for one event."""


class Stopwatch:
    def __init__(self) -> None:
        self._began = self._ended = (0.0, 0.0)

    def begin(self) -> None:
        """Only the first call counts."""
        if not self._began[0]:
            self._began = (time.perf_counter(), time.process_time())

    def end(self) -> None:
        self._ended = (time.perf_counter(), time.process_time())

    def speed(self, events: int) -> Speed:
        seconds, cpu_seconds = (end - start for start, end in zip(self._began, self._ended, strict=True))
        return Speed(events / seconds, cpu_seconds / events * 1e6)


@dataclass(frozen=True, slots=True)
class Preloaded:
    """What waits in the topic: `made` is what the customers agent makes of each record, states as bytes."""

    records: int
    made: dict[Place, Advanced[bytes]]


async def main(kind: str, where: str, events: str) -> None:
    configure_logging("text", logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        settings = Settings(
            broker=f"sqlite:///{folder}/log.db" if where == EMBEDDED else where,
            topic_prefix=f"{kind}-{time.time_ns()}.",
            partitions=PARTITIONS,
            data_dir=Path(folder),
            ops_port=0,
        )
        log = open_log(settings)
        await log.start()
        try:
            await ensure_applied(log, load_catalogue(CATALOGUE), settings, int(time.time() * 1000))
            await _preload(log, customer_events(int(events)))
            preloaded = await _worked_out(log)
            # Everyone starts with the same heap, and nobody's collector walks over what is only there to measure.
            gc.collect()
            gc.freeze()
            say(await RUNS[kind](settings, log, preloaded))
        finally:
            await log.stop()


async def _preload(log: Log, bodies: Sequence[Body]) -> None:
    waiting = iter(bodies)

    async def append() -> None:
        for body in waiting:
            record = NewRecord(Topic.CUSTOMER_EVENTS, body.key, body.value, Source.WEBHOOK, int(time.time() * 1000))
            await log.append(record)

    async with asyncio.TaskGroup() as appenders:
        for _ in range(PRELOADED_AT_ONCE):
            appenders.create_task(append())


async def _worked_out(log: Log) -> Preloaded:
    made: dict[Place, Advanced[bytes]] = {}
    for partition in range(PARTITIONS):
        table: dict[str, Any] = {}
        async for record in log.read(Topic.CUSTOMER_EVENTS, partition):
            advanced = CUSTOMERS.step(table, record)
            state = None if advanced.state is None else CUSTOMERS.encode(advanced.state)
            if advanced.state is not None:
                table[advanced.key] = advanced.state
            made[partition, record.offset] = structs.replace(advanced, state=state)
    return Preloaded(len(made), made)


async def _millrace(settings: Settings, log: Log, preloaded: Preloaded) -> Speed:
    return await _run(CUSTOMERS, settings, log, preloaded)


async def _empty(settings: Settings, log: Log, preloaded: Preloaded) -> Speed:
    made = preloaded.made

    def step(view: View[bytes], record: Record) -> Advanced[bytes]:
        view.get(record.key.decode())
        view.get(catalogue_key(record.partition))
        return made[record.partition, record.offset]

    agent: Agent[bytes] = Agent(CUSTOMERS.name, CUSTOMERS.source, CUSTOMERS.table, bytes, bytes, step)
    return await _run(agent, settings, log, preloaded)


async def _run(agent: Agent[Any], settings: Settings, log: Log, preloaded: Preloaded) -> Speed:
    watch, stop = Stopwatch(), asyncio.Event()

    def timed(view: View[Any], record: Record) -> Advanced[Any]:
        watch.begin()
        return agent.step(view, record)

    class UntilAllIsCommitted(NobodyListens):
        def committed(self, *_: object) -> None:
            if engine.counts.records == preloaded.records:
                watch.end()
                stop.set()

    app = create_app(settings, log)
    engine = add_agent(app, replace(agent, step=timed), UntilAllIsCommitted())
    code = await run_until_stopped(app, stop)
    assert code == 0, f"the worker ended with {code}"
    assert engine.counts.dead_letters == 0
    return watch.speed(preloaded.records)


async def _plain(settings: Settings, _log: Log, preloaded: Preloaded) -> Speed:
    """State and message are as large as the customers agent's on average, and ready: it does not parse the event."""
    states = [made.state for made in preloaded.made.values() if made.state is not None]
    sent = [messages.encode(output.message) for made in preloaded.made.values() for output in made.outputs]
    state, message = _of_average_size(states), _of_average_size(sent)
    watch, done = Stopwatch(), asyncio.Event()
    app = faust.App(
        group_name(settings),
        broker=settings.broker,
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=PARTITIONS,
        store="memory://",
        datadir=settings.data_dir / "plain",
        web_enabled=False,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        # What helps: these two, and uvloop.
        cython_optimizations=True,
        producer_linger=0.02,
    )
    source = app.topic(topic_name(settings, Topic.CUSTOMER_EVENTS), key_type=bytes, value_type=bytes)
    output = app.topic(topic_name(settings, Topic.CUSTOMER_CHANGES), key_type=bytes, value_type=bytes)
    table = app.Table("plain", key_type=bytes, value_type=bytes, partitions=PARTITIONS)

    async def agent(stream: Any) -> None:
        taken = 0
        async for event in stream.events():
            watch.begin()
            table[event.key] = state
            acknowledged = await output.send(key=event.key, value=message)
            taken += 1
            if taken == preloaded.records:
                await acknowledged
                watch.end()
                done.set()

    app.agent(source, name="plain")(agent)
    await app.start()
    await done.wait()
    await app.stop()
    return watch.speed(preloaded.records)


def _of_average_size(values: Sequence[bytes]) -> bytes:
    return b"x" * (sum(map(len, values)) // len(values))


RUNS: dict[str, Callable[..., Any]] = {"millrace": _millrace, "empty": _empty, "plain": _plain}

if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
