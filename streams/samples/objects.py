"""Stripe's objects as events carry them, in the two shapes that are met: plain values in, dicts out.

Classic is API version 2020-08-27, current is 2026-10-28.endive. Where they differ, see facts of the Basil release:
https://docs.stripe.com/changelog/basil. Called by streams/samples/teller.py.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from streams.samples.shop import CURRENCY, OneOff, Person, Plan

StripeDict = dict[str, Any]


class Shape(StrEnum):
    """The value is the API version that events of this shape name."""

    CLASSIC = "2020-08-27"
    CURRENT = "2026-10-28.endive"


@dataclass(slots=True)
class Subscription:
    """One subscription as it stands; stories change it and tell each change."""

    id: str
    item: str
    customer: str
    plan: Plan
    quantity: int
    created: int
    period_start: int
    period_end: int
    status: str
    latest_invoice: str | None = None
    trial_end: int | None = None
    cancel_at_period_end: bool = False
    canceled_at: int | None = None
    ended_at: int | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that was collected: a payment intent and its charge. `invoice` None: a one-off."""

    intent: str
    charge: str
    amount: int
    created: int
    customer: str | None
    person: Person
    invoice: str | None = None


@dataclass(frozen=True, slots=True)
class Invoice:
    """An invoice of one subscription's period."""

    id: str
    line: str
    reason: str
    amount: int
    created: int
    payment: Payment | None


def customer(customer_id: str, person: Person, created: int) -> StripeDict:
    return {
        "id": customer_id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": CURRENCY,
        "delinquent": False,
        "description": None,
        "email": person.email,
        "livemode": False,
        "metadata": {},
        "name": person.name,
        "phone": None,
    }


def product(plan: Plan | OneOff, created: int) -> StripeDict:
    return {
        "id": plan.product,
        "object": "product",
        "active": True,
        "created": created,
        "livemode": False,
        "metadata": {},
        "name": plan.offer,
        "updated": created,
    }


def price(plan: Plan | OneOff) -> StripeDict:
    recurring = None
    if isinstance(plan, Plan):
        recurring = {"interval": plan.interval, "interval_count": 1, "usage_type": "licensed"}
    return {
        "id": plan.price,
        "object": "price",
        "active": True,
        "billing_scheme": "per_unit",
        "currency": CURRENCY,
        "livemode": False,
        "metadata": {},
        "nickname": None,
        "product": plan.product,
        "recurring": recurring,
        "type": "one_time" if recurring is None else "recurring",
        "unit_amount": plan.unit_amount,
        "unit_amount_decimal": str(plan.unit_amount),
    }


def plan_of(plan: Plan) -> StripeDict:
    """The older twin of a recurring price, under the same id."""
    return {
        "id": plan.price,
        "object": "plan",
        "active": True,
        "amount": plan.unit_amount,
        "currency": CURRENCY,
        "interval": plan.interval,
        "interval_count": 1,
        "livemode": False,
        "product": plan.product,
    }


def subscription(of: Subscription, shape: Shape) -> StripeDict:
    item: StripeDict = {
        "id": of.item,
        "object": "subscription_item",
        "created": of.created,
        "metadata": {},
        "plan": plan_of(of.plan),
        "price": price(of.plan),
        "quantity": of.quantity,
        "subscription": of.id,
    }
    period = {"current_period_start": of.period_start, "current_period_end": of.period_end}
    if shape is Shape.CURRENT:
        item |= period
    return {
        "id": of.id,
        "object": "subscription",
        "cancel_at": of.period_end if of.cancel_at_period_end else None,
        "cancel_at_period_end": of.cancel_at_period_end,
        "canceled_at": of.canceled_at,
        "collection_method": "charge_automatically",
        "created": of.created,
        "customer": of.customer,
        "ended_at": of.ended_at,
        "items": _list([item], f"/v1/subscription_items?subscription={of.id}"),
        "latest_invoice": of.latest_invoice,
        "livemode": False,
        "metadata": {},
        "pause_collection": None,
        "start_date": of.created,
        "status": of.status,
        "trial_end": of.trial_end,
        "trial_start": of.created if of.trial_end else None,
        **(_classic_subscription(of, period) if shape is Shape.CLASSIC else _current_subscription(of)),
    }


def _classic_subscription(of: Subscription, period: StripeDict) -> StripeDict:
    return {**period, "plan": plan_of(of.plan), "quantity": of.quantity}


def _current_subscription(of: Subscription) -> StripeDict:
    reason = "cancellation_requested" if of.canceled_at else None
    return {
        "billing_mode": {"type": "flexible"},
        "cancellation_details": {"comment": None, "feedback": None, "reason": reason},
        "currency": CURRENCY,
        "customer_account": None,
    }


