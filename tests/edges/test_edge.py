"""The public edge on real sockets: what it answers, what it has put into the log by then, and how it stops."""

import asyncio
import base64
import contextlib
import json
import re
import time

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from processors.messages import decode_dead_letter
from processors.record import Source, Topic
from streams import deadline
from streams.edge import webhook
from streams.edge.server import EdgeServer
from streams.edge.signatures import signed_header
from streams.errors import WrongSettings
from streams.settings import Settings
from tests.edges.memory_log import MemoryLog
from tests.recorded import recorded_event, recorded_events

SECRET = "whsec_tests"
SETTINGS = Settings(
    stripe_webhook_secrets=("whsec_older", SECRET), stripe_livemode=False, edge_port=0, edge_body_bytes_max=64 * 1024
)
BODY = json.dumps(recorded_event("checkout.session.completed")).encode()


class Edge:
    """A running edge with its log, its metrics and a client."""

    def __init__(self, session, *, append_seconds_max=5.0):
        self.log = MemoryLog(append_seconds_max)
        self.registry = CollectorRegistry()
        self.server = EdgeServer(SETTINGS, self.log, self.registry)
        self.session = session

    async def start(self):
        await self.server.start()
        self.url = f"http://127.0.0.1:{self.server.port}"

    async def post(self, body=BODY, header=None, **headers):
        signature = header if header is not None else signed_header(SECRET, body, int(time.time()))
        async with self.session.post(
            f"{self.url}/webhooks/stripe", data=body, headers={"Stripe-Signature": signature, **headers}
        ) as answer:
            return answer.status, await answer.json(), answer.headers

    async def get(self, path):
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.json(), answer.headers

    def counted(self, outcome):
        return self.registry.get_sample_value("millrace_edge_webhooks_total", {"outcome": outcome})


@pytest.fixture
async def session():
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        yield session


@pytest.fixture
async def edge(session):
    edge = Edge(session)
    await edge.start()
    yield edge
    edge.log.acknowledging.set()
    await edge.server.stop()


@pytest.fixture
async def impatient(session):
    edge = Edge(session, append_seconds_max=0.2)
    await edge.start()
    yield edge
    edge.log.acknowledging.set()
    await edge.server.stop()


async def until(condition, seconds=10.0):
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


# --- what is taken --------------------------------------------------------------------------------------------


async def test_an_event_is_in_the_log_as_it_came_when_it_is_answered_200(edge):
    before_ms = int(time.time() * 1000)
    status, answer, headers = await edge.post()
    assert (status, answer) == (200, {"received": True})
    assert headers["Content-Type"] == "application/json"
    assert "Date" in headers
    (record,) = edge.log.records
    assert (record.topic, record.value, record.source) == (Topic.CUSTOMER_EVENTS, BODY, Source.WEBHOOK)
    assert record.key == b"cus_00000000000000"
    assert before_ms <= record.received_ms <= int(time.time() * 1000)
    assert edge.counted("accepted") == 1


async def test_nothing_is_answered_before_the_log_has_acknowledged(edge):
    edge.log.acknowledging.clear()
    posting = asyncio.create_task(edge.post())
    await until(lambda: edge.log.waiting == 1)
    assert not posting.done()
    edge.log.acknowledging.set()
    assert (await posting)[0] == 200
    assert len(edge.log.records) == 1


async def test_every_recorded_event_gets_200_and_is_logged(edge):
    bodies = [json.dumps(event).encode() for event in recorded_events()]
    answers = await asyncio.gather(*(edge.post(body) for body in bodies))
    assert {status for status, _, _ in answers} == {200}
    assert sorted(record.value for record in edge.log.records) == sorted(bodies)


async def test_many_at_once_all_land_once(edge):
    bodies = [json.dumps(recorded_event("invoice.paid", copy)).encode() for copy in range(500)]
    answers = await asyncio.gather(*(edge.post(body) for body in bodies))
    assert [status for status, _, _ in answers] == [200] * 500
    assert sorted(record.value for record in edge.log.records) == sorted(bodies)


async def test_an_old_client_that_does_not_keep_connections_is_answered_too(edge):
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    signature = signed_header(SECRET, BODY, int(time.time()))
    writer.write(
        f"POST /webhooks/stripe HTTP/1.0\r\nStripe-Signature: {signature}\r\n"
        f"Content-Length: {len(BODY)}\r\n\r\n".encode()
        + BODY
    )
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    assert answer.startswith(b"HTTP/1.0 200")
    assert answer.endswith(b'{"received": true}')


