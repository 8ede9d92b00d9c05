"""What stands between a client and the simulated Kit: pages, lag, credentials, the rate limit, injected faults."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from streams.kit.simulator import Fault, FaultKind, KitSimulator
from streams.kit.simulator.faults import RULES_MAX, Faults
from streams.kit.simulator.rate_limit import RollingMinute
from tests.edges.kit_server import EMAIL, NOT_FOUND, OAUTH, Clock, Kit, emails, serving, upsert


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def kit(clock: Clock) -> AsyncIterator[Kit]:
    simulator = KitSimulator(sequences=["Welcome"], tags=["Pro"], custom_fields=["Plan"], clock=clock)
    async with serving(simulator) as kit:
        yield kit


# --- paging, lag


async def test_a_list_comes_in_pages_forth_and_back(kit):
    for number in range(5):
        await upsert(kit, f"reader{number}@example.com")

    async def page(**query: str) -> tuple[list[int], dict[str, object]]:
        _, answer = await kit.ask("GET", "/v4/subscribers", per_page="2", **query)
        return [row["id"] for row in answer["subscribers"]], answer["pagination"]

    first, pages = await page(include_total_count="true")
    assert (first, pages["has_previous_page"], pages["has_next_page"], pages["total_count"]) == (
        [105, 104],
        False,
        True,
        5,
    )
    assert pages["end_cursor"].endswith("=")
    second, pages = await page(after=pages["end_cursor"])
    assert (second, pages["has_previous_page"], pages["has_next_page"]) == ([103, 102], True, True)
    third, last = await page(after=pages["end_cursor"])
    assert (third, last["has_next_page"]) == ([101], False)
    assert (await page(before=pages["start_cursor"]))[0] == first
    assert (await page(before=last["start_cursor"]))[0] == second


async def test_an_empty_page_has_null_cursors(kit):
    _, answer = await kit.ask("GET", "/v4/subscribers")
    assert answer["pagination"] == {
        "has_previous_page": False,
        "has_next_page": False,
        "start_cursor": None,
        "end_cursor": None,
        "per_page": 500,
    }


@pytest.mark.parametrize("query", [{"after": "abc"}, {"after": "WyJ4Il0="}, {"per_page": "0"}, {"per_page": "many"}])
async def test_a_page_that_cannot_be_is_refused(kit, query):
    assert (await kit.ask("GET", "/v4/tags", **query))[0] == 422


async def test_no_page_is_longer_than_a_thousand(kit):
    _, answer = await kit.ask("GET", "/v4/tags", per_page="5000")
    assert answer["pagination"]["per_page"] == 1000


async def test_lists_lag_behind_and_a_get_by_id_does_not(clock):
    async with serving(KitSimulator(list_lag_seconds=30, clock=clock)) as kit:
        await upsert(kit)
        await kit.ask("POST", "/v4/tags", {"name": "Pro"})
        await kit.ask("POST", "/v4/tags/101/subscribers/101", {})
        clock.now += 29.9
        assert await emails(kit, email_address=EMAIL) == []
        assert (await kit.ask("GET", "/v4/tags"))[1]["tags"] == []
        assert (await kit.ask("GET", "/v4/subscribers/101/tags"))[1]["tags"] == []
        assert (await kit.ask("GET", "/v4/subscribers/101"))[0] == 200
        assert (await upsert(kit, first_name="Ada"))[0] == 200  # a write knows
        clock.now += 0.1
        assert await emails(kit, email_address=EMAIL) == [EMAIL]
        _, answer = await kit.ask("GET", "/v4/subscribers")
        assert answer["subscribers"][0]["first_name"] is None
        assert [row["name"] for row in (await kit.ask("GET", "/v4/subscribers/101/tags"))[1]["tags"]] == ["Pro"]


# --- credentials, limits


@pytest.mark.parametrize("headers", [{}, {"X-Kit-Api-Key": ""}, {"Authorization": "Basic abc"}])
async def test_without_a_credential_there_is_401(kit, headers):
    assert await kit.ask("GET", "/v4/tags", headers=headers) == (401, {"errors": ["The access token is invalid"]})


async def test_an_oauth_token_opens_what_a_key_opens(kit):
    assert (await kit.ask("GET", "/v4/tags", headers=OAUTH))[0] == 200


async def test_only_the_keys_it_was_given_are_accepted():
    async with serving(KitSimulator(api_keys=["right"])) as kit:
        assert (await kit.ask("GET", "/v4/tags", headers={"X-Kit-Api-Key": "right"}))[0] == 200
        assert (await kit.ask("GET", "/v4/tags", headers={"X-Kit-Api-Key": "wrong"}))[0] == 401


@pytest.mark.parametrize("path", ["/v4/purchases", "/v4/purchases/1", "/v4/bulk/subscribers"])
async def test_bulk_and_purchases_refuse_an_api_key(kit, path):
    assert (await kit.ask("GET", path))[0] == 401
    assert await kit.ask("GET", path, headers=OAUTH) == NOT_FOUND


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v4/nothing"), ("PATCH", "/v4/tags"), ("GET", "/v4/subscribers/x")]
)
async def test_what_kit_does_not_know_is_404_in_its_json(kit, method, path):
    assert await kit.ask(method, path) == NOT_FOUND


async def test_the_121st_request_of_a_minute_is_refused_in_plain_text(kit, clock):
    for _ in range(120):
        assert (await kit.ask("GET", "/v4/tags"))[0] == 200
        clock.now += 0.25
    async with aiohttp.request("GET", kit.base + "/v4/tags", headers={"X-Kit-Api-Key": "key"}) as refused:
        assert (refused.status, refused.content_type, await refused.text()) == (429, "text/plain", "Retry later")
        assert "Retry-After" not in refused.headers
    assert (await kit.ask("GET", "/v4/tags", headers=OAUTH))[0] == 200  # another credential
    clock.now += 60
    assert (await kit.ask("GET", "/v4/tags"))[0] == 200
    assert kit.simulator.snapshot().refused_429 == 1


def test_the_minute_rolls_so_no_sixty_seconds_hold_more_than_the_limit(clock):
    limit = RollingMinute(clock=clock)
    admitted = []
    for step in range(600):
        clock.now = step * 0.7
        if limit.admit("key", 40):
            admitted.append(clock.now)
    assert all(later - earlier >= 60 for earlier, later in zip(admitted, admitted[40:], strict=False))
    assert len(admitted) >= 40


def test_who_hammers_after_a_refusal_is_never_let_in_again(clock):
    limit = RollingMinute(clock=clock)
    assert [limit.admit("key", 2) for _ in range(3)] == [True, True, False]
    for _ in range(20):
        clock.now += 20
        assert not limit.admit("key", 2)
    clock.now += 60
    assert limit.admit("key", 2)


# --- faults, side API


async def test_faults_are_set_seen_spent_and_cleared_over_http(kit):
    fault = {"kind": "503", "next": 2, "method": "POST", "path": "/v4/tags"}
    assert (await kit.ask("POST", "/simulator/faults", fault))[0] == 201
    assert (await kit.ask("GET", "/v4/tags"))[0] == 200  # another method
    assert [(await kit.ask("POST", "/v4/tags", {"name": "A"}))[0] for _ in range(3)] == [503, 503, 201]
    assert await kit.ask("GET", "/simulator/faults") == (200, [])
    await kit.ask("POST", "/simulator/faults", {"kind": "401"})
    assert [(await kit.ask("GET", "/v4/tags"))[0] for _ in range(3)] == [401] * 3
    assert await kit.ask("DELETE", "/simulator/faults") == (204, None)
    assert (await kit.ask("GET", "/v4/tags"))[0] == 200


@pytest.mark.parametrize(
    "fault", [{"kind": "eclipse"}, {"kind": "500", "probability": 2}, {"kind": "500", "nxt": 1}, {}]
)
async def test_a_fault_that_makes_no_sense_is_refused(kit, fault):
    assert (await kit.ask("POST", "/simulator/faults", fault))[0] == 422
    assert kit.simulator.faults.rules == ()


async def test_no_more_faults_are_taken_than_the_limit(kit):
    for _ in range(RULES_MAX):
        kit.simulator.faults.add(Fault(kind=FaultKind.SLOW, path="/never"))
    assert (await kit.ask("POST", "/simulator/faults", {"kind": "500"}))[0] == 422


@pytest.mark.parametrize("applied", [True, False])
async def test_a_500_may_come_before_or_after_the_deed(kit, applied):
    kit.simulator.faults.add(Fault(kind=FaultKind.INTERNAL_ERROR, next=1, applied=applied))
    assert (await kit.ask("POST", "/v4/subscribers", {"email_address": EMAIL}))[0] == 500
    assert (kit.simulator.snapshot().by_email(EMAIL) is not None) is applied
    assert kit.simulator.journal.entries[-1].applied is applied


def test_the_same_seed_gives_the_same_faults():
    def drawn(seed: int) -> list[bool | None]:
        faults = Faults(seed=seed)
        faults.add(Fault(kind=FaultKind.RESET, probability=0.3))
        picked = [faults.pick("GET", "/v4/tags") for _ in range(200)]
        return [None if fault is None else fault.applied for fault in picked]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)
    assert 30 <= sum(fault is not None for fault in drawn(7)) <= 90
    assert {True, False} < set(drawn(7))


async def test_the_journal_tells_every_request_and_no_credential(kit):
    await upsert(kit)
    await kit.ask("GET", "/v4/subscribers", email_address=EMAIL)
    _, entries = await kit.ask("GET", "/simulator/journal")
    assert [(entry["method"], entry["path"], entry["status"]) for entry in entries] == [
        ("POST", "/v4/subscribers", 201),
        ("GET", "/v4/subscribers", 200),
    ]
    assert (entries[0]["body"], entries[1]["query"]) == ({"email_address": EMAIL}, {"email_address": EMAIL})
    assert "key" not in str([{**entry, "answer": None} for entry in entries])
    await kit.ask("DELETE", "/simulator/journal")
    assert (await kit.ask("GET", "/simulator/journal"))[1] == []


async def test_people_see_what_kit_holds_and_can_let_a_subscriber_bounce(kit):
    await upsert(kit, fields={"plan": "pro"})
    await kit.ask("POST", "/v4/tags/101/subscribers/101", {})
    assert (await kit.ask("POST", "/simulator/subscribers/101/state", {"state": "bounced"}))[0] == 204
    assert (await kit.ask("POST", "/simulator/subscribers/999/state", {"state": "bounced"}))[0] == 404
    _, state = await kit.ask("GET", "/simulator/state")
    assert state["subscribers"] == [
        {
            "id": 101,
            "email_address": EMAIL,
            "state": "bounced",
            "first_name": None,
            "tags": ["Pro"],
            "fields": {"plan": "pro"},
            "sequences": {},
        }
    ]
    assert state["custom_fields"]["Plan"] == "plan"