def invoice(of: Invoice, sub: Subscription, person: Person, shape: Shape, *, paid: bool) -> StripeDict:
    """Paid in full, or open. Its own period is not the service's: that is the line's (a first invoice's is empty)."""
    payment = of.payment
    if shape is Shape.CLASSIC:
        differing: StripeDict = {
            "charge": payment.charge if payment and paid else None,
            "paid": paid,
            "payment_intent": payment.intent if payment else None,
            "subscription": sub.id,
        }
    else:
        details = {"metadata": {}, "subscription": sub.id}
        differing = {
            "customer_account": None,
            "parent": {"quote_details": None, "subscription_details": details, "type": "subscription_details"},
        }
    return {
        "id": of.id,
        "object": "invoice",
        "amount_due": of.amount,
        "amount_paid": of.amount if paid else 0,
        "amount_remaining": 0 if paid else of.amount,
        "attempt_count": 1 if paid and of.reason != "subscription_create" else 0,
        "attempted": paid,
        "billing_reason": of.reason,
        "collection_method": "charge_automatically",
        "created": of.created,
        "currency": CURRENCY,
        "customer": sub.customer,
        "customer_email": person.email,
        "customer_name": person.name,
        "hosted_invoice_url": f"https://invoice.stripe.com/i/{of.id}",
        "lines": _list([_line(of, sub, shape)], f"/v1/invoices/{of.id}/lines"),
        "livemode": False,
        "metadata": {},
        "next_payment_attempt": None,
        "period_end": of.created,
        "period_start": of.created if of.reason == "subscription_create" else sub.created,
        "status": "paid" if paid else "open",
        "status_transitions": {
            "finalized_at": of.created,
            "marked_uncollectible_at": None,
            "paid_at": of.created if paid else None,
            "voided_at": None,
        },
        "subtotal": of.amount,
        "total": of.amount,
        **differing,
    }


def _line(of: Invoice, sub: Subscription, shape: Shape) -> StripeDict:
    if shape is Shape.CLASSIC:
        differing: StripeDict = {
            "plan": plan_of(sub.plan),
            "price": price(sub.plan),
            "proration": False,
            "subscription": sub.id,
            "subscription_item": sub.item,
            "type": "subscription",
        }
    else:
        item_details = {
            "invoice_item": None,
            "proration": False,
            "proration_details": {"credited_items": None},
            "subscription": sub.id,
            "subscription_item": sub.item,
        }
        differing = {
            "parent": {
                "invoice_item_details": None,
                "subscription_item_details": item_details,
                "type": "subscription_item_details",
            },
            "pricing": {
                "price_details": {"price": sub.plan.price, "product": sub.plan.product},
                "type": "price_details",
                "unit_amount_decimal": str(sub.plan.unit_amount if of.amount else 0),
            },
        }
    return {
        "id": of.line,
        "object": "line_item",
        "amount": of.amount,
        "currency": CURRENCY,
        "description": f"{sub.quantity} x {sub.plan.offer}",
        "livemode": False,
        "metadata": {},
        "period": {"end": sub.period_end, "start": sub.period_start},
        "quantity": sub.quantity,
        **differing,
    }


def charge(of: Payment, shape: Shape) -> StripeDict:
    return {
        "id": of.charge,
        "object": "charge",
        "amount": of.amount,
        "amount_captured": of.amount,
        "amount_refunded": 0,
        "billing_details": {"address": None, "email": of.person.email, "name": of.person.name, "phone": None},
        "captured": True,
        "created": of.created,
        "currency": CURRENCY,
        "customer": of.customer,
        "disputed": False,
        "livemode": False,
        "metadata": {},
        "paid": True,
        "payment_intent": of.intent,
        "receipt_email": of.person.email if of.customer is None else None,
        "refunded": False,
        "status": "succeeded",
        **({"invoice": of.invoice} if shape is Shape.CLASSIC else {}),
    }


def payment_intent(of: Payment, shape: Shape) -> StripeDict:
    if shape is Shape.CLASSIC:
        charges = _list([charge(of, shape)], f"/v1/charges?payment_intent={of.intent}")
        differing: StripeDict = {"charges": charges, "invoice": of.invoice}
    else:
        differing = {"customer_account": None, "latest_charge": of.charge}
    return {
        "id": of.intent,
        "object": "payment_intent",
        "amount": of.amount,
        "amount_received": of.amount,
        "created": of.created,
        "currency": CURRENCY,
        "customer": of.customer,
        "livemode": False,
        "metadata": {},
        "receipt_email": of.person.email if of.customer is None else None,
        "status": "succeeded",
        **differing,
    }


def _list(data: list[StripeDict], url: str) -> StripeDict:
    return {"object": "list", "data": data, "has_more": False, "total_count": len(data), "url": url}