async def test_requests_that_come_in_one_piece_are_answered_in_order(edge):
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    signature = signed_header(SECRET, BODY, int(time.time()))
    head = f"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: {signature}\r\n"
    good = f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY
    bad = f"{head}Content-Length: 2\r\n\r\n{{}}".encode()
    writer.write(good + bad + good)
    async with asyncio.timeout(10):
        received = b""
        while received.count(b"HTTP/1.1 200") < 2:
            received += await reader.read(65536)
    writer.close()
    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"400", b"200"]


# --- what is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("header", ["", "t=1,v1=zz", "t=1,v1=\xe9\xff", "v1=" + "0" * 64, "t=" + "9" * 5000 + ",v1=0"])
async def test_a_bad_signature_gets_400_and_leaves_nothing(edge, header):
    status, answer, _ = await edge.post(header=header)
    assert status == 400
    assert answer["error"]
    assert edge.log.records == []
    assert edge.counted("bad_signature") == 1


async def test_header_bytes_that_are_no_text_get_400(edge):
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nStripe-Signature: t=1,v1=\xff\xfe\r\n")
    writer.write(b"Content-Length: 2\r\n\r\n{}")
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 400 " in line


@pytest.mark.parametrize("off", [-301 - 5, 301 + 5])
async def test_a_signature_of_another_time_gets_400(edge, off):
    status, _, _ = await edge.post(header=signed_header(SECRET, BODY, int(time.time()) + off))
    assert status == 400


async def test_every_configured_secret_is_accepted(edge):
    status, _, _ = await edge.post(header=signed_header("whsec_older", BODY, int(time.time())))
    assert status == 200


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\xff\xfe", b"null", b'{"a":' * 65 + b"1" + b"}" * 65, b"[" * 60_000], ids=repr
)
async def test_signed_bytes_that_are_no_event_get_400_and_are_counted(edge, body):
    status, answer, _ = await edge.post(body)
    assert status == 400
    assert answer["error"]
    assert edge.log.records == []
    assert edge.counted("no_event") == 1


async def test_a_body_over_the_limit_gets_413_whether_or_not_its_length_is_announced(edge):
    async def trickled():
        for _ in range(3):
            yield b" " * 32 * 1024

    too_large = b" " * (SETTINGS.edge_body_bytes_max + 1)
    assert (await edge.post(too_large))[0] == 413
    assert (await edge.post(trickled(), header="t=1,v1=0"))[0] == 413
    assert edge.counted("too_large") == 2
    at_the_limit = BODY + b" " * (SETTINGS.edge_body_bytes_max - len(BODY))
    assert (await edge.post(at_the_limit))[0] == 200


async def test_a_sender_who_announces_gigabytes_is_refused_before_sending_them(edge):
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n")
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 413 " in line


async def test_the_signature_is_over_the_bytes_as_sent_not_unpacked(edge):
    status, _, _ = await edge.post(**{"Content-Encoding": "gzip"})
    assert status == 200
    assert edge.log.records[0].value == BODY


# --- events for someone else ----------------------------------------------------------------------------------


@pytest.mark.parametrize("change", [{"livemode": True}, {"account": "acct_foe"}])
async def test_an_event_for_someone_else_gets_200_and_becomes_a_dead_letter(edge, change):
    body = json.dumps(recorded_event("checkout.session.completed") | change).encode()
    status, answer, _ = await edge.post(body)
    assert (status, answer) == (200, {"received": True})
    (record,) = edge.log.records
    assert (record.topic, record.key) == (Topic.DEAD_LETTERS, b"customer.events")
    letter = decode_dead_letter(record.value)
    assert (letter.raw, letter.topic, letter.key) == (body, "customer.events", b"cus_00000000000000")
    assert (letter.partition, letter.offset) == (-1, -1)
    assert letter.reason
    assert base64.b64encode(body) in record.value
    assert edge.counted("misdirected") == 1


# --- the log is not there -------------------------------------------------------------------------------------


async def test_a_log_that_fails_gives_503_with_retry_after(edge):
    edge.log.broken = True
    status, answer, headers = await edge.post()
    assert status == 503
    assert answer["error"]
    assert int(headers["Retry-After"]) >= 1
    edge.log.broken = False
    assert (await edge.post())[0] == 200


async def test_a_log_that_does_not_acknowledge_in_time_gives_503_within_the_bound(impatient):
    impatient.log.acknowledging.clear()
    begun = time.monotonic()
    answers = await asyncio.gather(*(impatient.post() for _ in range(20)))
    assert {status for status, _, _ in answers} == {503}
    assert all("Retry-After" in headers for _, _, headers in answers)
    assert time.monotonic() - begun < 5
    assert impatient.counted("log_unavailable") == 20
    assert impatient.log.waiting == 0


