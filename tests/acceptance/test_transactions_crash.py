"""Nothing lost, nothing twice (docs/design.md §2) when workers are killed, paused beyond their session, or come and
go.
"""

import asyncio
import signal
from pathlib import Path

import pytest

from tests.acceptance.fleet import fleet

pytestmark = [pytest.mark.kafka, pytest.mark.acceptance, pytest.mark.timeout(0)]  # every wait has its deadline

KILLS = 3
"""Of the engine alone; test_crashes.py kills the whole system five times more, on each log."""

SECONDS_PER_KILL = 7


async def test_a_worker_killed_again_and_again_counts_everything_once(
    kafka_bootstrap: str, tmp_path: Path, simulate_seconds: float
):
    async with fleet(kafka_bootstrap, tmp_path) as workers:
        async with workers.feeding():
            for number in range(max(KILLS, int(simulate_seconds / SECONDS_PER_KILL))):
                worker = workers.start()
                if number % 2 == 0:  # at work, a random number of commits later
                    await workers.settled(worker)
                    for _ in range(workers.random.randrange(1, 12)):
                        await workers.progress()
                else:  # in the midst of taking over
                    await asyncio.sleep(workers.random.uniform(1, 8))
                worker.kill()
            last = workers.start()
            await workers.settled(last)
        await workers.drained()
        assert await last.terminated() == 0
        await workers.check()


async def test_a_worker_paused_beyond_its_session_and_overtaken_is_fenced(kafka_bootstrap: str, tmp_path: Path):
    async with fleet(kafka_bootstrap, tmp_path) as workers:
        zombie, heir = workers.start(), workers.start()
        await workers.settled(zombie, heir)
        async with workers.feeding():
            await workers.feed(3000)  # so much that the zombie is in the midst of it
            await workers.progress()
            zombie.signal(signal.SIGSTOP)
            await workers.overtaken(zombie, heir)
            zombie.signal(signal.SIGCONT)
            assert await zombie.ended() == 70
        await workers.drained()
        assert await heir.terminated() == 0
        await workers.check()
