"""The status: what the log's records count as, and when a system is idle."""

from typing import Any

import msgspec
import pytest

from processors import customer
from processors.customer import AppliedCatalogue
from processors.ids import CatalogueVersion, CustomerKey, EventId, IntentId, catalogue_key
from processors.messages import (
    Align,
    BudgetSpent,
    CustomerChanged,
    Done,
    NotMade,
    Outcome,
    Rejected,
    TagWish,
    Withheld,
    encode,
)
from processors.record import Record, Source, Topic
from processors.subscriber import advance, encode_subscriber
from projections.activity import Activity
from projections.status import rows, status
from streams.ops.status import StatusReader
from streams.settings import Settings

VERSION = CatalogueVersion("v")


def record(topic: Topic, value: bytes, *, key: bytes = b"k", partition: int = 0) -> Record:
    return Record(topic, partition, 0, key, value, Source.WEBHOOK, 1000)


def changed(disposition: str, *, event: str | None = "evt_1") -> Record:
    change = CustomerChanged(
        customer=CustomerKey("cus_1"),
        disposition=disposition,
        event=EventId(event) if event else None,
        offset=0,
    )
    return record(Topic.CUSTOMER_CHANGES, encode(change))


def document(activity: Activity, *, lag: int = 0, now_ms: int = 0) -> dict[str, Any]:
    made = status(
        activity, version="1", lag={"customer.events": lag}, is_still=True, budget_per_minute=120, now_ms=now_ms
    )
    plain: dict[str, Any] = msgspec.to_builtins(made)
    return plain


def test_events_are_counted_by_what_became_of_them():
    activity = Activity()
    for seen in ("processed", "processed", "duplicate", "ignored"):
        activity.saw_change(changed(seen))
    activity.saw_change(changed("processed", event=None))  # a reconsideration is no event of Stripe's
    activity.saw_unread(record(Topic.STRIPE_OTHER, b"{}"))
    activity.saw_unread(record(Topic.PAYMENT_EVENTS, b"{}"))
    activity.saw_unread(record(Topic.DEAD_LETTERS, b"{}"))
    found = document(activity)
    assert found["events"] == {"received": 6, "duplicates": 1, "processed": 2, "ignored": 2}
    assert found["pending"]["unkeyed_events"] == 1
    assert found["dead_letters"] == 1


def test_an_applied_catalogue_is_no_event_and_a_product_is():
    activity = Activity()
    activity.saw_unread(record(Topic.CATALOGUE_EVENTS, b"{}", key=b"catalogue"))
    activity.saw_unread(record(Topic.CATALOGUE_EVENTS, b"{}", key=b"prod_1"))
    assert document(activity)["events"]["received"] == 1


def test_requests_that_were_not_made_are_not_counted():
    activity = Activity()
    results = (
        Done(status=201),
        Rejected(status=422, message="no"),
        NotMade(cause="rate_limited"),  # Kit counts what it refuses
        NotMade(cause="stale_id"),  # this one was answered 404
        NotMade(cause="line_closed"),
        NotMade(cause="time_is_up"),
        NotMade(cause="earlier_failure"),
        Withheld(state="cancelled"),
    )
    outcome = Outcome(intent=IntentId("i"), results=results, finished_ms=0)
    activity.saw_subscriber_event(record(Topic.SUBSCRIBER_EVENTS, encode(outcome)))
    activity.saw_subscriber_event(record(Topic.SUBSCRIBER_EVENTS, encode(BudgetSpent(requests=3, planned_ms=0))))
    assert document(activity)["kit"] == {"requests": 7, "budget_per_minute": 120, "refused_429": 1}


@pytest.mark.parametrize("value", [b"", b"{", b'{"type":"unheard"}'])
def test_records_that_are_not_ours_count_nothing(value: bytes):
    activity = Activity()
    activity.saw_change(record(Topic.CUSTOMER_CHANGES, value))
    activity.saw_subscriber_event(record(Topic.SUBSCRIBER_EVENTS, value))
    assert document(activity) == document(Activity())


class Nothing:
    def get(self, key: str) -> None:
        return None


def waiting_subscriber() -> bytes:
    align = Align(
        customer=CustomerKey("cus_1"),
        email="a@b.c",
        version=1,
        tags=(TagWish(name="t", rule="r"),),
        catalogue=VERSION,
    )
    state = advance(Nothing(), record(Topic.SUBSCRIBER_EVENTS, encode(align))).state
    assert state is not None
    return encode_subscriber(state)


def test_a_subscriber_with_work_left_is_pending_from_when_it_was_first_seen():
    activity = Activity()
    activity.saw_subscriber("s", waiting_subscriber(), 1_000)
    activity.saw_subscriber("s", waiting_subscriber(), 5_000)
    found = document(activity, now_ms=6_000)
    assert (found["idle"], found["pending"]["kit_subscribers"], found["oldest_pending_seconds"]) == (False, 1, 5.0)
    activity.saw_subscriber("s", b"", 7_000)
    assert document(activity)["idle"]


def test_unread_records_keep_a_system_from_being_idle():
    assert document(Activity())["idle"]
    assert not document(Activity(), lag=1)["idle"]


def test_a_new_catalogue_keeps_it_from_being_idle_until_every_customer_has_decided_by_it():
    activity = Activity()

    def saw(*, settled: bool) -> None:
        state = AppliedCatalogue(last_offset=1, version=VERSION, document={}, settled=settled)
        key = catalogue_key(3).encode()
        activity.saw_customer(
            record(Topic.CUSTOMER_EVENTS, customer.encode_customers_state(state), key=key, partition=3)
        )

    saw(settled=False)
    activity.saw_customer(record(Topic.CUSTOMER_EVENTS, b"not even looked at", key=b"cus_1", partition=3))
    assert not document(activity)["idle"]
    saw(settled=True)
    assert document(activity)["idle"]


def test_people_read_it_line_by_line():
    assert ("events · received", "0") in rows(document(Activity()))


class QuickRound:
    """A log that is read to its end, and a tail that sees a catalogue settled while the look-ups are under way."""

    def __init__(self) -> None:
        self.activity = Activity()
        self.looks = 0

    async def lag(self, topic: Topic) -> dict[int, int]:
        return {0: 0}

    async def caught_up(self, seconds_max: float, *topics: str) -> None:
        self.looks += 1
        if self.looks == 1:
            self._saw(settled=False)
        if self.looks == 2:
            self._saw(settled=True)

    def _saw(self, *, settled: bool) -> None:
        state = AppliedCatalogue(last_offset=1, version=VERSION, document={}, settled=settled)
        value = customer.encode_customers_state(state)
        self.activity.saw_customer(record(Topic.CUSTOMER_EVENTS, value, key=catalogue_key(0).encode()))


async def test_a_catalogue_that_is_settled_during_the_look_ups_is_not_idle_yet():
    """What its customers have decided came into the log behind the lags that were read."""
    system = QuickRound()
    reader = StatusReader(Settings(), system, system)  # type: ignore[arg-type]
    assert not (await reader.read()).idle
    assert (await reader.read()).idle
