"""What `millrace check` says is not acted on yet is what the core really leaves alone: asked of the core itself."""

import json
from typing import Any

from processors.catalogue.document import Parsed, parse
from processors.catalogue.notes import MOMENTS_ACTED_ON, PLACEHOLDERS_NOT_FILLED, STATES_ACTED_ON
from processors.catalogue.placeholders import PLACEHOLDERS
from processors.catalogue.rules import Moment, State
from processors.customer import CustomersState, advance
from processors.messages import Align, CatalogueApplied, encode
from processors.record import Record, Source, Topic
from tests import stripe_events as stripe
from tests.stripe_events import MONTH, T0

TIERS = ("Starter", "Pro")
CHARGE = {"id": "ch_1", "object": "charge", "customer": "cus_1", "amount": 900, "currency": "usd", "invoice": "in_2"}
DISPUTE = {"id": "dp_1", "object": "dispute", "charge": "ch_1", "amount": 900, "currency": "usd", "status": "lost"}

NOW = 1_750_000_000
DAY = 24 * 3600
RENEWAL = stripe.invoice(invoice_id="in_2", billing_reason="subscription_cycle", period_start=T0 + MONTH)


def event(number: int, kind: str, data: dict[str, Any]) -> bytes:
    return json.dumps({"id": f"evt_{number}", "type": kind, "created": NOW, "data": {"object": data}}).encode()


def subscription(number: int, **changed: Any) -> bytes:
    price = {"id": "price_1", "product": "prod_1", "unit_amount": 900, "currency": "usd", "nickname": "Monthly"}
    item = {"id": f"si_{number}", "price": price, "quantity": 2, "current_period_end": NOW + 30 * DAY}
    held = {"id": f"sub_{number}", "customer": "cus_1", "status": "active", "created": NOW, "start_date": NOW}
    kind = "customer.subscription.deleted" if changed.get("ended_at") else "customer.subscription.created"
    return event(number, kind, held | {"metadata": {"level": "gold"}, "items": {"data": [item]}} | changed)


def aligned(parsed: Parsed, *subscriptions: bytes) -> Align:
    """What the core last wants of Kit after these events, under this catalogue."""
    applied = encode(CatalogueApplied(version=parsed.version, document=parsed.document))
    customer = event(0, "customer.created", {"id": "cus_1", "email": "ada@example.com", "name": "Ada"})
    values = [(b"catalogue:0", applied), (b"cus_1", customer), *((b"cus_1", value) for value in subscriptions)]
    table: dict[str, CustomersState] = {}
    aligns = []
    for offset, (key, value) in enumerate(values):
        record = Record(Topic.CUSTOMER_EVENTS, 0, offset, key, value, Source.WEBHOOK, NOW * 1000)
        advanced = advance(table, record)
        if advanced.state is not None:
            table[advanced.key] = advanced.state
        aligns += [output.message for output in advanced.outputs if isinstance(output.message, Align)]
    return aligns[-1]


def test_the_placeholders_that_are_not_filled_are_those_that_are_said_not_to_be():
    names = [name.replace("KEY", "level") for name in PLACEHOLDERS]
    fields = "\n".join(f"'{name}' = '{{{name}}}'" for name in names)
    parsed = parse(f"[[offer]]\nname = 'Pro'\nproducts = ['prod_1']\n[offer.while.active.fields]\n{fields}")
    given = {wish.name for wish in aligned(parsed, subscription(1)).fields}
    not_filled = {name.replace("KEY", "level") for name in PLACEHOLDERS_NOT_FILLED}
    assert given - {"stripe_customer_id"} == set(names) - not_filled


def test_the_states_that_are_not_acted_on_give_nothing():
    parsed = parse("\n".join(f"[while.{state}]\ntags = ['{state}']" for state in State))
    align = aligned(
        parsed,
        subscription(1, status="past_due", cancel_at_period_end=True, cancel_at=NOW + 30 * DAY),
        subscription(2, status="trialing", trial_start=NOW, trial_end=NOW + 7 * DAY),
        subscription(3, status="paused"),
        subscription(4, status="canceled", ended_at=NOW, canceled_at=NOW),
    )
    assert {wish.name for wish in align.tags} == {State.ACTIVE}
    assert {State.ACTIVE, State.OWNED} == STATES_ACTED_ON


def test_the_moments_that_are_not_acted_on_give_nothing():
    """Everything happens to this customer: renewed, moved to a dearer plan and back, failed, recovered, refunded, …"""
    starter, pro = {"product": "prod_Starter", "unit_amount": 900}, {"product": "prod_Pro", "unit_amount": 4900}
    events = (
        stripe.subscription_created(**starter),
        stripe.event("invoice.paid", stripe.invoice()),
        stripe.subscription_updated(at=T0 + DAY, previous={"items": {"data": []}}, **pro),
        stripe.subscription_updated(at=T0 + 2 * DAY, previous={"items": {"data": []}}, **starter),
        stripe.event("invoice.payment_failed", RENEWAL | {"status": "open", "amount_paid": 0}, created=T0 + MONTH),
        stripe.subscription_updated(at=T0 + MONTH, status="past_due", previous={"status": "active"}, **starter),
        stripe.event("invoice.paid", RENEWAL, created=T0 + MONTH + DAY),
        stripe.subscription_updated(at=T0 + MONTH + DAY, previous={"status": "past_due"}, **starter),
        stripe.event("charge.refunded", CHARGE | {"amount_refunded": 100, "refunded": False}, created=T0 + MONTH + DAY),
        stripe.event("charge.refunded", CHARGE | {"amount_refunded": 900, "refunded": True}, created=T0 + MONTH + DAY),
        stripe.event("charge.dispute.created", DISPUTE, created=T0 + MONTH + DAY),
        stripe.subscription_updated(
            at=T0 + MONTH + 2 * DAY, cancel_at_period_end=True, previous={"cancel_at_period_end": False}, **starter
        ),
        stripe.subscription_updated(at=T0 + MONTH + 3 * DAY, previous={"cancel_at_period_end": True}, **starter),
        stripe.subscription_deleted(at=T0 + 2 * MONTH, **starter),
    )
    tiers = "".join(f"[[offer]]\nname = '{name}'\nproducts = ['prod_{name}']\ntier = '{name}'\n" for name in TIERS)
    rules = "".join(f"[when.{moment}.fields]\n{moment} = 'x'\n" for moment in Moment)
    align = aligned(parse(f"[tiers]\norder = {list(TIERS)}\n{rules}{tiers}"), *map(stripe.as_bytes, events))
    assert {wish.name for wish in align.fields} - {"stripe_customer_id"} == MOMENTS_ACTED_ON
