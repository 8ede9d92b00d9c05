"""Where a Stripe event goes: raw bytes in, a topic and a key out, or why not. Pure; called by streams/edge/webhook.py.

The rules, in this order (docs/design.md §4, docs/interfaces.md §5):

1. no event at all                                        → refused (400)
2. another livemode, an account that is not accepted      → a dead letter
3. a product, a price, a plan                             → catalogue.events, by its id
4. names a customer, or is one                            → customer.events, by the customer
5. a Checkout session of a guest who gave an email        → customer.events, by `guest:` + hash of the email
6. bears on a payment                                     → payment.events, by the payment intent, else the charge
7. everything else, also types that do not exist yet      → stripe.other, by the event's id
"""

from typing import Any, assert_never

import msgspec

from processors.ids import guest_key
from processors.record import Topic
from streams.edge.envelope import Envelope, NoEvent, StripeObject, ThinEnvelope, read_envelope

CATALOGUE_OBJECTS = frozenset({"product", "price", "plan"})
PAYMENT_OBJECTS = frozenset(
    {
        "charge",
        "checkout.session",
        "dispute",
        "invoice_payment",
        "payment_intent",
        "radar.early_fraud_warning",
        "refund",
        "review",
    }
)
"""Kinds of object that bear on a buyer's payment. Others name a charge too (fees, transfers) but concern no buyer."""


class Accepts(msgspec.Struct, frozen=True):
    """Which events this installation takes: of one livemode, of its own account and of the connected ones listed."""

    livemode: bool
    accounts: frozenset[str]


class Destination(msgspec.Struct, frozen=True, gc=False):
    topic: Topic
    key: str


class Routed(msgspec.Struct, frozen=True, gc=False):
    """To be appended as it is."""

    destination: Destination


class Misdirected(msgspec.Struct, frozen=True, gc=False):
    """A true event that is not for this installation; `destination` is where it would have gone."""

    destination: Destination
    event_id: str
    reason: str


def route(body: bytes, accepts: Accepts) -> Routed | Misdirected | NoEvent:
    """Raises nothing, whatever the bytes are."""
    event = read_envelope(body)
    match event:
        case NoEvent():
            return event
        case Envelope():
            destination, account = _snapshot_destination(event), event.account or event.context
        case ThinEnvelope():
            destination, account = _thin_destination(event), event.context
        case _:
            assert_never(event)
    reason = _refusal(event.livemode, account, accepts)
    return Routed(destination) if reason is None else Misdirected(destination, event.id, reason)


def _refusal(livemode: Any, account: Any, accepts: Accepts) -> str | None:
    """Of the own account's events neither `account` nor `context` is set.

    Compared by identity: `livemode` missing, or anything else than a boolean, is no mode we can tell.
    """
    if livemode is not accepts.livemode:
        return f"livemode is {livemode!r:.40}, MILLRACE_STRIPE_LIVEMODE is {str(accepts.livemode).lower()}"
    # An organization's context is a path that ends in the account: `org_…/acct_…`.
    if account and str(account).rpartition("/")[2] not in accepts.accounts:
        return f"the account {account!r:.80} is not among MILLRACE_STRIPE_ACCOUNTS"
    return None


def _snapshot_destination(event: Envelope) -> Destination:
    thing = event.data.object
    kind = thing.object if isinstance(thing.object, str) else ""
    if kind in CATALOGUE_OBJECTS and (own_id := _id_of(thing.id)):
        return Destination(Topic.CATALOGUE_EVENTS, own_id)
    if customer := _customer_of(thing, kind):
        return Destination(Topic.CUSTOMER_EVENTS, customer)
    if kind == "checkout.session" and (email := _email_of(thing.customer_details)):
        return Destination(Topic.CUSTOMER_EVENTS, guest_key(email))
    if kind in PAYMENT_OBJECTS and (payment := _payment_of(thing, kind)):
        return Destination(Topic.PAYMENT_EVENTS, payment)
    return Destination(Topic.STRIPE_OTHER, event.id)


def _thin_destination(event: ThinEnvelope) -> Destination:
    """Only a thin event about the customer itself says whose it is; the others name just their own object."""
    related = event.related_object
    if isinstance(related, dict) and related.get("type") == "customer" and (customer := _id_of(related)):
        return Destination(Topic.CUSTOMER_EVENTS, customer)
    return Destination(Topic.STRIPE_OTHER, event.id)


def _customer_of(thing: StripeObject, kind: str) -> str | None:
    customer = _id_of(thing.customer)
    if customer is None and kind == "customer":
        customer = _id_of(thing.id)
    return customer or _id_of(thing.customer_account)


def _payment_of(thing: StripeObject, kind: str) -> str | None:
    if kind == "payment_intent":
        return _id_of(thing.id)
    if kind == "invoice_payment" and isinstance(thing.payment, dict):
        return _id_of(thing.payment.get("payment_intent")) or _id_of(thing.payment.get("charge"))
    return _id_of(thing.payment_intent) or _id_of(thing.id if kind == "charge" else thing.charge)


def _email_of(details: Any) -> str | None:
    email = details.get("email") if isinstance(details, dict) else None
    return email if isinstance(email, str) and email.strip() else None


def _id_of(reference: Any) -> str | None:
    """An id, given as text or as the expanded object."""
    value = reference.get("id") if isinstance(reference, dict) else reference
    return value if isinstance(value, str) and value else None
