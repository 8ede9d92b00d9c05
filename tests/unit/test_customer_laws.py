"""The laws of docs/design.md §3 over generated histories of a customer, as far as the events go that are read so far.

A history is told in order by a small model of what Stripe does, which also says what must hold after each event. Then
it is shuffled, and events are repeated: as they are (the same id) and as a second Event object of the same change.
"""

from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from processors import messages
from processors.customer import encode_customers_state
from tests import stripe_events as stripe
from tests.customer_story import Story
from tests.stripe_events import DAY, MONTH, T0, Event, Shape

law = settings(deadline=None, max_examples=100)
"""No deadline: how long an example takes says how busy the machine is."""

PRODUCTS = {"prod_Starter": "starter-member", "prod_Pro": "pro-member", "prod_Other": ""}
DELIVERIES_MAX = 3


@dataclass
class Told:
    """The history so far. `tags[i]`: what must be held once the first `i + 1` events are known."""

    shapes: st.DataObject
    events: list[Event] = field(default_factory=list)
    tags: list[set[str]] = field(default_factory=list)
    purchases: set[str] = field(default_factory=set)
    active: dict[str, str] = field(default_factory=dict)
    owned: set[str] = field(default_factory=set)
    bought_pro: bool = False
    deleted: bool = False
    email: str | None = stripe.EMAIL

    def tell(self, event: Event) -> None:
        self.events.append(event)
        self.tags.append(self._held())

    def _held(self) -> set[str]:
        held = {"bought-pro"} if self.bought_pro else set()
        if self.owned:
            held.add("atlas-owner")
        if self.active and not self.deleted:
            held |= {"customer"} | {PRODUCTS[product] for product in self.active.values()}
        return (held - {""}) if self.email else set()

    def shape(self) -> Shape:
        return self.shapes.draw(st.sampled_from(Shape))


@st.composite
def histories(draw: st.DrawFn) -> Told:
    told = Told(draw(st.data()))
    told.email = draw(st.sampled_from([stripe.EMAIL, None]))
    told.tell(stripe.customer_created(email=told.email))
    for number in range(draw(st.integers(0, 2))):
        subscribe(draw, told, f"sub_{number}")
    for number in range(draw(st.integers(0, 2))):
        buy(draw, told, f"cs_{number}")
    if draw(st.booleans()):
        before, told.email = told.email, "new@example.com"
        told.tell(stripe.customer_updated(email=told.email, previous={"email": before}, created=T0 + 200 * DAY))
    if draw(st.booleans()):
        told.deleted = True
        told.tell(stripe.customer_deleted(email=told.email, created=T0 + 201 * DAY))
    return told


def subscribe(draw: st.DrawFn, told: Told, key: str) -> None:
    """By Checkout or with a trial, some renewals, a change of quantity, perhaps an end."""
    product = draw(st.sampled_from(sorted(PRODUCTS)))
    trial_end = draw(st.sampled_from([None, T0 + 14 * DAY]))
    sold: dict[str, Any] = {"subscription_id": key, "product": product, "price": f"price_{product}"}
    terms = sold | {"trial_end": trial_end}
    if trial_end:
        told.active[key] = product
        told.tell(stripe.subscription_created(status="trialing", **terms, shape=told.shape()))
        told.tell(_invoice(told, key, 0, sold, amount_paid=0, period_end=trial_end))
    else:
        told.tell(stripe.subscription_created(status="incomplete", **terms, shape=told.shape()))
        _purchased(told, key, product)
        told.tell(_invoice(told, key, 0, sold))
        told.active[key] = product
        told.tell(stripe.subscription_updated(at=T0, previous={"status": "incomplete"}, **terms, shape=told.shape()))
    start = trial_end or T0
    for month in range(0 if trial_end else 1, draw(st.integers(0, 3))):
        _renew(told, key, terms, sold, start + month * MONTH, month, converts=bool(trial_end) and month == 0)
    if draw(st.booleans()):
        told.active.pop(key, None)
        at = T0 + 150 * DAY
        told.tell(stripe.subscription_deleted(at=at, period_start=at - DAY, **terms, shape=told.shape()))


def _renew(
    told: Told, key: str, terms: dict[str, Any], sold: dict[str, Any], start: int, month: int, *, converts: bool
) -> None:
    """Two updates within one second: the period moves, then the customer takes one seat more."""
    before = {"current_period_start": start - MONTH, "current_period_end": start} | (
        {"status": "trialing"} if converts else {}
    )
    moved = stripe.subscription_updated(
        at=start, period_start=start, previous=before, quantity=month + 1, **terms, shape=told.shape()
    )
    told.tell(moved)
    if converts:
        _purchased(told, key, sold["product"])
    told.tell(_invoice(told, key, month + 1, sold, billing_reason="subscription_cycle", period_start=start))
    shape = Shape(moved["api_version"])
    told.tell(
        stripe.subscription_updated(
            at=start,
            period_start=start,
            previous={"items": moved["data"]["object"]["items"]},
            quantity=month + 2,
            **terms,
            shape=shape,
        )
    )


