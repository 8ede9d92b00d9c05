"""Sending the sample history to a real edge: all of it lands, twice where asked, and a 503 is waited out."""

import json
import time
from collections import Counter

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from streams.edge.server import EdgeServer
from streams.errors import Unreachable
from streams.samples import SendReport, history, send, send_sample
from streams.settings import Settings
from tests.edges.memory_log import MemoryLog

SETTINGS = Settings(stripe_webhook_secrets=("whsec_tests",), stripe_livemode=False, edge_port=0)


@pytest.fixture
async def edge():
    log = MemoryLog()
    server = EdgeServer(SETTINGS, log, CollectorRegistry())
    await server.start()
    yield log, f"http://127.0.0.1:{server.port}"
    await server.stop()


@pytest.fixture
async def answering():
    """A server that gives the listed answers (status, headers), the last one again and again."""
    runners = []

    async def start(*answers):
        left = list(answers)

        async def answer(_request):
            status, headers = left.pop(0) if len(left) > 1 else left[0]
            return web.Response(status=status, headers=headers)

        runner = web.ServerRunner(web.Server(answer))
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/stripe"

    yield start
    for runner in runners:
        await runner.cleanup()


async def test_the_whole_history_lands_in_any_order_and_some_of_it_twice(edge):
    log, url = edge
    steps = []
    report = await send_sample(
        SETTINGS,
        seed=3,
        customers=15,
        shuffle=True,
        duplicate=0.3,
        url=url,
        report=lambda done, total: steps.append((done, total)),
    )
    events = [told.event for told in history(3, 15)]
    landed = Counter(json.loads(record.value)["id"] for record in log.records)
    assert landed.keys() == {event["id"] for event in events}
    assert set(landed.values()) == {1, 2}
    assert report == SendReport(len(events), sum(count == 2 for count in landed.values()), refused=0, retried=0)
    total = report.sent + report.duplicates
    assert steps == [(done, total) for done in range(1, total + 1)]
    assert [json.loads(record.value)["id"] for record in log.records][: len(events)] != [one["id"] for one in events]


async def test_without_shuffling_and_one_at_a_time_the_order_is_kept(edge):
    log, url = edge
    events = [told.event for told in history(3, 5)]
    await send(f"{url}/webhooks/stripe", "whsec_tests", events, concurrency=1)
    assert [json.loads(record.value) for record in log.records] == events


async def test_refusals_are_counted(edge):
    log, url = edge
    events = [told.event for told in history(3, 2)]
    report = await send(f"{url}/webhooks/stripe", "whsec_wrong", events)
    assert report == SendReport(sent=0, duplicates=0, refused=len(events), retried=0)
    assert log.records == []


async def test_a_503_is_tried_again_after_the_time_it_asks_for(answering):
    url = await answering((503, {"Retry-After": "1"}), (503, {"Retry-After": "0"}), (200, {}))
    begun = time.monotonic()
    report = await send(url, "whsec_x", [{"id": "evt_1"}])
    assert report == SendReport(sent=1, duplicates=0, refused=0, retried=2)
    assert 1 <= time.monotonic() - begun < 10


async def test_a_503_that_does_not_end_is_an_error_after_a_bounded_number_of_tries(answering):
    url = await answering((503, {"Retry-After": "0"}))
    with pytest.raises(Unreachable, match="answered 5xx"):
        await send(url, "whsec_x", [{"id": "evt_1"}])


async def test_an_edge_that_is_not_there_is_an_error_that_says_so():
    with pytest.raises(Unreachable, match="is the edge running"):
        await send("http://127.0.0.1:1/webhooks/stripe", "whsec_x", [{"id": "evt_1"}] * 3)
