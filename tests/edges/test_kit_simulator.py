"""The simulated Kit changes and shows an account as Kit is known to: states, upserts, tags, fields, sequences."""

from collections.abc import AsyncIterator

import pytest

from streams.kit.simulator import KitSimulator
from streams.kit.simulator.state import field_key
from tests.edges.kit_server import EMAIL, MANY_FIELDS, NOT_FOUND, SECOND, Clock, Kit, emails, serving, upsert


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def kit(clock: Clock) -> AsyncIterator[Kit]:
    simulator = KitSimulator(
        sequences=["Welcome"], tags=["Pro"], custom_fields=["Plan", *MANY_FIELDS], clock=clock, late_fields_seconds=5
    )
    async with serving(simulator) as kit:
        yield kit


# --- subscribers


async def test_an_upsert_of_somebody_new_creates_with_the_state_asked_for(kit):
    status, subscriber = await upsert(kit, state="inactive", first_name="Ada", fields={"plan": "pro"})
    assert (status, subscriber["state"], subscriber["first_name"]) == (201, "inactive", "Ada")
    assert subscriber["fields"] == {"plan": "pro"} | dict.fromkeys(MANY_FIELDS)
    assert subscriber["created_at"] == "2027-01-15T08:00:00Z"


async def test_an_upsert_without_a_state_creates_an_active_one(kit):
    assert (await upsert(kit))[1]["state"] == "active"


async def test_an_upsert_of_somebody_known_changes_name_and_fields_but_never_the_state(kit):
    await upsert(kit, first_name="Ada", fields={"plan": "free", "field_1": "kept"})
    await kit.ask("POST", "/v4/subscribers/101/unsubscribe", {})
    status, subscriber = await upsert(
        kit, email=EMAIL.upper(), state="active", first_name="Ada L.", fields={"plan": "x"}
    )
    assert (status, subscriber["id"], subscriber["state"]) == (200, 101, "cancelled")
    assert (subscriber["first_name"], subscriber["email_address"]) == ("Ada L.", EMAIL)
    assert (subscriber["fields"]["plan"], subscriber["fields"]["field_1"]) == ("x", "kept")


async def test_more_than_ten_fields_are_answered_202_and_set_later(kit, clock):
    status, subscriber = await upsert(kit, fields=MANY_FIELDS)
    assert (status, set(subscriber["fields"].values())) == (202, {None})
    _, before = await kit.ask("GET", "/v4/subscribers/101")
    clock.now += 5
    _, after = await kit.ask("GET", "/v4/subscribers/101")
    assert set(before["subscriber"]["fields"].values()) == {None}
    assert after["subscriber"]["fields"] == {"plan": None, **MANY_FIELDS}


async def test_ten_fields_are_set_at_once(kit):
    ten = dict(list(MANY_FIELDS.items())[:10])
    status, subscriber = await upsert(kit, fields=ten)
    assert (status, subscriber["fields"]["field_9"]) == (201, "x")


async def test_more_than_140_fields_are_refused(kit):
    fields = {f"f{number}": "x" for number in range(141)}
    status, _ = await kit.ask("POST", "/v4/subscribers", {"email_address": EMAIL, "fields": fields})
    assert status == 422
    assert await emails(kit, status="all") == []


async def test_an_unknown_field_is_ignored_with_a_warning(kit):
    _, answer = await kit.ask("POST", "/v4/subscribers", {"email_address": EMAIL, "fields": {"renamed": "x"}})
    assert "renamed" in answer["warnings"][0]
    assert "renamed" not in answer["subscriber"]["fields"]


@pytest.mark.parametrize(
    "body",
    [{}, {"email_address": "nonsense"}, {"email_address": EMAIL, "state": "gone"}, {"email_address": 1}, []],
)
async def test_an_upsert_that_makes_no_sense_is_refused(kit, body):
    status, answer = await kit.ask("POST", "/v4/subscribers", body)
    assert (status, list(answer)) == (422, ["errors"])


async def test_the_list_shows_the_active_ones_unless_asked_for_others(kit):
    await upsert(kit)
    await upsert(kit, SECOND, state="inactive")
    assert await emails(kit) == [EMAIL]
    assert await emails(kit, status="inactive") == [SECOND]
    assert set(await emails(kit, status="all")) == {EMAIL, SECOND}
    assert (await kit.ask("GET", "/v4/subscribers", status="everyone"))[0] == 422


async def test_a_look_up_by_email_finds_cancelled_people_only_with_status_all(kit):
    await upsert(kit)
    await kit.ask("POST", "/v4/subscribers/101/unsubscribe", {})
    assert await emails(kit, email_address=EMAIL) == []
    assert await emails(kit, email_address=EMAIL, status="all") == [EMAIL]
    assert set(await emails(kit, email_address=f"{EMAIL},{SECOND}", status="all")) == {EMAIL}


async def test_a_look_up_of_what_is_no_email_is_refused(kit):
    assert (await kit.ask("GET", "/v4/subscribers", email_address="nonsense"))[0] == 422


async def test_an_email_can_be_changed_unless_another_has_it(kit):
    await upsert(kit)
    await upsert(kit, SECOND)
    assert await kit.ask("PUT", "/v4/subscribers/101", {"email_address": SECOND}) == (
        422,
        {"errors": ["Email address has already been taken"]},
    )
    await kit.ask("PUT", "/v4/subscribers/101", {"email_address": "new@example.com"})
    assert await emails(kit, email_address="new@example.com") == ["new@example.com"]
    assert (await upsert(kit))[0] == 201  # the old email is free again
    assert await kit.ask("PUT", "/v4/subscribers/999", {}) == NOT_FOUND


