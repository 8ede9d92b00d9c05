"""Our client against the simulated Kit: each way a request can end becomes the right result, and nothing leaks."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator

import pytest
import structlog

from processors.ids import CommandId
from processors.messages import AddTag, AddToSequence, Ambiguous, Done, NotMade, Rejected, RemoveTag, Upsert
from streams.errors import KitRefused, KitUnavailable
from streams.kit.calls import KitCalls
from streams.kit.client import ANSWER_BYTES_MAX, CONNECTIONS_MAX, KitClient
from streams.kit.simulator import Fault, FaultKind, KitSimulator
from streams.kit.wire import WORDS_CHARS_MAX, Answer, kit_words, result_of

API_KEY = "kit_0123456789_never_to_be_seen"
EMAIL = "ada+books@example.com"
PATIENCE_SECONDS = 0.5
"""Instead of the ten seconds of a real run, for the tests that wait in vain."""

UPSERT = Upsert(email=EMAIL, create_as="active", fields={"plan": "pro"}, labels={"Plan": "pro"})
ADD_TAG = AddTag(email=EMAIL, name="Pro", tag_id=101)
REMOVE_TAG = RemoveTag(subscriber_id=101, name="Pro", tag_id=101)
ADD_TO_SEQUENCE = AddToSequence(email=EMAIL, sequence_id=101, command=CommandId("purchased:in_1"))
REQUESTS = [UPSERT, ADD_TAG, REMOVE_TAG, ADD_TO_SEQUENCE]
LOST = [FaultKind.INTERNAL_ERROR, FaultKind.UNAVAILABLE, FaultKind.RESET, FaultKind.CUT_BODY]


def name_of(request: object) -> str:
    return type(request).__name__


@pytest.fixture
async def kit() -> AsyncIterator[KitSimulator]:
    simulator = KitSimulator(sequences=["Welcome"], tags=["Pro"], custom_fields=["Plan"])
    yield simulator
    await simulator.stop()


@pytest.fixture
async def client(kit: KitSimulator) -> AsyncIterator[KitClient]:
    async with KitClient(await kit.start(), API_KEY) as client:
        yield client


@pytest.fixture
async def impatient(kit: KitSimulator) -> AsyncIterator[KitClient]:
    async with KitClient(await kit.start(), API_KEY, request_seconds_max=PATIENCE_SECONDS) as client:
        yield client


@contextlib.asynccontextmanager
async def answering(raw: bytes) -> AsyncIterator[KitClient]:
    """A client of a server that says this to everything, whatever it is, and hangs up."""

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        with contextlib.suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, KitClient(f"http://127.0.0.1:{port}", API_KEY, request_seconds_max=5) as client:
        yield client


def http(status: str, body: bytes, content_type: str = "application/json") -> bytes:
    head = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_the_client_keeps_the_dispatchers_protocol():
    calls: KitCalls = KitClient("http://127.0.0.1:1", API_KEY)
    assert isinstance(calls, KitClient)


async def test_every_request_that_kit_does_is_done(client, kit):
    assert await client.perform(UPSERT) == Done(status=201, subscriber_id=101, state="active")
    assert await client.perform(UPSERT) == Done(status=200, subscriber_id=101, state="active")
    assert await client.perform(ADD_TAG) == Done(status=201, subscriber_id=101, state="active")
    assert await client.perform(ADD_TO_SEQUENCE) == Done(status=201, subscriber_id=101, state="active")
    held = kit.snapshot().by_email(EMAIL)
    assert (held.tags, held.fields, held.sequences) == (("Pro",), {"plan": "pro"}, {"Welcome": 1})
    assert await client.perform(REMOVE_TAG) == Done(status=204)
    assert kit.snapshot().by_email(EMAIL).tags == ()


async def test_an_upsert_tells_the_state_that_kit_knows_better(client, kit):
    await client.perform(UPSERT)
    kit.state.set_state(101, "bounced")
    assert await client.perform(UPSERT) == Done(status=200, subscriber_id=101, state="bounced")


async def test_what_was_there_already_is_done(client):
    await client.perform(UPSERT)
    for request in (ADD_TAG, ADD_TO_SEQUENCE):
        await client.perform(request)
        assert (await client.perform(request)).status == 200


async def test_removing_a_tag_from_somebody_who_is_gone_is_done(client):
    assert await client.perform(REMOVE_TAG) == Done(status=404)


async def test_tagging_somebody_who_is_not_there_is_rejected(client):
    assert await client.perform(ADD_TAG) == Rejected(status=404, message="Not Found")


async def test_an_email_that_kit_refuses_is_rejected_with_kits_words(client):
    refused = await client.perform(Upsert(email="nonsense", create_as="active"))
    assert refused == Rejected(status=422, message="Email address is invalid")


async def test_kits_words_are_kept_where_it_wraps_them_in_arrays(client, kit):
    await client.perform(UPSERT)
    kit.state.deactivate_sequence(101)
    assert await client.perform(ADD_TO_SEQUENCE) == Rejected(status=422, message="Sequence is inactive")


@pytest.mark.parametrize("request_", REQUESTS, ids=name_of)
@pytest.mark.parametrize("kind", LOST, ids=str)
@pytest.mark.parametrize("applied", [True, False])
async def test_an_answer_that_is_lost_is_ambiguous_whether_kit_did_it_or_not(client, kit, request_, kind, applied):
    await client.perform(UPSERT)
    kit.faults.add(Fault(kind=kind, next=1, applied=applied))
    before = kit.journal.requests
    assert isinstance(await client.perform(request_), Ambiguous)
    assert kit.journal.requests == before + 1  # aiohttp would have sent the DELETE again
    assert kit.faults.rules == ()


@pytest.mark.parametrize("request_", REQUESTS, ids=name_of)
async def test_429_in_plain_text_and_401_say_that_nothing_was_done(client, kit, request_):
    kit.faults.add(Fault(kind=FaultKind.RATE_LIMITED, next=1))
    assert await client.perform(request_) == NotMade(cause="rate_limited")
    kit.faults.add(Fault(kind=FaultKind.UNAUTHORISED, next=1))
    assert await client.perform(request_) == NotMade(cause="unauthorised")
    assert not kit.snapshot().subscribers


async def test_an_answer_that_is_late_but_in_time_is_done(client, kit):
    kit.faults.add(Fault(kind=FaultKind.SLOW, next=1, seconds=0.02))
    assert await client.perform(UPSERT) == Done(status=201, subscriber_id=101, state="active")


@pytest.mark.parametrize("kind", [FaultKind.HANG, FaultKind.SLOW], ids=str)
async def test_a_kit_that_takes_too_long_costs_no_more_than_the_limit(impatient, kit, kind):
    kit.faults.add(Fault(kind=kind, applied=True))
    started = time.monotonic()
    assert await impatient.perform(UPSERT) == Ambiguous(reason="no answer within 0.5 s")
    assert PATIENCE_SECONDS <= time.monotonic() - started < PATIENCE_SECONDS + 5
    with pytest.raises(KitUnavailable, match="no answer within"):
        await impatient.subscriber_by_email(EMAIL)


async def test_a_kit_that_is_not_there_is_ambiguous_and_unavailable():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        async with KitClient(f"http://127.0.0.1:{taken.getsockname()[1]}", API_KEY) as client:
            assert isinstance(await client.perform(UPSERT), Ambiguous)
            with pytest.raises(KitUnavailable, match="no connection"):
                await client.tags_page()


async def test_a_redirect_is_not_followed_so_the_key_stays_here():
    moved = b"HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"
    async with answering(moved) as client:
        result = await client.perform(UPSERT)
    assert isinstance(result, Ambiguous)
    assert "MILLRACE_KIT_API_BASE" in result.reason


@pytest.mark.parametrize(
    "raw",
    [
        http("200 OK", b"<html>all fine</html>", "text/html"),
        http("200 OK", b'{"subscriber": {"id": 1'),
        http("201 Created", b""),
        http("200 OK", b'{"subscriber": {"id": "1", "email_address": "a@b.c", "state": "active"}}'),
        b"no HTTP at all\r\n\r\n",
        b"",
    ],
    ids=["html", "half", "empty", "wrong shape", "no http", "silence"],
)
async def test_an_answer_that_cannot_be_read_is_ambiguous(raw):
    async with answering(raw) as client:
        assert isinstance(await client.perform(UPSERT), Ambiguous)
        with pytest.raises(KitUnavailable):
            await client.create_tag("Pro")


async def test_an_endless_answer_is_given_up():
    async with answering(http("200 OK", b"x" * (ANSWER_BYTES_MAX + 1))) as client:
        assert await client.perform(UPSERT) == Ambiguous(reason="the answer was cut or is no HTTP (ClientPayloadError)")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"errors": ["Name is odd", "Label is odd"]}', "Name is odd; Label is odd"),
        (b'{"errors": [["Sequence is inactive"], "Really"]}', "Sequence is inactive; Really"),
        (b"<html>Forbidden</html>\n", "<html>Forbidden</html>"),
        (b"\xff" * 2000, "�" * WORDS_CHARS_MAX),
        (b"", ""),
    ],
)
def test_kits_words_are_found_in_every_form(body, words):
    assert kit_words(Answer(422, body)) == words


@pytest.mark.parametrize(("status", "kind"), [(403, Rejected), (413, Rejected), (408, Ambiguous), (502, Ambiguous)])
def test_a_refusal_is_for_good_and_trouble_on_the_way_is_not(status, kind):
    assert isinstance(result_of(UPSERT, Answer(status, b"{}")), kind)


async def test_every_page_of_a_list_is_reached_by_its_cursor():
    names = [f"tag {number}" for number in range(1001)]
    kit = KitSimulator(tags=names)
    async with KitClient(await kit.start(), API_KEY) as client:
        first = await client.tags_page()
        second = await client.tags_page(first.after)
    await kit.stop()
    assert (len(first.items), len(second.items), second.after) == (1000, 1, None)
    assert {*first.items, *second.items} == set(names)


async def test_tags_fields_and_sequences_are_found_and_made(client):
    assert (await client.tags_page()).items == {"Pro": 101}
    assert (await client.fields_page()).items == {"Plan": "plan"}
    assert (await client.sequences_page()).items == {"Welcome": 101}
    assert await client.create_tag("PRO") == 101
    assert await client.create_tag("Reader") == 102
    assert await client.create_field("Renews on") == "renews_on"
    with pytest.raises(KitRefused, match="Name can't be blank") as refused:
        await client.create_tag(" ")
    assert refused.value.status == 422


async def test_a_subscriber_is_found_by_email_in_any_state_and_by_id(client):
    assert await client.subscriber_by_email(EMAIL) is None
    await client.perform(UPSERT)
    await client.perform(Upsert(email="adabooks@example.com", create_as="cancelled"))
    found = await client.subscriber_by_email(EMAIL.upper())
    assert found is not None
    assert (found.id, found.state, found.fields) == (101, "active", {"plan": "pro"})
    cancelled = await client.subscriber_by_email("adabooks@example.com")
    assert cancelled is not None
    assert cancelled.state == "cancelled"
    assert (await client.subscriber(101)) == found
    assert await client.subscriber(999) is None


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        (FaultKind.UNAUTHORISED, KitRefused),
        (FaultKind.RATE_LIMITED, KitRefused),
        (FaultKind.INTERNAL_ERROR, KitUnavailable),
        (FaultKind.RESET, KitUnavailable),
        (FaultKind.CUT_BODY, KitUnavailable),
    ],
)
async def test_a_look_up_that_fails_says_whether_kit_refused_or_was_not_there(client, kit, kind, error):
    kit.faults.add(Fault(kind=kind, next=1))
    before = kit.journal.requests
    with pytest.raises(error) as raised:
        await client.subscriber_by_email(EMAIL)
    assert kit.journal.requests == before + 1
    assert EMAIL not in str(raised.value)
    assert API_KEY not in str(raised.value)


async def test_warnings_of_kit_are_logged_without_the_email(client):
    with structlog.testing.capture_logs() as logs:
        await client.perform(UPSERT)
        await client.perform(Upsert(email=EMAIL, create_as="active", fields={"renamed": "x"}))
    assert [(line["event"], line["action"], line["request"], line["log_level"]) for line in logs] == [
        ("kit did only part of it", "kit_warned", "Upsert", "warning")
    ]
    assert "renamed" in str(logs)
    assert EMAIL not in str(logs)
    assert API_KEY not in str(logs)


async def test_requests_at_once_share_a_bounded_number_of_connections():
    opened = waiting = 0
    all_taken = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal opened, waiting
        opened += 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while await reader.readuntil(b"}}"):
                waiting += 1
                if waiting == CONNECTIONS_MAX:
                    all_taken.set()
                await all_taken.wait()  # so that all of them want a connection before one is free again
                writer.write(http("200 OK", b'{"subscriber": {"id": 1, "email_address": "a@b.c", "state": "active"}}'))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server, KitClient(base, API_KEY) as client:
        results = await asyncio.gather(*(client.perform(UPSERT) for _ in range(3 * CONNECTIONS_MAX)))
    assert results == [Done(status=200, subscriber_id=1, state="active")] * (3 * CONNECTIONS_MAX)
    assert opened == CONNECTIONS_MAX


def test_a_client_shows_no_secret_of_its_own():
    assert API_KEY not in repr(KitClient("http://127.0.0.1:1", API_KEY))


@pytest.mark.parametrize("request_", [UPSERT, ADD_TAG, ADD_TO_SEQUENCE], ids=name_of)
@pytest.mark.parametrize("odd", [b'"warnings": [{"key": "x"}]', b'"warnings": null', b'"more": 1'])
def test_what_kit_says_beside_id_and_state_never_undoes_a_result(request_, odd):
    body = b'{"subscriber": {"id": 7, "state": "active", "fields": {"plan": 5}}, ' + odd + b"}"
    assert result_of(request_, Answer(200, body)) == Done(status=200, subscriber_id=7, state="active")


NO_TEXT = (
    b'{"errors": ["caf\xe9"], "subscriber": {"id": 7, "state": "caf\xe9"}, "tags": [{"id": 1, "name": "caf\xe9"}]}'
)


async def test_an_answer_that_is_no_text_is_a_result_and_no_crash():
    async with answering(http("200 OK", NO_TEXT)) as client:
        assert isinstance(await client.perform(UPSERT), Ambiguous)
    async with answering(http("200 OK", NO_TEXT)) as client:
        with pytest.raises(KitUnavailable, match="cannot be read"):
            await client.tags_page()
    async with answering(http("422 Unprocessable Content", NO_TEXT)) as client:
        assert isinstance(await client.perform(UPSERT), Rejected)


async def test_a_field_that_kit_has_not_is_told_as_ignored(client, kit):
    both = Upsert(
        email=EMAIL, create_as="active", fields={"plan": "pro", "gone": "x"}, labels={"Plan": "pro", "G": "x"}
    )
    done = await client.perform(both)
    assert (done.status, done.ignored) == (201, ("gone",))
    assert kit.snapshot().by_email(EMAIL).fields == {"plan": "pro"}
    assert (await client.perform(UPSERT)).ignored == ()
