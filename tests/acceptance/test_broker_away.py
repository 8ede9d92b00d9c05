"""The broker goes away in mid-run, for 10 s in the normal run and for 30 s in a long one, and comes back.

Meanwhile the edge answers 503 with Retry-After, each within the append's limit; the worker waits, or ends itself and
is started again as an operator's supervisor would. Afterwards nothing that was answered 200 is missing, and everything
lands in Kit.
"""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from streams.log import APPEND_SECONDS_MAX
from tests.acceptance.conftest import Kit
from tests.acceptance.evidence import assert_as_told, assert_nothing_lost, assert_once_only, opened
from tests.acceptance.fleet import until
from tests.acceptance.processes import EXIT_FENCED, installation, supervised
from tests.acceptance.stripe_player import Answer, chapters, seeds_of, stripe
from tests.broker import Broker

pytestmark = [pytest.mark.kafka, pytest.mark.acceptance, pytest.mark.timeout(400)]

AWAY_SECONDS = 10
AWAY_SECONDS_LONG = 30
CHAPTERS = 3
ANSWER_SECONDS_MAX = APPEND_SECONDS_MAX + 2
"""The machine may be loaded."""
EXIT_UNREACHABLE = 3


async def test_while_the_broker_is_away_the_edge_says_503_and_afterwards_nothing_is_missing(
    kafka_broker: Broker, topic_prefix: str, kit: Kit, seed: int, tmp_path: Path, simulate_seconds: float
):
    log: dict[str, Any] = {
        "broker": f"kafka://{kafka_broker.bootstrap}",
        "topic_prefix": topic_prefix,
        "data_dir": tmp_path / "data",
    }
    before, meanwhile, after = chapters(seed, CHAPTERS)
    async with installation(log, kit.url, tmp_path) as millrace, stripe(millrace.edge) as posting:
        async with supervised(millrace) as keeper:
            await keeper.ready()
            posting.deliver(before)
            await until(lambda: len(posting.accepted) > len(before) / 2, "load", 60)
            await asyncio.to_thread(kafka_broker.stop)
            gone = time.time()
            posting.deliver(meanwhile)
            await asyncio.sleep(AWAY_SECONDS_LONG if simulate_seconds else AWAY_SECONDS)
            back = time.time()
            await asyncio.to_thread(kafka_broker.start)
            posting.deliver(after)
            await posting.all_taken(120)
            status = await millrace.idle(120)
        assert_refused_politely([a for a in posting.answers if gone < a.at and a.at + a.seconds < back])
        assert {code for _, code in keeper.exits} <= {EXIT_FENCED, EXIT_UNREACHABLE}, keeper.exits
        assert "edge" not in dict(keeper.exits), "the edge waits for the broker"
        await millrace.drained()
        assert_as_told(kit.simulator, seeds_of(seed, CHAPTERS))
        assert status["dead_letters"] == 0
        async with opened(millrace.settings) as opened_log:
            await assert_nothing_lost(opened_log, millrace.settings, posting.accepted)
            await assert_once_only(opened_log, millrace.settings, kit.simulator, [gone, *millrace.deaths])


def assert_refused_politely(answers: list[Answer]) -> None:
    """Of requests that began and had to end while the broker was away."""
    assert answers
    for answer in answers:
        assert answer.status == 503, answer
        assert answer.retry_after is not None, answer
        assert answer.seconds < ANSWER_SECONDS_MAX, answer
