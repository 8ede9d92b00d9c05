"""What the customers agent's core makes of each record: processed, duplicate, ignored, unreadable; and its state."""

import json
from pathlib import Path

import pytest

from processors.customer import Customer, decode_customers_state, encode_customers_state
from processors.customer.evolve import FOLDS
from processors.customer.objects import SECONDS_MAX
from tests import stripe_events as stripe
from tests.customer_story import CATALOGUE, Story
from tests.stripe_events import CUSTOMER, DAY, MONTH, T0

RECORDED = sorted((Path(__file__).parent.parent / "data" / "stripe" / "webhook_events").glob("*.json"))


def test_a_repeated_event_is_a_duplicate_and_changes_nothing_but_the_time():
    story = Story().hear(stripe.customer_created())
    before = story.customer()
    story.hear(stripe.customer_created())
    after = story.customer()
    assert story.dispositions == ["processed", "duplicate"]
    assert (after.facts, after.decided, after.recent) == (before.facts, before.decided, before.recent)
    assert after.now_ms == before.now_ms + 1000
    assert after.last_offset == 2


def test_an_event_that_comes_again_after_35_days_is_folded_again_without_harm():
    purchase = stripe.session_completed(payment_link="plink_Atlas")
    story = Story().hear(purchase).hear(purchase, later_days=36)
    assert story.dispositions == ["processed", "processed"]
    assert story.sequences == ["Atlas reader"]


def test_two_event_objects_of_one_change_are_one_change():
    story = Story().hear(stripe.customer_created(), stripe.subscription_created(), stripe.invoice_paid())
    before = story.customer()
    story.hear(stripe.subscription_created(event_id="evt_twin"), stripe.invoice_paid(event_id="evt_other_twin"))
    assert story.customer().facts == before.facts
    assert story.sequences == ["Welcome to Pro"]


@pytest.mark.parametrize("shape", stripe.Shape)
def test_a_manual_invoice_tells_an_email_and_no_purchase(shape: stripe.Shape):
    paid = stripe.invoice_paid(subscription_id=None, billing_reason="manual", email="ada@work.example", shape=shape)
    story = Story().hear(paid)
    assert story.customer().facts.profile.email == "ada@work.example"
    assert story.customer().facts.subscriptions == {}
    assert story.sequences == []


def test_event_types_that_are_not_read_are_ignored_and_counted_once():
    payout = stripe.event("payout.paid", {"id": "po_1"})
    story = Story().hear(payout, payout)
    assert story.dispositions == ["ignored", "duplicate"]
    assert story.changes[0].event_type == "payout.paid"


def test_log_time_never_goes_back():
    story = Story().hear(stripe.customer_created(), later_days=3)
    late = story.records[-1].received_ms
    record = story.records[-1].__class__(
        topic=story.records[-1].topic,
        partition=0,
        offset=9,
        key=CUSTOMER.encode(),
        value=stripe.as_bytes(stripe.customer_deleted()),
        source=story.records[-1].source,
        received_ms=late - 5000,
    )
    assert story.take(record).customer().now_ms == late


def broken(kind: str, **changes: object) -> bytes:
    event = {
        "subscription": stripe.subscription_created(),
        "invoice": stripe.invoice_paid(),
        "session": stripe.session_completed(),
        "customer": stripe.customer_created(),
    }[kind]
    event["data"]["object"] |= changes
    event["id"] = "evt_broken"
    return stripe.as_bytes(event)


