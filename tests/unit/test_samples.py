"""The sample history: the same for the same seed, consistent in itself, signed as Stripe signs, true to its stories."""

import json
import random
import time
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import stripe

from processors.record import Topic
from streams.edge.routing import Accepts, Routed, route
from streams.edge.signatures import signed_header
from streams.errors import WrongSettings, WrongUsage
from streams.samples import expected, history, send_sample
from streams.samples.history import SEQUENCE_OF_PURCHASED, START, TAG_OF_ACTIVE, TAG_OF_ANY_ACTIVE, TAG_OF_OWNED
from streams.samples.objects import Shape
from streams.samples.shop import PLANS, Person
from streams.samples.stories import STORIES
from streams.samples.teller import Teller
from streams.settings import Settings

CUSTOMERS = 40
EVENTS = [told.event for told in history(7, CUSTOMERS)]
CATALOGUE = tomllib.loads((Path(__file__).parents[2] / "catalogue.example.toml").read_text(encoding="utf-8"))
REFERENCES = {
    "customer": "customer",
    "subscription": "subscription",
    "invoice": "invoice",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "charge": "charge",
    "latest_charge": "charge",
    "product": "product",
    "price": "price",
    "subscription_item": "subscription_item",
}
"""Fields that hold an id, and the kind of object it must be the id of."""


def objects_in(value):
    """Every dict, however deep."""
    if isinstance(value, dict):
        yield value
    for inside in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from objects_in(inside)


def objects_of(event_type, events=EVENTS):
    return [event["data"]["object"] for event in events if event["type"] == event_type]


# --- deterministic --------------------------------------------------------------------------------------------


def test_the_same_seed_writes_the_same_bytes():
    again = [told.event for told in history(7, CUSTOMERS)]
    assert json.dumps(again) == json.dumps(EVENTS)


def test_another_seed_is_about_other_people_and_other_events():
    ids = {event["id"] for event in EVENTS}
    others = [told.event for told in history(8, CUSTOMERS)]
    assert not ids & {event["id"] for event in others}
    assert not expected(7, CUSTOMERS).keys() & expected(8, CUSTOMERS).keys()


def test_more_customers_do_not_change_the_first_ones():
    fewer = {json.dumps(told.event) for told in history(7, 10)}
    assert fewer < {json.dumps(event) for event in EVENTS}
    assert expected(7, 10).items() <= expected(7, CUSTOMERS).items()


def test_all_timestamps_follow_the_given_start():
    day = 24 * 3600
    later = [told.created for told in history(7, CUSTOMERS, start=START + 1000 * day)]
    assert min(later) == START + 1000 * day
    assert len(later) == len(EVENTS)
    assert max(event["created"] for event in EVENTS) < time.time()


# --- consistent -----------------------------------------------------------------------------------------------


def test_event_ids_are_unique_and_events_come_in_the_order_they_happened():
    assert len({event["id"] for event in EVENTS}) == len(EVENTS)
    assert [event["created"] for event in EVENTS] == sorted(event["created"] for event in EVENTS)


def test_every_id_that_is_referred_to_is_that_of_an_object_told_of():
    known = {(thing.get("object"), thing["id"]) for event in EVENTS for thing in objects_in(event) if "id" in thing}
    dangling = {
        (field, thing[field])
        for event in EVENTS
        for thing in objects_in(event)
        for field, kind in REFERENCES.items()
        if isinstance(thing.get(field), str) and (kind, thing[field]) not in known
    }
    assert dangling == set()


def test_both_shapes_occur_and_each_has_only_its_own_fields():
    by_shape = {shape: [event for event in EVENTS if event["api_version"] == shape.value] for shape in Shape}
    for invoice in objects_of("invoice.paid", by_shape[Shape.CLASSIC]):
        assert {"subscription", "paid", "charge", "payment_intent"} <= invoice.keys()
        assert "parent" not in invoice
        assert all("price" in line and "pricing" not in line for line in invoice["lines"]["data"])
    for invoice in objects_of("invoice.paid", by_shape[Shape.CURRENT]):
        assert not {"subscription", "paid", "charge", "payment_intent"} & invoice.keys()
        assert invoice["parent"]["subscription_details"]["subscription"].startswith("sub_")
        assert all("price" not in line and "pricing" in line for line in invoice["lines"]["data"])
    for subscription in objects_of("customer.subscription.created", by_shape[Shape.CLASSIC]):
        assert "current_period_end" in subscription
    for subscription in objects_of("customer.subscription.created", by_shape[Shape.CURRENT]):
        assert "current_period_end" not in subscription
        assert "current_period_end" in subscription["items"]["data"][0]
    assert all(objects_of("invoice.paid", events) for events in by_shape.values())


def test_one_sale_is_told_by_all_its_twins_with_one_amount():
    paid = {invoice["id"]: invoice["amount_paid"] for invoice in objects_of("invoice.paid")}
    assert paid == {invoice["id"]: invoice["amount_paid"] for invoice in objects_of("invoice.payment_succeeded")}
    intents = {intent["id"]: intent["amount_received"] for intent in objects_of("payment_intent.succeeded")}
    assert {charge["payment_intent"]: charge["amount"] for charge in objects_of("charge.succeeded")} == intents
    one_offs = {
        session["payment_intent"]: session["amount_total"]
        for kind in ("completed", "async_payment_succeeded")
        for session in objects_of(f"checkout.session.{kind}")
        if session["mode"] == "payment"
    }
    assert one_offs.items() <= intents.items()
    assert sum(paid.values()) + sum(one_offs.values()) == sum(intents.values())