async def test_a_slow_log_costs_only_who_waits_too_long(impatient):
    impatient.log.acknowledging.clear()
    assert (await impatient.post())[0] == 503
    impatient.log.acknowledging.set()
    assert (await impatient.post())[0] == 200
    assert len(impatient.log.records) == 1


async def test_one_deadline_serves_tasks_that_end_on_their_own_in_time_and_never():
    shared = deadline.SharedDeadline(0.1)
    never, soon = asyncio.Event(), asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, soon.set)

    async def fails():
        raise ValueError("its own")

    ended = await asyncio.gather(
        *(shared.within(work) for work in (never.wait(), soon.wait(), fails(), never.wait())), return_exceptions=True
    )
    assert [type(one) for one in ended] == [TimeoutError, bool, ValueError, TimeoutError]


async def test_a_deadline_passes_on_a_cancellation_that_is_not_its_own():
    shared = deadline.SharedDeadline(10)
    task = asyncio.create_task(shared.within(asyncio.Event().wait()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# --- the server -----------------------------------------------------------------------------------------------


async def test_it_says_whether_it_lives_and_is_ready(edge):
    assert (await edge.get("/livez"))[0] == 200
    assert (await edge.get("/readyz"))[0] == 200
    edge.log.broken = True
    assert (await edge.post())[0] == 503
    assert (await edge.get("/readyz"))[:2] == (
        503,
        {"error": "the log does not acknowledge: look at the broker, or at the disk"},
    )
    assert (await edge.get("/livez"))[0] == 200
    edge.log.broken = False
    assert (await edge.post())[0] == 200
    assert (await edge.get("/readyz"))[0] == 200


async def test_other_paths_are_404_and_other_methods_405(edge):
    for path in ("/", "/webhooks/kit", "/deliver/token", "/webhooks/stripe/", "/metrics"):
        assert (await edge.get(path))[0] == 404
    status, _, headers = await edge.get("/webhooks/stripe")
    assert (status, headers["Allow"]) == (405, "POST")


async def test_a_stop_answers_what_is_in_flight_and_takes_nothing_new(session):
    edge = Edge(session)
    await edge.start()
    edge.log.acknowledging.clear()
    posting = [asyncio.create_task(edge.post()) for _ in range(10)]
    await until(lambda: edge.log.waiting == 10)
    stopping = asyncio.create_task(edge.server.stop())

    async def refuses():
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", int(edge.url.rpartition(":")[2]))
        except OSError:
            return True
        writer.close()
        return False

    async with asyncio.timeout(10):
        while not await refuses():
            await asyncio.sleep(0.005)
    assert not stopping.done()
    edge.log.acknowledging.set()
    assert {(await one)[0] for one in posting} == {200}
    await asyncio.wait_for(stopping, 10)
    assert len(edge.log.records) == 10


async def test_a_stop_does_not_wait_for_idle_connections_and_may_come_twice(session):
    edge = Edge(session)
    await edge.start()
    assert (await edge.get("/livez"))[0] == 200
    await asyncio.wait_for(edge.server.stop(), 3)
    await edge.server.stop()


async def test_a_sender_who_goes_away_does_not_take_the_event_back(edge):
    edge.log.acknowledging.clear()
    posting = asyncio.create_task(edge.post())
    await until(lambda: edge.log.waiting == 1)
    posting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await posting
    edge.log.acknowledging.set()
    await until(lambda: len(edge.log.records) == 1)
    assert (await edge.post())[0] == 200


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever(edge, monkeypatch):
    monkeypatch.setattr(webhook, "BODY_SECONDS_MAX", 0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", edge.server.port)
    writer.write(b"POST /webhooks/stripe HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{")
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    assert b" 400 " in line
    assert edge.counted("unreadable") == 1


def test_without_a_secret_it_does_not_start():
    with pytest.raises(WrongSettings, match="MILLRACE_STRIPE_WEBHOOK_SECRETS"):
        EdgeServer(Settings(), MemoryLog(), CollectorRegistry())


async def test_a_taken_port_is_an_error_and_leaves_nothing_behind(edge):
    taken = SETTINGS.model_copy(update={"edge_port": edge.server.port})
    second = EdgeServer(taken, MemoryLog(), CollectorRegistry())
    with pytest.raises(OSError, match="in use"):
        await second.start()
    await second.stop()
