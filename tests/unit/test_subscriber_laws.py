"""The laws of docs/design.md §3 that the subscribers core answers for, over generated histories and any answers of
Kit.
"""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from processors.messages import Align, Ambiguous, Enrol, NotMade, Outcome, Rejected, Request, Result, SubscriberMessage
from processors.subscriber import has_work
from tests.unit.memory_kit import MemoryKit, Person
from tests.unit.subscriber_table import EMAIL, KEY, SubscriberTable, align, enrol

TAGS = ("customer", "Pro-Member", "atlas-owner", "VIP")
FIELDS = ("field 1", "field 2")

wishes = st.builds(
    lambda customer, version, tags, fields: align(*tags, customer=customer, version=version, fields=fields),
    st.sampled_from(["cus_1", "cus_2", "guest:3"]),
    st.integers(1, 4),
    st.sets(st.sampled_from(TAGS)).map(sorted),
    st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(["", "a", "b"])),
)
enrols = st.builds(enrol, st.sampled_from(["enrol:in_1", "enrol:in_2"]), st.sampled_from(["Welcome"]))
histories = st.lists(st.one_of(wishes, enrols), min_size=1, max_size=12)


def _consistent(history: list[SubscriberMessage]) -> list[SubscriberMessage]:
    """A customer has one Align of a version, as its log has one record of an offset."""
    first: dict[tuple[str, int], Align] = {}
    return [first.setdefault((m.customer, m.version), m) if isinstance(m, Align) else m for m in history]


def _should_hold(history: list[SubscriberMessage]) -> set[str]:
    latest: dict[str, Align] = {}
    for message in history:
        if isinstance(message, Align) and message.version > getattr(latest.get(message.customer), "version", 0):
            latest[message.customer] = message
    return {tag.name.casefold() for message in latest.values() for tag in message.tags}


@dataclass
class FaultyKit:
    """Answers as drawn: in truth, or with a fault that may hide a request that was carried out after all."""

    kit: MemoryKit
    faults: list[str]

    def answer(self, request: Request) -> Result:
        fault = self.faults.pop() if self.faults else "none"
        if fault == "rate_limited":
            return NotMade(cause="rate_limited")
        if fault == "lost before":
            return Ambiguous(reason="reset")
        result = self.kit.answer(request)
        return Ambiguous(reason="timeout") if fault == "lost after" else result


faults = st.lists(st.sampled_from(["none", "rate_limited", "lost before", "lost after"]), max_size=12)


def _served(table: SubscriberTable, kit: FaultyKit) -> None:
    """One intent, as the dispatcher performs it: the first failure ends it."""
    intent = table.intend(kit.kit)
    results: list[Result] = []
    for request in intent.requests:
        failed = bool(results) and isinstance(results[-1], Ambiguous | NotMade | Rejected)
        results.append(NotMade(cause="earlier_failure") if failed else kit.answer(request))
    table.take(Outcome(intent=intent.id, results=tuple(results), finished_ms=2))


@given(histories, st.data(), faults)
def test_l7_a_tag_is_held_exactly_while_it_is_wished_whatever_else_the_subscriber_holds(history, data, drawn) -> None:
    history = _consistent(history)
    kit = FaultyKit(MemoryKit(tags=dict.fromkeys(["newsletter"], 9) | MemoryKit().tags), list(drawn))
    kit.kit.people[EMAIL] = Person(5, "active", tags={"newsletter"})
    table = SubscriberTable()
    for message in history:
        table.take(message)
        if data.draw(st.booleans()):
            _served(table, kit)
    for _ in range(20):
        if not has_work(table.state):
            break
        _served(table, kit)
    assert not has_work(table.state)
    assert kit.kit.people[EMAIL].tags == {"newsletter"} | _should_hold(history)


@given(histories, st.randoms(use_true_random=False))
def test_l1_any_order_and_repetition_of_what_is_asked_ends_in_the_same_tags_fields_and_enrolments(
    history, random
) -> None:
    history = _consistent(history)
    shuffled = history + random.choices(history, k=3)
    random.shuffle(shuffled)
    ends = []
    for version in (history, shuffled):
        kit, table = MemoryKit(), SubscriberTable()
        for message in version:
            table.take(message)
            table.settle(kit, kit.answer)
        ends.append([(p.tags, {k: v for k, v in p.fields.items() if v}, p.sequences) for p in kit.people.values()])
    assert [end for end in ends[0] if any(end)] == [end for end in ends[1] if any(end)]


@given(histories, faults)
def test_l2_an_enrolment_is_carried_out_at_least_once_and_asked_again_only_after_a_lost_answer(history, drawn) -> None:
    kit, table = FaultyKit(MemoryKit(), list(drawn)), SubscriberTable()
    for message in _consistent(history) * 2:
        table.take(message)
        _served(table, kit)
    for _ in range(20):
        _served(table, kit)
    asked = {message.id for message in history if isinstance(message, Enrol)}
    made = len(kit.kit.people[EMAIL].sequences) if EMAIL in kit.kit.people else 0
    assert len(asked) <= made <= len(asked) + drawn.count("lost after")


@settings(max_examples=50)
@given(histories, faults)
def test_l4_the_same_records_make_the_same_bytes(history, drawn) -> None:
    tables = []
    for _ in range(2):
        kit, table = FaultyKit(MemoryKit(), list(drawn)), SubscriberTable()
        for message in _consistent(history):
            table.take(message)
            _served(table, kit)
        tables.append(table.bytes[KEY])
    assert tables[0] == tables[1]