@pytest.mark.parametrize(
    ("value", "path"),
    [
        (broken("subscription", status=7), "customer.subscription.created: Expected `str`, got `int`"),
        (broken("subscription", status=7), "`$.data.object.status`"),
        (broken("subscription", items={"data": [{"id": "si", "quantity": "two"}]}), "`$.data.object.items.data[0].qu"),
        (broken("subscription", trial_end=10**12), "`$.data.object.trial_end`"),
        (broken("subscription", metadata={"a": 1}), "`$.data.object.metadata[...]`"),
        (broken("invoice", lines=[]), "`$.data.object.lines`"),
        (broken("invoice", amount_paid=10**30), "`$.data.object.amount_paid`"),
        (broken("invoice", parent="x"), "`$.data.object.parent`"),
        (broken("session", payment_link=5), "`$.data.object.payment_link`"),
        (broken("customer", email=["a"]), "`$.data.object.email`"),
        (b'{"id": "evt_1", "type": "customer.created", "created": 1}', "missing required field `data`"),
        (b'{"id": 5, "type": "customer.created", "created": 1, "data": {"object": {}}}', "`$.id`"),
        (b'{"type": "reconsider"}', "missing required field `version`"),
        (b'{"type": "reconsider", "version": "x", "schema": 2}', "newer than this Millrace reads"),
        (b"[]", "Expected `object`"),
        (b"", "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (stripe.as_bytes(stripe.customer_created(email="X@b.c")).replace(b"X@", b"\xff@"), "no JSON: 'utf-8' codec"),
        (stripe.as_bytes(stripe.customer_created(event_id="evt_X")).replace(b"_X", b"\xff"), "no JSON: 'utf-8' codec"),
        (broken("subscription", current_period_end=253_402_300_799), "`$.data.object.current_period_end`"),
        (
            b'{"id": "evt_1", "type": "customer.created", "created": 1, "data": {"object": {"id": "\\ud800"}}}',
            "no JSON",
        ),
        (b'{"x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "nested too deeply"),
    ],
)
def test_what_cannot_be_read_is_a_dead_letter_that_says_where(value: bytes, path: str):
    story = Story().hear(stripe.customer_created())
    before = story.customer()
    story.hear_bytes(value)
    (letter,) = story.dead_letters
    assert path in letter.reason
    assert (letter.raw, letter.key, letter.offset) == (value, CUSTOMER.encode(), 2)
    assert story.dispositions == ["processed", "unreadable"]
    assert story.customer().facts == before.facts


def test_a_wrong_type_in_previous_attributes_names_their_path():
    event = stripe.subscription_updated(previous={"status": 5})
    assert "`$.data.previous_attributes.status`" in Story().hear(event).dead_letters[0].reason


def test_previous_items_may_be_told_in_part():
    event = stripe.subscription_updated(quantity=2, previous={"items": {"data": [{"quantity": 1}]}})
    assert Story().hear(event).dispositions == ["processed"]


def test_a_thin_event_is_ignored_and_no_dead_letter():
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.customer.created", "created": "2026-01-01T00:00:00Z"}
    story = Story().hear(thin, thin)
    assert story.dispositions == ["ignored", "duplicate"]
    assert story.dead_letters == []


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Niue"])
def test_the_last_second_that_is_read_has_a_date_in_every_time_zone(timezone: str):
    story = Story(CATALOGUE.replace("America/New_York", timezone))
    story.hear(stripe.customer_created(), stripe.subscription_created(period_end=SECONDS_MAX))
    assert story.fields()["renews_on"].startswith("9999-12-3")


def test_an_unreadable_event_can_be_retried_later_and_is_no_duplicate_then():
    good = stripe.customer_created(event_id="evt_1")
    bad = stripe.customer_created(event_id="evt_1", email=5)  # type: ignore[arg-type]
    assert Story().hear(bad, good).dispositions == ["unreadable", "processed"]


def test_a_stripe_event_cannot_take_the_place_of_a_catalogue():
    story = Story().hear(stripe.customer_created(), key="catalogue:0")
    assert story.dispositions == ["unreadable"]
    assert story.hear(stripe.session_completed(payment_link="plink_Atlas")).tags() == {"atlas-owner"}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_recorded_events_pass_and_are_read_where_they_are_among_ours(path: Path):
    event = json.loads(path.read_text())
    story = Story().hear_bytes(path.read_bytes())
    assert story.dispositions == ["processed" if event["type"] in FOLDS else "ignored"]
    assert story.dead_letters == []


def two_years() -> Story:
    """With ids as long as Stripe's own."""
    subscription = {"subscription_id": "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw", "price": "price_1PgafmB7WZ01zgkW6dKueIc5"}
    story = Story().hear(stripe.customer_created(), stripe.subscription_created(**subscription))
    for month in range(24):
        start = T0 + month * MONTH
        reason = "subscription_cycle" if month else "subscription_create"
        paid = {"invoice_id": f"in_1Pgc6tB7WZ01zgkWu9fdq{month:03}", "billing_reason": reason, "period_start": start}
        before = {"current_period_start": start - MONTH, "current_period_end": start}
        story.hear(
            stripe.subscription_updated(at=start, previous=before, period_start=start, **subscription),
            stripe.invoice_paid(**paid, **subscription),
            stripe.invoice_payment_succeeded(**paid, **subscription),
            later_days=10,
        )
    return story


def test_two_years_of_a_subscription_fit_into_four_kilobytes():
    story = two_years()
    assert len(encode_customers_state(story.customer())) <= 4096
    assert len(story.customer().facts.subscriptions) == 1
    assert story.sequences == ["Welcome to Pro"]


def test_a_state_is_the_same_bytes_after_it_has_been_read():
    for state in two_years().states.values():
        assert encode_customers_state(decode_customers_state(encode_customers_state(state))) == encode_customers_state(
            state
        )


def test_the_state_says_what_it_is():
    story = Story().hear(stripe.customer_created())
    assert json.loads(encode_customers_state(story.customer()))["state"] == "customer"
    assert isinstance(decode_customers_state(encode_customers_state(story.customer())), Customer)
    assert json.loads(encode_customers_state(story.states["catalogue:0"]))["state"] == "catalogue"


def test_catalogues_of_other_partitions_do_not_decide_here():
    story = Story(catalogue=None, partition=3).apply(CATALOGUE)
    story.partition = 4
    story.hear(stripe.session_completed(payment_link="plink_Atlas"))
    assert story.aligns == []


def test_a_change_tells_what_a_record_meant():
    story = Story().hear(stripe.session_completed(payment_link="plink_Atlas"), later_days=1)
    (change,) = story.changes
    assert change.moments == ("purchased cs_1 offer 'River Atlas'",)
    assert change.commands == ("enrol purchased cs_1 offer 'River Atlas' when.purchased Atlas reader",)
    assert change.tags == ("atlas-owner",)
    assert change.fields == {"stripe_customer_id": CUSTOMER}
    assert change.offset == 1
    assert story.customer().now_ms > (T0 + DAY) * 1000
