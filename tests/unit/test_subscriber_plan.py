"""The fewest requests: what is planned for a subscriber, and what never is."""

import msgspec
import pytest

from processors.messages import AddTag, AddToSequence, FieldWish, Outcome, RemoveTag, TagWish, Upsert
from processors.subscriber import Missing, has_work, plan
from tests.unit.memory_kit import MemoryKit, Person
from tests.unit.subscriber_table import EMAIL, KEY, SubscriberTable, align, enrol


@pytest.fixture
def kit() -> MemoryKit:
    return MemoryKit()


@pytest.fixture
def table() -> SubscriberTable:
    return SubscriberTable()


def test_a_purchase_costs_one_upsert_one_request_per_tag_and_one_per_sequence(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(align("customer", "pro-member", fields={"field 1": "Pro", "field 2": "2027-01-31"}))
    table.take(enrol())
    assert [type(request) for request in table.settle(kit, kit.answer)] == [Upsert, AddTag, AddTag, AddToSequence]


def test_a_redelivered_purchase_costs_nothing(table: SubscriberTable, kit: MemoryKit) -> None:
    for version in (1, 1, 2):
        table.take(align("customer", fields={"field 1": "Pro"}, version=version))
        table.take(enrol())
        table.settle(kit, kit.answer)
    assert [type(request) for request in kit.requests] == [Upsert, AddTag, AddToSequence]


def test_nobody_is_created_in_kit_for_whom_nothing_is_wished(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align())
    assert not has_work(table.state)
    assert plan(table.state, kit).requests == ()


def test_a_known_subscriber_whose_fields_hold_is_not_upserted(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer", fields={"field 1": "Pro"}))
    table.settle(kit, kit.answer)
    table.take(align("customer", "vip", fields={"field 1": "Pro"}, version=2))
    assert [type(request) for request in plan(table.state, kit).requests] == [AddTag]


def test_only_fields_that_differ_are_sent_ten_to_a_request(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align(fields={f"field {n}": "1" for n in range(24)}))
    upserts = table.settle(kit, kit.answer)
    assert [len(request.fields) for request in upserts if isinstance(request, Upsert)] == [10, 10, 4]
    table.take(align(fields={f"field {n}": "2" if n == 3 else "1" for n in range(24)}, version=2))
    assert table.settle(kit, kit.answer) == [
        Upsert(email=EMAIL, create_as="active", fields={"field_3": "2"}, labels={"field 3": "2"})
    ]


def test_a_field_no_longer_wished_is_emptied_once(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align(fields={"field 1": "Pro"}))
    table.settle(kit, kit.answer)
    table.take(align(version=2))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].fields == {"field_1": ""}
    assert not has_work(table.state)


def test_a_tag_no_longer_wished_is_removed_and_those_of_others_stay(table: SubscriberTable, kit: MemoryKit) -> None:
    kit.people[EMAIL] = Person(5, "active", tags={"vip"})
    table.take(align("customer"))
    table.settle(kit, kit.answer)
    table.take(align(version=2))
    assert table.settle(kit, kit.answer) == [RemoveTag(subscriber_id=5, name="customer", tag_id=1)]
    assert kit.people[EMAIL].tags == {"vip"}


def test_tags_are_matched_without_regard_to_case(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("Customer", "CUSTOMER"))
    table.settle(kit, kit.answer)
    table.take(align("customer", version=2))
    assert not has_work(table.state)


def test_tags_are_given_before_others_are_taken_back(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    table.settle(kit, kit.answer)
    table.take(align("vip", version=2))
    assert [type(request) for request in plan(table.state, kit).requests] == [AddTag, RemoveTag]


def test_what_kit_lacks_is_named_with_whether_it_may_be_created(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("new tag", fields={"new field": "x"}))
    table.take(enrol(sequence="New sequence"))
    assert plan(table.state, kit).missing == (
        Missing("field", "new field", create=True),
        Missing("tag", "new tag", create=True),
        Missing("sequence", "New sequence", create=False),
    )
    table.take(align("new tag", create_missing=False, version=2))
    assert plan(table.state, kit).missing[0] == Missing("tag", "new tag", create=False)


def test_a_tag_that_is_to_go_is_never_created_for_it(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    table.settle(kit, kit.answer)
    del kit.tags["customer"]
    table.take(align(version=2))
    assert plan(table.state, kit).missing == (Missing("tag", "customer", create=False),)


def test_any_prefix_of_a_plan_leaves_the_rest_to_be_planned(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer", "vip", fields={"field 1": "x"}))
    table.take(enrol())
    whole = plan(table.state, kit).requests
    asked = []
    for _ in whole:
        intent = table.intend(kit, plan(table.state, kit).requests[:1])
        asked += intent.requests
        results = tuple(kit.answer(request) for request in intent.requests)
        table.take(Outcome(intent=intent.id, results=results, finished_ms=2))
    assert tuple(asked) == whole
    assert not has_work(table.state)


def test_the_wishes_of_all_customers_of_a_subscriber_are_united(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer", "pro-member", customer="cus_1"))
    table.take(align("customer", "atlas-owner", customer="guest:77"))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].tags == {"customer", "pro-member", "atlas-owner"}
    table.take(align(customer="cus_1", version=2))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].tags == {"customer", "atlas-owner"}


@pytest.mark.parametrize(
    ("weaker", "stronger"),
    [
        ({"tier_rank": 1, "period_end": 9, "place": 9}, {"tier_rank": 2}),
        ({"tier_rank": 0, "period_end": 9, "place": 9}, {"tier_rank": 1}),
        ({"tier_rank": 1, "period_end": 5, "place": 9}, {"tier_rank": 1, "period_end": 6}),
        ({"tier_rank": 1, "period_end": 5, "place": 1}, {"tier_rank": 1, "period_end": 5, "place": 2}),
    ],
)
@pytest.mark.parametrize("stronger_first", [True, False])
def test_of_two_values_for_a_field_the_higher_tier_then_the_later_end_then_the_later_offer_stands(
    table: SubscriberTable, kit: MemoryKit, weaker: dict, stronger: dict, stronger_first: bool
) -> None:
    wishes = {
        "cus_1": FieldWish(name="field 1", value="stands", rule="r", **stronger),
        "cus_2": FieldWish(name="field 1", value="yields", rule="r", **weaker),
    }
    for customer in sorted(wishes, reverse=not stronger_first):
        table.take(align(customer=customer, fields=[wishes[customer]]))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].fields["field_1"] == "stands"


@pytest.mark.parametrize(
    ("ended_place", "active_place", "yields"), [(1, 1, True), (1, 2, False), (0, 2, True), (0, 0, True)]
)
def test_an_ended_of_one_customer_yields_to_an_active_of_another(
    table: SubscriberTable, kit: MemoryKit, ended_place: int, active_place: int, yields: bool
) -> None:
    ended = TagWish(name="vip", rule="while.ended", state="ended", place=ended_place)
    active = TagWish(name="customer", rule="while.active", state="active", place=active_place)
    table.take(align(ended, customer="cus_1"))
    table.take(align(active, customer="cus_2"))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].tags == ({"customer"} if yields else {"customer", "vip"})


def test_an_ended_and_an_active_of_one_customer_are_its_own_affair(table: SubscriberTable, kit: MemoryKit) -> None:
    ended = TagWish(name="vip", rule="while.ended", state="ended", place=1)
    active = TagWish(name="customer", rule="while.active", state="active", place=1)
    table.take(align(ended, active))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].tags == {"customer", "vip"}


