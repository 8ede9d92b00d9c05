"""kill -9 of the whole system at random moments under load: Kit ends as after a run without kills, nothing twice.

In each round a chapter of sample history is posted, shuffled and partly twice, and a process is killed: while it
starts, while it takes webhooks, or in the midst of its requests to Kit. On the embedded log that is all of Millrace
(`up`), on Kafka the worker and now and then the edge. What must hold afterwards: evidence.py.
"""

import asyncio
import random
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.conftest import Kit, NewKit
from tests.acceptance.evidence import (
    Holding,
    assert_as_told,
    assert_nothing_lost,
    assert_once_only,
    kit_holds,
    opened,
)
from tests.acceptance.fleet import until
from tests.acceptance.processes import EXIT_FENCED, installation, supervised
from tests.acceptance.stripe_player import Stripe, chapters, seeds_of, stripe
from tests.flow.system import running

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(0)]  # every wait in here has a limit of its own

KILLS = 5
KILLS_LONG = 50
SECONDS_PER_KILL = 6
SECONDS_PER_CHAPTER = 6
"""On a loaded machine; the run without kills gets them all at once."""
STARTING = 0.25
"""Part of the kills that hit a start."""
POSTING = 0.35
"""Those that hit webhooks being taken; the rest hit requests to Kit."""
EDGE_TOO = 0.4


async def test_kills_at_random_moments_change_nothing(
    log_settings: dict[str, Any], kit: Kit, new_kit: NewKit, seed: int, tmp_path: Path, simulate_seconds: float
):
    rng = random.Random(seed)
    kills = max(KILLS_LONG, int(simulate_seconds / SECONDS_PER_KILL)) if simulate_seconds else KILLS
    told = chapters(seed, kills + 1)
    async with installation(log_settings, kit.url, tmp_path) as millrace, stripe(millrace.edge) as posting:
        async with supervised(millrace) as keeper:
            for chapter in told[:-1]:
                posting.deliver(chapter)
                await moment(rng, posting, kit)
                keeper.kill(keeper.asks_kit)
                if "edge" in keeper.current and rng.random() < EDGE_TOO:
                    keeper.kill("edge")
            posting.deliver(told[-1])
            await posting.all_taken()
            status = await millrace.idle()
        await millrace.drained()
        assert {code for _, code in keeper.exits} <= {EXIT_FENCED}, keeper.exits
        assert_as_told(kit.simulator, seeds_of(seed, kills + 1))
        async with opened(millrace.settings) as log:
            await assert_nothing_lost(log, millrace.settings, posting.accepted)
            await assert_once_only(log, millrace.settings, kit.simulator, millrace.deaths)
    reference, reference_status = await without_kills(log_settings, new_kit, told, tmp_path)
    assert kit_holds(kit.simulator) == reference
    assert status["events"]["processed"] == reference_status["events"]["processed"]
    assert status["dead_letters"] == reference_status["dead_letters"] == 0


async def moment(rng: random.Random, posting: Stripe, kit: Kit) -> None:
    """Returns when the next kill is due."""
    chance = rng.random()
    if chance < STARTING:
        await asyncio.sleep(rng.uniform(0, 4))
    elif chance < STARTING + POSTING:
        await posting.taken(rng.randrange(1, 40))
    else:
        due = kit.simulator.journal.requests + rng.randrange(1, 25)
        await until(lambda: kit.simulator.journal.requests >= due, "requests to Kit", 60)
        await asyncio.sleep(rng.uniform(0, 0.1))


async def without_kills(
    log_settings: dict[str, Any], new_kit: NewKit, told: list[list[bytes]], tmp_path: Path
) -> tuple[dict[str, Holding], dict[str, Any]]:
    """The same deliveries to a fresh Millrace on a fresh log."""
    fresh = log_settings | {"data_dir": tmp_path / "reference"}
    if fresh["broker"].startswith("sqlite:"):
        fresh["broker"] = f"sqlite:///{tmp_path / 'reference.db'}"
    else:
        fresh["topic_prefix"] = f"t{uuid.uuid4().hex[:10]}."
    async with new_kit() as kit, running(fresh, kit) as system, stripe(system.edge) as posting:
        for chapter in told:
            posting.deliver(chapter)
        await posting.all_taken(60 + SECONDS_PER_CHAPTER * len(told))
        status = await system.settled(60 + SECONDS_PER_CHAPTER * len(told))
        return kit_holds(kit.simulator), status
