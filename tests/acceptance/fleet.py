"""Counting workers as processes that can be killed, paused and continued; their input; and the check of the sums.

Used by test_transactions_*.py. Every wait has a deadline; every random choice comes from one seed, which a failing
check prints (set MILLRACE_TEST_SEED to repeat it).
"""

import asyncio
import contextlib
import json
import os
import random
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from processors.record import Source, Topic
from streams.kafka.log import KafkaLog
from streams.log import NewRecord
from streams.settings import Settings

ROOT = Path(__file__).parents[2]
PARTITIONS = 4
KEYS = 200
FEED_RECORDS = 10
"""Appended at a time, some 25 times a second."""
STEP_SECONDS = 0.001
"""What a step takes, so that kills and pauses hit transactions under way."""


def new_seed() -> int:
    return int(os.environ.get("MILLRACE_TEST_SEED") or secrets.randbelow(2**32))


async def until(condition: Callable[[], object], what: str, seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        await asyncio.sleep(0.05)


@dataclass
class Worker:
    """One process. `told` are the lines it wrote, each a JSON object (counting_worker.py)."""

    process: "subprocess.Popen[bytes]"
    output: Path
    errors: Path

    def told(self) -> list[dict]:
        return [json.loads(line) for line in self.output.read_text().splitlines() if line.endswith("}")]

    def partitions(self) -> set[int]:
        held: set[int] = set()
        for what in self.told():
            match what["event"]:
                case "opened":
                    held.add(what["partition"])
                case "closed":
                    held.discard(what["partition"])
        return held

    def states(self) -> dict[str, list[int]]:
        """The table as it was when the lanes opened."""
        opened = [what["states"] for what in self.told() if what["event"] == "opened"]
        return {key: state for states in opened for key, state in states.items()}

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)

    async def ended(self, seconds: float = 40) -> int:
        await until(lambda: self.process.poll() is not None, "the worker ends", seconds)
        return self.process.returncode

    async def terminated(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.ended()


@dataclass
class Fleet:
    """Workers of one group on fresh topics."""

    settings: Settings
    log: KafkaLog
    scratch: Path
    seed: int
    step_seconds: float = STEP_SECONDS
    workers: list[Worker] = field(default_factory=list)
    fed: int = 0
    _spare: Worker | None = None
    _spawned: int = 0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)

    def start(self, data: str | None = None, **orders: object) -> Worker:
        """`data` names the directory of its state store (by default each has a new one); the rest: counting_worker.py.

        The process is there already, with its imports done, so that a start costs no time.
        """
        worker = self._spare or self._spawn()
        self._spare = None
        settings = self.settings.model_copy(update={"data_dir": self.scratch / (data or worker.output.stem)})
        orders = {"settings": settings.model_dump(mode="json"), "step_seconds": self.step_seconds, **orders}
        worker.process.stdin.write(json.dumps(orders).encode() + b"\n")
        worker.process.stdin.close()
        self.workers.append(worker)
        self._spare = self._spawn()
        return worker

    def _spawn(self) -> Worker:
        self._spawned += 1
        output, errors = (self.scratch / f"worker-{self._spawned}.{ending}" for ending in ("out", "err"))
        with output.open("wb") as stdout, errors.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("counting_worker.py"))],
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=self.scratch,
                stdin=subprocess.PIPE,
                stdout=stdout,
                stderr=stderr,
            )
        return Worker(process, output, errors)

    async def settled(self, *workers: Worker) -> None:
        """All partitions are held by these workers, each by one, and each holds some."""

        def is_settled() -> bool:
            held = [worker.partitions() for worker in workers]
            return all(held) and sorted(partition for some in held for partition in some) == list(range(PARTITIONS))

        await until(is_settled, f"the partitions are spread over {len(workers)} workers (seed {self.seed})")

    async def overtaken(self, paused: Worker, heir: Worker) -> None:
        """The heir holds everything, and goes on with it."""
        await until(lambda: heir.partitions() == set(range(PARTITIONS)), "the heir has taken over")
        assert paused.process.poll() is None
        await self.progress()

    @contextlib.asynccontextmanager
    async def feeding(self) -> AsyncIterator[None]:
        """Appends input until the block ends."""
        stop = asyncio.Event()
        feeder = asyncio.create_task(self._feed(stop))
        try:
            yield
        finally:
            stop.set()
            await feeder

    async def _feed(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            await self.feed(FEED_RECORDS)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 1 / 25)

    async def feed(self, records: int) -> None:
        keys = [f"k{self.random.randrange(KEYS)}".encode() for _ in range(records)]
        await self.log.append_all(
            [NewRecord(Topic.CUSTOMER_EVENTS, key, b"x", Source.WEBHOOK, 1_700_000_000_000) for key in keys]
        )
        self.fed += records

    async def outputs(self) -> int:
        return sum((await self.log.ends(Topic.CUSTOMER_CHANGES)).values())

    async def progress(self, seconds: float = 40) -> None:
        """Returns when something more has been committed."""
        before, deadline = await self.outputs(), time.monotonic() + seconds
        while await self.outputs() <= before:
            assert time.monotonic() < deadline, f"nothing was committed for {seconds:.0f} s (seed {self.seed})"
            await asyncio.sleep(0.05)

    async def drained(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while any((lag := await self.log.lag(Topic.CUSTOMER_EVENTS)).values()):
            assert time.monotonic() < deadline, f"still to be read: {lag} (seed {self.seed})"
            await asyncio.sleep(0.1)

    async def check(self) -> None:
        """Every input's output is there once, each key was counted without a gap, and a worker that recovers the table
        from nothing finds the right one.
        """
        expected, last = Counter[str](), {}
        inputs = set()
        for partition in range(PARTITIONS):
            async for record in self.log.read(Topic.CUSTOMER_EVENTS, partition):
                key = record.key.decode()
                expected[key] += 1
                last[key] = record.offset
                inputs.add((partition, record.offset))
        assert len(inputs) == self.fed
        seen, counts = Counter[tuple[int, int]](), defaultdict(list)
        for partition in range(PARTITIONS):
            async for record in self.log.read(Topic.CUSTOMER_CHANGES, partition):
                output = json.loads(record.value)
                seen[output["partition"], output["offset"]] += 1
                counts[output["key"]].append(output["n"])
        what = f"(seed {self.seed}, {len(inputs)} inputs)"
        assert not [place for place, times in seen.items() if times > 1], f"processed twice {what}"
        assert not inputs - set(seen), f"never processed {what}"
        assert not set(seen) - inputs, f"processed out of nothing {what}"
        assert {key: sorted(ns) for key, ns in counts.items()} == {
            key: list(range(1, count + 1)) for key, count in expected.items()
        }, f"a key's count has gaps {what}"
        fresh = self.start()
        await self.settled(fresh)
        assert fresh.states() == {key: [count, last[key]] for key, count in expected.items()}, f"wrong table {what}"
        assert await fresh.terminated() == 0

    def close(self) -> None:
        for worker in [*self.workers, *filter(None, [self._spare])]:
            if worker.process.poll() is None:
                worker.kill()
            worker.process.stdin.close()


@contextlib.asynccontextmanager
async def fleet(bootstrap: str, scratch: Path, **settings: object) -> AsyncIterator[Fleet]:
    seed = new_seed()
    chosen = Settings(
        broker=f"kafka://{bootstrap}",
        topic_prefix=f"t{secrets.token_hex(4)}.",
        partitions=PARTITIONS,
        ops_port=0,
        **settings,
    )
    log = KafkaLog(chosen)
    await log.start()
    fleet = Fleet(chosen, log, scratch, seed)
    try:
        yield fleet
    except BaseException as error:
        error.add_note(f"to repeat: MILLRACE_TEST_SEED={seed}; what the workers said: {scratch}")
        raise
    finally:
        fleet.close()
        await log.stop()