def test_l7_a_tag_wished_by_its_id_from_now_on_is_not_taken_back_by_its_name(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(align("customer", "vip"))
    table.settle(kit, kit.answer)
    kit.tags["1"] = kit.tags["customer"]
    table.take(align("1", version=2))
    planned = plan(table.state, kit)
    assert planned.requests == (
        AddTag(email=EMAIL, name="1", tag_id=1),
        RemoveTag(subscriber_id=100, name="vip", tag_id=4),
    )
    assert set(planned.kept) == {"tag:customer"}


@pytest.mark.parametrize(("before", "after"), [("field_1", "Field 1"), ("Field 1", "field_1")])
def test_a_field_wished_by_another_of_its_names_keeps_its_value(
    table: SubscriberTable, kit: MemoryKit, before: str, after: str
) -> None:
    kit.fields["field_1"] = "field_1"
    table.take(align(fields={before: "Pro"}))
    table.settle(kit, kit.answer)
    table.take(align(fields={after: "Pro"}, version=2))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].fields == {"field_1": "Pro"}
    assert table.state.known.fields == {after: "Pro"}


def test_a_field_wished_by_another_name_keeps_its_value_across_requests(table: SubscriberTable, kit: MemoryKit) -> None:
    """The name taken back comes in a later request than the one that is wished."""
    kit.fields["zz"] = "field_0"
    table.take(align(fields={"zz": "Pro"}))
    table.settle(kit, kit.answer)
    table.take(align(fields={f"field {n}": "Pro" for n in range(12)}, version=2))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].fields["field_0"] == "Pro"


def test_who_is_only_enrolled_is_created_as_the_catalogue_says(table: SubscriberTable, kit: MemoryKit) -> None:
    """Kit's double opt-in must not be passed by because a purchase gives no tag."""
    table.take(enrol(create_as="inactive"))
    table.settle(kit, kit.answer)
    assert kit.people[EMAIL].state == "inactive"


def test_an_enrolment_soon_after_kit_told_the_state_asks_no_more_and_an_hour_later_once(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    """The subscription's event comes first, the paid invoice that enrols a few seconds after it."""
    table.take(align("customer"))
    assert [type(request) for request in table.settle(kit, kit.answer)] == [Upsert, AddTag]
    table.now_ms += 5_000
    table.take(enrol())
    assert [type(request) for request in table.settle(kit, kit.answer)] == [AddToSequence]
    table.now_ms += 3_600_000
    table.take(enrol("enrol:in_2"))
    assert [type(request) for request in table.settle(kit, kit.answer)] == [Upsert, AddToSequence]


def test_an_enrolment_beside_a_new_tag_needs_no_upsert_since_the_tag_tells_the_state(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(align("customer"))
    table.settle(kit, kit.answer)
    table.now_ms += 3_600_000
    table.take(align("customer", "vip", version=2))
    table.take(enrol())
    assert [type(request) for request in table.settle(kit, kit.answer)] == [AddTag, AddToSequence]


def test_a_worker_whose_clock_is_late_asks_for_the_state_once_and_not_for_ever(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(enrol())
    intent = table.intend(kit, plan(table.state, kit).requests[:1])
    results = tuple(kit.answer(request) for request in intent.requests)
    table.take(Outcome(intent=intent.id, results=results, finished_ms=2))
    assert [type(request) for request in plan(table.state, kit).requests] == [AddToSequence]


def test_a_state_of_before_the_time_was_kept_is_asked_for_once(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    table.settle(kit, kit.answer)
    table.take(enrol())
    written = msgspec.json.decode(table.bytes[KEY])
    del written["told_ms"], written["commands"][0]["asked_ms"]
    table.bytes[KEY] = msgspec.json.encode(written | {"told": True})
    assert [type(request) for request in table.settle(kit, kit.answer)] == [Upsert, AddToSequence]