def test_updates_say_what_changed_and_from_what():
    """Each subscription's updates chain: the old values are those that the event before it told."""
    told = {}
    updates = 0
    for event in EVENTS:
        if not event["type"].startswith("customer.subscription."):
            continue
        now = event["data"]["object"]
        if event["type"].endswith("updated"):
            previous = event["data"]["previous_attributes"]
            before = told[now["id"]] | (
                {"latest_invoice": previous["latest_invoice"]} if "latest_invoice" in previous else {}
            )
            assert previous
            assert all(before[key] == value != now[key] for key, value in previous.items())
            updates += 1
        told[now["id"]] = now
    assert updates > 20


def test_delayed_payments_are_completed_unpaid_and_paid_later():
    unpaid = {one["id"] for one in objects_of("checkout.session.completed") if one["payment_status"] == "unpaid"}
    assert unpaid
    assert unpaid == {one["id"] for one in objects_of("checkout.session.async_payment_succeeded")}


def test_all_of_it_is_in_test_mode_and_the_people_are_at_example_com():
    assert not any(thing.get("livemode") for event in EVENTS for thing in objects_in(event))
    emails = {thing["email"] for event in EVENTS for thing in objects_in(event) if thing.get("email")}
    assert len(emails) == CUSTOMERS
    assert all(email.endswith("@example.com") for email in emails)


# --- what becomes of it ---------------------------------------------------------------------------------------


def test_every_event_goes_to_a_topic_and_all_kinds_of_topics_get_some():
    topics = Counter()
    for event in EVENTS:
        routed = route(json.dumps(event).encode(), Accepts(livemode=False, accounts=frozenset()))
        assert isinstance(routed, Routed)
        topics[routed.destination.topic] += 1
    assert set(topics) == {Topic.CUSTOMER_EVENTS, Topic.PAYMENT_EVENTS, Topic.CATALOGUE_EVENTS, Topic.STRIPE_OTHER}


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("story", STORIES)
def test_what_a_story_says_agrees_with_the_events_it_tells(story, shape):
    teller = Teller(random.Random(1), shape, Person("Ada Abel", "ada@example.com"), START)
    story(teller)
    events = [told.event for told in teller.events]
    offer_of = {plan.price: plan.offer for plan in PLANS}
    latest = {
        event["data"]["object"]["id"]: event["data"]["object"]
        for event in events
        if event["type"].startswith("customer.subscription.")
    }
    active = {
        offer_of[subscription["items"]["data"][0]["price"]["id"]]
        for subscription in latest.values()
        if subscription["status"] in {"active", "trialing"}
    }
    paid = [
        session
        for kind in ("completed", "async_payment_succeeded")
        for session in objects_of(f"checkout.session.{kind}", events)
        if session["mode"] == "payment" and session["payment_status"] == "paid"
    ]
    assert teller.truth.active == active
    assert len(paid) == len(teller.truth.owned)
    paid_something = any(invoice["amount_paid"] for invoice in objects_of("invoice.paid", events))
    assert bool(teller.truth.purchased) == bool(paid or paid_something)


def test_the_truth_covers_members_owners_and_those_who_left():
    truths = set(expected(7, len(STORIES)).values())
    assert any({"customer", "pro-member"} <= truth.tags for truth in truths)
    assert any({"customer", "atlas-owner", "starter-member"} == truth.tags for truth in truths)
    assert any(truth.tags == {"atlas-owner"} and truth.sequences == {"Atlas reader"} for truth in truths)
    assert any(not truth.tags and truth.sequences for truth in truths)
    assert any(truth.tags == {"customer", "starter-member"} and not truth.sequences for truth in truths)


def test_the_truth_speaks_of_what_the_example_catalogue_gives():
    offers = {offer["name"]: offer for offer in CATALOGUE["offer"]}
    assert CATALOGUE["while"]["active"]["tags"] == [TAG_OF_ANY_ACTIVE]
    for name, tag in TAG_OF_ACTIVE.items():
        assert offers[name]["while"]["active"]["tags"] == [tag]
    for name, tag in TAG_OF_OWNED.items():
        assert offers[name]["while"]["owned"]["tags"] == [tag]
    for name, offer in offers.items():
        sequences = offer["when"]["purchased"].get("sequences", [])
        assert sequences == [one for of, one in SEQUENCE_OF_PURCHASED.items() if of == name]


def test_what_is_sold_is_what_the_example_catalogue_names():
    sold = {thing["id"] for kind in ("product", "price") for thing in objects_of(f"{kind}.created")}
    named = {one for offer in CATALOGUE["offer"] for one in (*offer["products"], *offer.get("prices", ()))}
    assert named <= sold
    links = {session["payment_link"] for session in objects_of("checkout.session.completed")} - {None}
    assert links == {link for offer in CATALOGUE["offer"] for link in offer.get("payment_links", ())}
    assert any(session["metadata"] == {"offer": "atlas"} for session in objects_of("checkout.session.completed"))


# --- signed, and sent only where it does no harm --------------------------------------------------------------


def test_stripes_own_library_accepts_every_signature():
    for event in EVENTS:
        body = json.dumps(event).encode()
        header = signed_header("whsec_sample", body, int(time.time()))
        assert stripe.WebhookSignature.verify_header(body.decode(), header, "whsec_sample", tolerance=300)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (Settings(stripe_webhook_secrets=("whsec_x",)), WrongUsage),
        (Settings(stripe_livemode=False), WrongSettings),
    ],
)
async def test_it_is_not_sent_to_a_live_installation_or_unsigned(settings, error):
    with pytest.raises(error, match="MILLRACE_STRIPE_"):
        await send_sample(settings, seed=1, customers=1, shuffle=False, duplicate=0)
