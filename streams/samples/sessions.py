"""Checkout sessions as events carry them. Split from objects.py only because a session can sell either kind."""

from dataclasses import dataclass

from streams.samples.objects import Invoice, Shape, StripeDict, Subscription
from streams.samples.shop import CURRENCY, OneOff, Person


@dataclass(frozen=True, slots=True)
class Session:
    """A completed session. `sold` is a subscription with its first invoice, or a one-off with its payment intent.

    `by_link`: through the payment link, which the session names; otherwise it says in its metadata what it sold.
    """

    id: str
    person: Person
    customer: str | None
    created: int
    sold: tuple[Subscription, Invoice] | tuple[OneOff, str]
    by_link: bool = False


def session(of: Session, payment_status: str, shape: Shape) -> StripeDict:
    what, paid_by = of.sold
    if isinstance(what, Subscription):
        assert isinstance(paid_by, Invoice)
        amount, metadata, link = paid_by.amount, {}, None
    else:
        amount = what.unit_amount
        metadata = {} if of.by_link else dict(what.metadata)
        link = what.payment_link if of.by_link else None
    return {
        "id": of.id,
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "created": of.created,
        "currency": CURRENCY,
        "customer": of.customer,
        "customer_creation": "if_required" if isinstance(what, OneOff) else "always",
        "customer_details": {
            "address": None,
            "email": of.person.email,
            "name": of.person.name,
            "phone": None,
            "tax_exempt": "none",
            "tax_ids": [],
        },
        "customer_email": None,
        "expires_at": of.created + 24 * 3600,
        "invoice": paid_by.id if isinstance(paid_by, Invoice) else None,
        "livemode": False,
        "metadata": metadata,
        "mode": "subscription" if isinstance(what, Subscription) else "payment",
        "payment_intent": paid_by if isinstance(paid_by, str) else None,
        "payment_link": link,
        "payment_status": payment_status,
        "status": "complete",
        "subscription": what.id if isinstance(what, Subscription) else None,
        "url": None,
        **({"customer_account": None} if shape is Shape.CURRENT else {}),
    }
