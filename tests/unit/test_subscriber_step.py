"""What each record of subscriber.events makes of a subscriber."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.messages import (
    AddTag,
    AddToSequence,
    Ambiguous,
    BudgetSpent,
    Done,
    Intent,
    NotMade,
    Outcome,
    Parked,
    Rejected,
    RemoveTag,
    Result,
    Upsert,
    Withheld,
)
from processors.record import Source
from processors.subscriber import Priority, has_work, plan, priority
from tests.unit.memory_kit import MemoryKit
from tests.unit.subscriber_table import KEY, SubscriberTable, align, enrol


@pytest.fixture
def kit() -> MemoryKit:
    return MemoryKit()


@pytest.fixture
def table() -> SubscriberTable:
    return SubscriberTable()


def outcome(intent: Intent, *results: Result, retry_ms: int = 0) -> Outcome:
    return Outcome(intent=intent.id, results=results, finished_ms=2, retry_ms=retry_ms)


def test_an_align_of_a_lower_or_equal_version_is_dropped(table: SubscriberTable) -> None:
    table.take(align("customer", version=5))
    wished = table.state.wishes
    table.take(align("vip", version=5))
    table.take(align("vip", version=4))
    assert table.state.wishes == wished
    assert table.state.revision == 1


def test_an_align_that_wishes_the_same_again_plans_nothing_anew(table: SubscriberTable) -> None:
    table.take(align("customer", version=5))
    table.take(align("customer", version=9))
    assert table.state.wishes["cus_1"].version == 9
    assert table.state.revision == 1


def test_an_enrol_is_pending_once_and_never_again_after_it_is_done(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(enrol())
    table.take(enrol())
    assert len(table.state.commands) == 1
    table.settle(kit, kit.answer)
    assert kit.people["jane@example.com"].sequences == [7]
    table.take(enrol(), Source.REPLAY)
    assert table.settle(kit, kit.answer) == []
    assert kit.people["jane@example.com"].sequences == [7]


def test_the_ledger_takes_at_most_ten_bytes_a_command(table: SubscriberTable, kit: MemoryKit) -> None:
    before = 0
    for number in range(60):
        table.take(enrol(f"enrol:in_{number}"))
        table.settle(kit, kit.answer, rounds_max=3)
        if number == 9:
            before = len(table.bytes[KEY])
    assert (len(table.bytes[KEY]) - before) / 50 <= 10


def test_an_intent_planned_on_another_revision_is_refused(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    planned = plan(table.state, kit).requests
    table.take(align("vip", version=2))
    table.take(Intent(id="late", revision=1, lane="lane", requests=planned, planned_ms=1))
    assert table.state.intent is None
    assert has_work(table.state)


def test_a_second_intent_is_refused_while_one_is_in_flight(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    first = table.intend(kit)
    table.intend(kit)
    assert table.state.intent == first


def test_a_refused_intent_still_moves_the_offset_by_which_the_dispatcher_learns_of_it(table: SubscriberTable) -> None:
    table.take(align("customer"))
    table.take(Intent(id="late", revision=99, lane="lane", requests=(), planned_ms=1))
    assert table.state.last_offset == 1


def test_an_intent_that_comes_again_after_its_outcome_is_refused(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    intent = table.intend(kit)
    table.take(outcome(intent, NotMade(cause="line_closed"), NotMade(cause="line_closed")))
    table.take(intent)
    assert table.state.intent is None


def test_an_outcome_counts_once_and_only_for_the_intent_in_flight(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    intent = table.intend(kit)
    table.take(Outcome(intent="another", results=(), finished_ms=2))
    assert table.state.intent == intent
    table.take(outcome(intent, Done(status=201, subscriber_id=5, state="active"), Ambiguous(reason="timeout")))
    once = table.state
    table.take(outcome(intent, Done(status=201, subscriber_id=6), Done(status=201)))
    assert table.state.known == once.known
    assert table.state.revision == once.revision


def test_done_requests_are_known_to_hold(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("Pro-Member", fields={"field 1": "Pro"}))
    table.settle(kit, kit.answer)
    known = table.state.known
    assert (known.id, known.state) == (100, "active")
    assert known.tags == {"pro-member": "held"}
    assert known.fields == {"field 1": "Pro"}
    assert not has_work(table.state)


def test_a_rejected_tag_is_parked_with_kits_words_and_the_rest_goes_on(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer", "vip"))

    def refuse(request: object) -> Result:
        refused = isinstance(request, AddTag) and request.name == "customer"
        return Rejected(status=422, message="Tag is locked") if refused else kit.answer(request)

    table.settle(kit, refuse)
    assert table.state.parked == {"tag:customer": "Kit answered 422: Tag is locked"}
    assert kit.people["jane@example.com"].tags == {"vip"}
    assert not has_work(table.state)


def test_a_new_wish_gives_what_is_parked_another_try(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(enrol())
    intent = table.intend(kit)
    table.take(outcome(intent, Done(status=201, subscriber_id=5), Rejected(status=422, message="Sequence is inactive")))
    assert table.state.parked == {"sequence:welcome": "Kit answered 422: Sequence is inactive"}
    assert not has_work(table.state)
    table.take(align("vip"))
    assert any(isinstance(request, AddToSequence) for request in plan(table.state, kit).requests)


def test_fields_that_kit_refuses_do_not_keep_a_subscriber_from_being_made(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(align("customer", fields={"field 1": "x"}))

    def refuse(request: object) -> Result:
        refused = isinstance(request, Upsert) and request.fields
        return Rejected(status=422, message="Too long") if refused else kit.answer(request)

    intent = table.intend(kit)
    table.take(outcome(intent, Rejected(status=422, message="Too long"), NotMade(cause="earlier_failure")))
    table.settle(kit, refuse)
    assert kit.people["jane@example.com"].tags == {"customer"}
    assert list(table.state.parked) == ["field:field 1"]


def test_an_email_that_kit_refuses_parks_the_subscriber(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    intent = table.intend(kit)
    table.take(outcome(intent, Rejected(status=422, message="Email is invalid"), NotMade(cause="earlier_failure")))
    assert not has_work(table.state)
    assert plan(table.state, kit).requests == ()


def test_after_an_ambiguous_answer_the_same_is_asked_again(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer", fields={"field 1": "Pro"}))
    table.take(enrol())
    table.settle(kit, kit.answer)
    table.take(align("vip", version=2, fields={"field 1": "Team"}))
    table.take(enrol("enrol:in_2", "Thank you"))
    intent = table.intend(kit)
    assert [type(request) for request in intent.requests] == [Upsert, AddTag, RemoveTag, AddToSequence]
    table.take(outcome(intent, *[Ambiguous(reason="timeout")] * 4, retry_ms=77))
    assert plan(table.state, kit).requests == intent.requests
    assert (table.state.attempts, table.state.retry_ms) == (1, 77)
    table.settle(kit, kit.answer)
    assert table.state.attempts == 0


def test_a_tag_given_ambiguously_and_wished_no_more_is_taken_back(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    intent = table.intend(kit)
    upserted = kit.answer(intent.requests[0])
    table.take(outcome(intent, upserted, Ambiguous(reason="reset")))
    table.take(align(version=2))
    assert [type(request) for request in plan(table.state, kit).requests] == [RemoveTag]


def test_a_line_that_is_stopped_says_nothing_about_the_subscriber(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    intent = table.intend(kit)
    table.take(outcome(intent, NotMade(cause="unauthorised"), NotMade(cause="earlier_failure")))
    assert table.state.attempts == 0
    assert plan(table.state, kit).requests == intent.requests


def test_a_withheld_command_is_over(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(enrol())
    intent = table.intend(kit)
    table.take(outcome(intent, Done(status=200, subscriber_id=5, state="bounced"), Withheld(state="bounced")))
    table.take(enrol())
    assert table.state.commands == ()
    assert not has_work(table.state)


def test_a_result_that_is_missing_is_ambiguous(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    intent = table.intend(kit)
    table.take(outcome(intent))
    assert table.state.attempts == 1
    assert plan(table.state, kit).requests == intent.requests


def test_a_tag_to_be_removed_that_kit_does_not_have_is_gone(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    table.settle(kit, kit.answer)
    kit.people["jane@example.com"].tags.clear()
    table.take(align(version=2))
    assert len(table.settle(kit, kit.answer)) == 1
    assert table.state.known.tags == {}
    assert table.state.parked == {}


def test_a_subscriber_who_was_deleted_in_kit_is_made_anew_with_all_it_should_hold(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(align("customer", fields={"field 1": "Pro"}))
    table.settle(kit, kit.answer)
    kit.people.clear()
    table.take(align("customer", "vip", version=2, fields={"field 1": "Pro"}))
    table.settle(kit, kit.answer)
    assert kit.people["jane@example.com"].tags == {"customer", "vip"}
    assert kit.people["jane@example.com"].fields == {"field_1": "Pro"}


def test_a_404_that_comes_again_is_parked_instead_of_asked_for_ever(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer"))
    table.settle(kit, lambda r: Rejected(status=404, message="Not Found") if isinstance(r, AddTag) else kit.answer(r))
    assert table.state.parked == {"tag:customer": "Kit answered 404: Not Found"}


def test_parked_names_count_for_the_revision_they_were_missing_on(table: SubscriberTable, kit: MemoryKit) -> None:
    table.take(align("customer", "unheard-of"))
    table.take(Parked(revision=99, names={"tag:unheard-of": "Kit has no such tag"}))
    assert table.state.parked == {}
    table.take(Parked(revision=1, names={"tag:unheard-of": "Kit has no such tag"}))
    assert plan(table.state, kit).missing == ()
    table.settle(kit, kit.answer)
    assert kit.people["jane@example.com"].tags == {"customer"}


def test_what_the_budget_was_spent_on_writes_nothing(table: SubscriberTable) -> None:
    table.take(BudgetSpent(requests=1, planned_ms=1), key=b"budget:0")
    assert table.bytes == {}


@given(st.binary(max_size=60), st.binary(max_size=20))
def test_what_cannot_be_read_is_a_dead_letter_with_all_its_bytes(value: bytes, key: bytes) -> None:
    table = SubscriberTable()
    table.take(value, key=key)
    assert table.bytes == {}
    (letter,) = table.letters
    assert (letter.raw, letter.key, letter.topic) == (value, key, "subscriber.events")


def test_a_newer_schema_is_a_dead_letter_that_says_so(table: SubscriberTable) -> None:
    table.take(b'{"type":"budget_spent","schema":2,"requests":1,"planned_ms":1}')
    assert "newer than this Millrace reads" in table.letters[0].reason


def test_work_is_onboarding_while_an_enrol_is_open_and_backfill_while_only_history_asks(
    table: SubscriberTable, kit: MemoryKit
) -> None:
    table.take(align("customer"), Source.BACKFILL)
    assert priority(table.state) is Priority.BACKFILL
    table.take(align("vip", version=2))
    assert priority(table.state) is Priority.REST
    table.take(enrol(), Source.REPLAY)
    assert priority(table.state) is Priority.ONBOARDING
    table.settle(kit, kit.answer)
    assert priority(table.state) is Priority.REST
