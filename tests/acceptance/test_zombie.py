"""A worker stopped beyond its session under load, overtaken by another, and continued: it ends itself, with 70.

What it does before it notices must do no harm: its transactions are fenced, and whoever takes an intent over waits
until the time for its requests is up (evidence.py: no intent is performed twice, by nobody).
"""

import asyncio
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from streams.kit.simulator import Fault, FaultKind
from tests.acceptance.conftest import Kit
from tests.acceptance.evidence import assert_as_told, assert_nothing_lost, assert_once_only, opened
from tests.acceptance.fleet import until
from tests.acceptance.processes import (
    EXIT_FENCED,
    PARTITIONS,
    READY_SECONDS_MAX,
    Installation,
    Process,
    installation,
    supervised,
)
from tests.acceptance.stripe_player import chapters, seeds_of, stripe

pytestmark = [pytest.mark.kafka, pytest.mark.acceptance, pytest.mark.timeout(300)]

CHAPTERS = 3
LANES = 2 * PARTITIONS
"""Of both agents."""
LONG_GONE = 0.3
"""How often the zombie comes back only when the heir has done everything."""
SOON_SECONDS_MAX = 6
"""Otherwise so soon that, with its session, its intents may still have time (10 s), and be its own to carry out."""
ENDS_SECONDS_MAX = 30
ANSWER_SECONDS = 0.3
"""Kit is slow here, so that many intents are under way when the zombie is stopped,"""
REQUESTS = 40
"""after so many requests."""
REPEATS = 6
"""Of the first chapter: so much for the customers agent to drop that the zombie is stopped in the midst of a
transaction. One without any would join again and do no harm either, but would not have to end itself.
"""


@pytest.mark.parametrize("log_url", ["kafka"], indirect=True)
async def test_a_worker_paused_beyond_its_session_and_continued_ends_itself_and_does_no_harm(
    log_settings: dict[str, Any], kit: Kit, seed: int, tmp_path: Path
):
    kit.simulator.faults.clear()
    kit.simulator.faults.add(Fault(kind=FaultKind.SLOW, seconds=ANSWER_SECONDS))
    before, meanwhile, after = chapters(seed, CHAPTERS)
    async with (
        installation(log_settings, kit.url, tmp_path) as millrace,
        supervised(millrace, ["edge", "ops"]),
        stripe(millrace.edge) as posting,
    ):
        rng = random.Random(seed)
        zombie, heir = await two_at_work(millrace, rng)
        posting.deliver(before)
        posting.deliver(before * REPEATS)
        await until(lambda: kit.simulator.journal.requests > REQUESTS, "requests to Kit", 60)
        zombie.signal(signal.SIGSTOP)
        paused_at = time.time()
        posting.deliver(meanwhile)
        await overtaken(millrace, heir)
        if rng.random() < LONG_GONE:
            await millrace.idle()
        else:
            await asyncio.sleep(rng.uniform(0, SOON_SECONDS_MAX))
        posting.deliver(after)
        zombie.signal(signal.SIGCONT)
        assert await zombie.ended(ENDS_SECONDS_MAX) == EXIT_FENCED
        deaths = [paused_at, time.time()]
        await posting.all_taken()
        status = await millrace.idle()
        assert heir.running
        await heir.drained()
        assert_as_told(kit.simulator, seeds_of(seed, CHAPTERS))
        assert status["dead_letters"] == 0
        async with opened(millrace.settings) as log:
            await assert_nothing_lost(log, millrace.settings, posting.accepted)
            await assert_once_only(log, millrace.settings, kit.simulator, deaths)


async def overtaken(millrace: Installation, heir: Process) -> None:
    async with asyncio.timeout(READY_SECONDS_MAX):
        while await millrace.lanes(heir) != LANES:
            await asyncio.sleep(0.1)


async def two_at_work(millrace: Installation, rng: random.Random) -> tuple[Process, Process]:
    """Two workers, in no order, that hold all lanes together and some each."""
    workers = [millrace.start("worker"), millrace.start("worker")]
    for worker in workers:
        await millrace.ready(worker)
    async with asyncio.timeout(READY_SECONDS_MAX):
        while sorted(await asyncio.gather(*map(millrace.lanes, workers))) != [LANES // 3, LANES // 3 * 2]:
            await asyncio.sleep(0.1)
    rng.shuffle(workers)
    return workers[0], workers[1]