async def test_unsubscribing_cancels_and_keeps_tags(kit):
    await upsert(kit)
    await kit.ask("POST", "/v4/tags/101/subscribers/101", {})
    assert await kit.ask("POST", "/v4/subscribers/101/unsubscribe", {}) == (204, None)
    held = kit.simulator.snapshot().by_email(EMAIL)
    assert (held.state, held.tags) == ("cancelled", ("Pro",))


# --- tags, fields, sequences


async def test_a_tag_is_matched_without_regard_to_case(kit):
    status, answer = await kit.ask("POST", "/v4/tags", {"name": " pro "})
    assert (status, answer["tag"]["name"], answer["tag"]["id"]) == (200, "Pro", 101)
    status, answer = await kit.ask("POST", "/v4/tags", {"name": "Reader"})
    assert (status, answer["tag"]["id"]) == (201, 102)
    assert await kit.ask("POST", "/v4/tags", {"name": " "}) == (422, {"errors": ["Name can't be blank"]})


@pytest.mark.parametrize("by_email", [True, False])
async def test_tagging_is_201_then_200_and_404_for_what_is_not_there(kit, by_email):
    async def tag(tag_id: int, subscriber_id: int, email: str) -> int:
        path = f"/v4/tags/{tag_id}/subscribers"
        if by_email:
            return (await kit.ask("POST", path, {"email_address": email}))[0]
        return (await kit.ask("POST", f"{path}/{subscriber_id}", {}))[0]

    await upsert(kit)
    assert [await tag(101, 101, EMAIL) for _ in range(2)] == [201, 200]
    assert await tag(999, 101, EMAIL) == 404
    assert await tag(101, 999, SECOND) == 404
    _, answer = await kit.ask("GET", "/v4/subscribers/101/tags")
    assert [row["name"] for row in answer["tags"]] == ["Pro"]


async def test_a_tag_is_taken_away_by_id_by_query_and_by_body(kit):
    await upsert(kit)
    for path, body, query in (
        ("/v4/tags/101/subscribers/101", None, {}),
        ("/v4/tags/101/subscribers", None, {"email_address": EMAIL}),
        ("/v4/tags/101/subscribers", {"email_address": EMAIL}, {}),
    ):
        await kit.ask("POST", "/v4/tags/101/subscribers/101", {})
        assert kit.simulator.snapshot().by_email(EMAIL).tags == ("Pro",)
        assert await kit.ask("DELETE", path, body, **query) == (204, None)
        assert kit.simulator.snapshot().by_email(EMAIL).tags == ()
    assert (await kit.ask("DELETE", "/v4/tags/101/subscribers/101"))[0] == 204  # not held
    assert await kit.ask("DELETE", "/v4/tags/999/subscribers/101") == NOT_FOUND
    assert await kit.ask("DELETE", "/v4/tags/101/subscribers/999") == NOT_FOUND
    assert (await kit.ask("DELETE", "/v4/tags/101/subscribers"))[0] == 422


async def test_a_custom_field_gets_a_key_and_is_made_once(kit):
    status, answer = await kit.ask("POST", "/v4/custom_fields", {"label": " Renews on "})
    assert (status, answer["custom_field"]["key"], answer["custom_field"]["label"]) == (201, "renews_on", "Renews on")
    assert answer["custom_field"]["name"] == f"ck_field_{answer['custom_field']['id']}_renews_on"
    assert (await kit.ask("POST", "/v4/custom_fields", {"label": "Renews on"}))[0] == 200
    assert await kit.ask("POST", "/v4/custom_fields", {"label": ""}) == (422, {"errors": ["Label can't be blank"]})


@pytest.mark.parametrize(("label", "key"), [("Last name", "last_name"), ("Größe (cm)", "groe_cm"), ("  A--B ", "a_b")])
def test_a_fields_key_is_ascii_lower_case_and_underscores(label, key):
    assert field_key(label) == key


async def test_a_sequence_takes_somebody_once_and_says_200_after_that(kit):
    await upsert(kit)
    body = {"email_address": EMAIL}
    statuses = [(await kit.ask("POST", "/v4/sequences/101/subscribers", body))[0] for _ in range(3)]
    assert statuses == [201, 200, 200]
    assert (await kit.ask("POST", "/v4/sequences/101/subscribers/101", {}))[0] == 200
    assert kit.simulator.snapshot().by_email(EMAIL).sequences == {"Welcome": 4}
    assert await kit.ask("POST", "/v4/sequences/999/subscribers", body) == NOT_FOUND
    assert await kit.ask("POST", "/v4/sequences/101/subscribers", {"email_address": SECOND}) == NOT_FOUND
    _, answer = await kit.ask("GET", "/v4/sequences/101/subscribers")
    assert [row["email_address"] for row in answer["subscribers"]] == [EMAIL]


async def test_an_inactive_sequence_refuses_with_its_words_in_an_array(kit):
    await upsert(kit)
    kit.simulator.state.deactivate_sequence(101)
    refused = await kit.ask("POST", "/v4/sequences/101/subscribers", {"email_address": EMAIL})
    assert refused == (422, {"errors": [["Sequence is inactive"]]})
    assert kit.simulator.snapshot().by_email(EMAIL).sequences == {}


async def test_nothing_takes_somebody_out_of_a_sequence(kit):
    await upsert(kit)
    assert await kit.ask("DELETE", "/v4/sequences/101/subscribers/101") == NOT_FOUND
