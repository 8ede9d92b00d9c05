"""kill -9 of a writing process at random moments: what was acknowledged is there, in order, once, byte-equal."""

import asyncio
import random
import sys
import time
from collections import defaultdict
from pathlib import Path

import pytest

from processors.record import Topic
from streams.embedded.log import EmbeddedLog
from streams.settings import Settings
from tests.acceptance.embedded_writer import LANES, value_of

ROOT = Path(__file__).parents[2]
ROUNDS = 5
KILL_SECONDS_MAX = 0.4
"""After the first acknowledgement: some rounds die in the first commit, some after hundreds."""
TRANSACTIONS = "t"
"""The lane of the writer's transactions."""

pytestmark = pytest.mark.acceptance


@pytest.mark.timeout(0)  # the long form takes as long as its option says; each wait in it has a limit of its own
async def test_every_acknowledged_record_survives_kill_9_at_random_moments(
    tmp_path: Path, simulate_seconds: float, record_property
):
    seed = random.SystemRandom().randrange(2**32)
    record_property("seed", seed)
    moments = random.Random(seed)
    settings = Settings(broker=f"sqlite:///{tmp_path / 'log.db'}")
    acknowledged: dict[str, int] = {}
    until = time.monotonic() + simulate_seconds
    rounds = kept = 0
    while rounds < ROUNDS or time.monotonic() < until:
        rounds += 1
        first = await next_numbers(settings, tmp_path)
        acknowledged.update({lane: number - 1 for lane, number in first.items()})
        acknowledged.update(await killed_run(settings, first, moments))
        kept = await check(settings, acknowledged, f"seed {seed}, round {rounds}")
    assert kept > LANES, "the runs wrote something"
    print(f"{rounds} kills, {kept} records, seed {seed}")  # noqa: T201 - shown with -s, and when it fails


async def killed_run(settings: Settings, first: dict[str, int], moments: random.Random) -> dict[str, int]:
    """Lane → the last number that was acknowledged before the kill."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(ROOT / "tests/acceptance/embedded_writer.py"),
        settings.broker,
        *(f"{lane}={number}" for lane, number in first.items()),
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        lines = [await asyncio.wait_for(process.stdout.readline(), 30)]
        assert lines[0], (await process.stderr.read()).decode()
        killing = asyncio.get_running_loop().call_later(moments.uniform(0, KILL_SECONDS_MAX), process.kill)
        lines += (await asyncio.wait_for(process.stdout.read(), 30)).splitlines(keepends=True)
        killing.cancel()
    except BaseException:
        process.kill()
        raise
    finally:
        await process.communicate()
    assert process.returncode == -9
    newest: dict[str, int] = {}
    for line in lines:
        if line.endswith(b"\n"):
            lane, number = line.split()
            newest[lane.decode()] = int(number)
    return newest


async def next_numbers(settings: Settings, folder: Path) -> dict[str, int]:
    """Where each lane goes on: after what is in the log, acknowledged or not."""
    if not (folder / "log.db").exists():
        return {}
    return {lane: len(numbers) for lane, numbers in (await contents(settings))[0].items()}


async def check(settings: Settings, acknowledged: dict[str, int], when: str) -> int:
    lanes, transactions = await contents(settings)
    for lane, numbers in lanes.items():
        assert numbers == list(range(len(numbers))), f"{when}: lane {lane} has gaps, repeats or disorder"
    for lane, number in acknowledged.items():
        if lane != TRANSACTIONS:
            assert len(lanes[lane]) > number, f"{when}: lane {lane} was promised {number}"
            assert len(lanes[lane]) <= number + 2, f"{when}: at most one was in flight"
    consumed, outputs, last = transactions
    assert outputs == list(range(consumed)), f"{when}: outputs and offset are one transaction"
    assert last == (consumed - 1 if consumed else None), f"{when}: table and offset are one transaction"
    assert consumed > acknowledged.get(TRANSACTIONS, -1), f"{when}: a committed transaction is gone"
    return sum(map(len, lanes.values())) + consumed


async def contents(settings: Settings) -> tuple[dict[str, list[int]], tuple[int, list[int], int | None]]:
    log = EmbeddedLog(settings)
    await log.start()
    try:
        lanes: dict[str, list[int]] = defaultdict(list)
        for partition in range(settings.partitions):
            async for record in log.read(Topic.CUSTOMER_EVENTS, partition):
                lane = record.key.decode()
                assert record.value == value_of(lane, record.received_ms), "byte-equal"
                lanes[lane].append(record.received_ms)
        consumed = (await log.ends(Topic.PAYMENT_EVENTS))[0] - (await log.lag(Topic.PAYMENT_EVENTS))[0]
        outputs = [int(record.value) async for record in log.read(Topic.SUBSCRIBER_EVENTS, 0)]
        [changelog, *_] = log.partitions("customers")
        last = [int(record.value or b"") for record in await log.file.fetch(changelog, 0)]
        assert len(last) <= 1, "compacted"
        return lanes, (consumed, outputs, last[0] if last else None)
    finally:
        await log.stop()
