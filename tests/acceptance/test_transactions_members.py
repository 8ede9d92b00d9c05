"""Nothing lost, nothing twice (docs/design.md §2) while workers join and leave, and when everything happens at
random.
"""

import asyncio
import signal
import time
from pathlib import Path

import pytest

from tests.acceptance.fleet import Fleet, Worker, fleet

pytestmark = [pytest.mark.kafka, pytest.mark.acceptance, pytest.mark.timeout(0)]  # every wait has its deadline

CHAOS_SECONDS = 8.0


async def test_workers_that_join_and_leave_share_the_partitions_exactly(
    kafka_bootstrap: str, tmp_path: Path, simulate_seconds: float
):
    async with fleet(kafka_bootstrap, tmp_path) as workers:
        stays = workers.start()
        await workers.settled(stays)
        async with workers.feeding():
            for leaves in ("on request", "killed") * (3 if simulate_seconds else 1):
                guest = workers.start()
                await workers.settled(stays, guest)
                await workers.progress()
                if leaves == "killed":
                    guest.kill()
                else:
                    assert await guest.terminated() == 0
                await workers.settled(stays)
                await workers.progress()
        await workers.drained()
        assert await stays.terminated() == 0
        await workers.check()


async def test_in_chaos_everything_is_counted_once(kafka_bootstrap: str, tmp_path: Path, simulate_seconds: float):
    async with fleet(kafka_bootstrap, tmp_path) as workers:
        crew = [workers.start() for _ in range(3)]
        async with workers.feeding():
            await workers.progress()
            end = time.monotonic() + max(CHAOS_SECONDS, simulate_seconds)
            while time.monotonic() < end:
                # The schedule of the faults, not a wait for something.
                await asyncio.sleep(workers.random.uniform(0.2, 3))
                await _misfortune(workers, crew, workers.random.randrange(len(crew)))
            for place, worker in enumerate(crew):
                worker.signal(signal.SIGCONT)
                if worker.process.poll() is not None:
                    crew[place] = workers.start()
        await workers.drained()
        for worker in workers.workers:
            if worker.process.poll() is None:
                await worker.terminated()
        await workers.check()


async def _misfortune(workers: Fleet, crew: list[Worker], place: int) -> None:
    worker = crew[place]
    if worker.process.poll() is not None:  # fenced
        crew[place] = workers.start()
        return
    match workers.random.choice(["kill", "stop", "pause"]):
        case "kill":
            worker.kill()
            crew[place] = workers.start()
        case "stop":
            worker.signal(signal.SIGTERM)
            crew[place] = workers.start()
        case "pause":
            worker.signal(signal.SIGSTOP)
            await asyncio.sleep(workers.random.uniform(1, 9))
            worker.signal(signal.SIGCONT)