def _invoice(told: Told, key: str, number: int, sold: dict[str, Any], **fields: Any) -> Event:
    return stripe.invoice_paid(invoice_id=f"in_{key}_{number}", email=None, **sold, **fields, shape=told.shape())


def _purchased(told: Told, key: str, product: str) -> None:
    told.purchases.add(key)
    told.bought_pro = told.bought_pro or product == "prod_Pro"


def buy(draw: st.DrawFn, told: Told, key: str) -> None:
    """At once, or by a method whose money comes later or never."""
    cleared = draw(st.sampled_from(["at once", "later", "never"]))
    link = {"payment_link": "plink_Atlas", "session_id": key, "email": None}
    if cleared == "at once":
        told.owned.add(key)
        told.purchases.add(key)
        told.tell(stripe.session_completed(**link))
        return
    told.tell(stripe.session_completed(**link, payment_status="unpaid"))
    if cleared == "later":
        told.owned.add(key)
        told.purchases.add(key)
        told.tell(stripe.async_payment_succeeded(**link))


@st.composite
def deliveries(draw: st.DrawFn, events: list[Event]) -> list[Event]:
    """Every event at least once, in any order; repeats bear the same id, or are another Event object of the change."""
    delivered: list[Event] = []
    for number, event in enumerate(events):
        for copy in range(draw(st.integers(1, DELIVERIES_MAX))):
            twin = draw(st.booleans()) and copy > 0
            delivered.append(event | {"id": f"evt_twin_{number}_{copy}"} if twin else event)
    return draw(st.permutations(delivered))


def moments(story: Story) -> list[str]:
    return sorted(moment for change in story.changes for moment in change.moments)


@law
@given(histories())
def test_l7_after_each_event_exactly_the_tags_are_held_that_some_rule_gives(told: Told):
    story = Story()
    for event, tags in zip(told.events, told.tags, strict=True):
        story.hear(event)
        assert set().union(*(tags for tags, _ in story.held().values())) == tags


@law
@given(histories(), st.data())
def test_l1_any_order_and_repetition_ends_in_the_same_facts_tags_and_fields(told: Told, data: st.DataObject):
    ordered = Story().hear(*told.events)
    shuffled = Story().hear(*data.draw(deliveries(told.events)))
    assert shuffled.held() == ordered.held()
    assert encode_facts(shuffled) == encode_facts(ordered)


@law
@given(histories(), st.data())
def test_l2_every_purchase_happens_exactly_once_in_any_order(told: Told, data: st.DataObject):
    ordered = Story().hear(*told.events)
    shuffled = Story().hear(*data.draw(deliveries(told.events)))
    assert {moment.split()[1] for moment in moments(ordered)} == told.purchases
    assert moments(shuffled) == moments(ordered)
    assert len(moments(shuffled)) == len(told.purchases)
    ids = [enrol.id for enrol in shuffled.enrols]
    assert len(ids) == len(set(ids))
    assert set(ids) == {enrol.id for enrol in ordered.enrols}


@law
@given(histories(), st.data())
def test_l4_reading_the_log_again_gives_the_same_bytes(told: Told, data: st.DataObject):
    first = Story().hear(*data.draw(deliveries(told.events)))
    again = Story(catalogue=None)
    for record in first.records:
        again.take(record)
    assert [encode_customers_state(state) for state in again.states.values()] == [
        encode_customers_state(state) for state in first.states.values()
    ]
    assert [(sent.topic, sent.key, messages.encode(sent.message)) for sent in again.outputs] == [
        (sent.topic, sent.key, messages.encode(sent.message)) for sent in first.outputs
    ]


@law
@given(histories(), st.data())
def test_a_mutilated_history_never_raises(told: Told, data: st.DataObject):
    """Any byte of any event may be another one."""
    story = Story()
    for event in told.events:
        value = bytearray(stripe.as_bytes(event))
        for at in data.draw(st.lists(st.integers(0, len(value) - 1), max_size=3)):
            value[at] = data.draw(st.sampled_from(b'0"{}[]:,x\\9-e'))
        story.hear_bytes(bytes(value))
    assert len(story.dispositions) == len(told.events)
    assert story.dispositions.count("unreadable") == len(story.dead_letters)


def encode_facts(story: Story) -> bytes:
    return msgspec.json.encode(story.customer().facts, order="deterministic")
