"""Makes Stripe's events for tests: plain functions, sensible defaults, both shapes of the API.

`Shape.CLASSIC` is as of 2020-08-27, `Shape.NEW` as of 2025-03-31 and later (parent, pricing, periods on items). An
event is a dict; `as_bytes` is what Stripe would sign. Ids of events come from what they tell, so that a second call
with the same arguments is the same event; pass `event_id` where two Event objects are to tell of one change.
"""

import hashlib
import json
from enum import StrEnum
from typing import Any

Event = dict[str, Any]
Metadata = dict[str, str]

T0 = 1_767_225_600
"""2026-01-01 00:00:00 UTC, where every story begins."""

DAY = 24 * 3600
MONTH = 30 * DAY
CUSTOMER = "cus_Ada"
EMAIL = "ada@example.com"


class Shape(StrEnum):
    CLASSIC = "2020-08-27"
    NEW = "2026-10-28.endive"


def as_bytes(event: Event) -> bytes:
    return json.dumps(event).encode()


def event(
    kind: str,
    stripe_object: dict[str, Any],
    *,
    created: int = T0,
    previous: dict[str, Any] | None = None,
    event_id: str | None = None,
    shape: Shape = Shape.CLASSIC,
    livemode: bool = False,
) -> Event:
    """Any event at all around any object at all."""
    data: dict[str, Any] = {"object": stripe_object}
    if previous is not None:
        data["previous_attributes"] = previous
    told = json.dumps([kind, data, created], sort_keys=True)
    return {
        "id": event_id or f"evt_{hashlib.sha256(told.encode()).hexdigest()[:24]}",
        "object": "event",
        "api_version": str(shape),
        "created": created,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
        "data": data,
    }


# --- customer ---------------------------------------------------------------------------------------------------


def customer(*, customer_id: str = CUSTOMER, email: str | None = EMAIL, name: str | None = "Ada") -> dict[str, Any]:
    return {"id": customer_id, "object": "customer", "email": email, "name": name, "metadata": {}, "livemode": False}


def customer_created(*, created: int = T0, event_id: str | None = None, **fields: Any) -> Event:
    return event("customer.created", customer(**fields), created=created, event_id=event_id)


def customer_updated(
    *, previous: dict[str, Any], created: int = T0 + DAY, event_id: str | None = None, **fields: Any
) -> Event:
    return event("customer.updated", customer(**fields), created=created, previous=previous, event_id=event_id)


def customer_deleted(*, created: int = T0 + DAY, event_id: str | None = None, **fields: Any) -> Event:
    return event("customer.deleted", customer(**fields), created=created, event_id=event_id)


# --- checkout session -------------------------------------------------------------------------------------------


def session(
    *,
    session_id: str = "cs_1",
    customer_id: str | None = CUSTOMER,
    mode: str = "payment",
    payment_status: str = "paid",
    email: str | None = EMAIL,
    name: str | None = "Ada",
    amount_total: int | None = 4900,
    currency: str = "usd",
    payment_link: str | None = None,
    payment_intent: str | None = None,
    subscription_id: str | None = None,
    metadata: Metadata | None = None,
    created: int = T0,
) -> dict[str, Any]:
    return {
        "id": session_id,
        "object": "checkout.session",
        "amount_total": amount_total,
        "created": created,
        "currency": currency,
        "customer": customer_id,
        "customer_details": {"email": email, "name": name, "tax_exempt": "none"},
        "customer_email": None,
        "metadata": metadata or {},
        "mode": mode,
        "payment_intent": payment_intent,
        "payment_link": payment_link,
        "payment_status": payment_status,
        "status": "complete",
        "subscription": subscription_id,
    }


def session_completed(*, at: int = T0, event_id: str | None = None, **fields: Any) -> Event:
    """A one-off purchase that is paid, unless told otherwise."""
    return event("checkout.session.completed", session(**fields), created=at, event_id=event_id)


def subscription_session_completed(*, at: int = T0, event_id: str | None = None, **fields: Any) -> Event:
    told = {"mode": "subscription", "subscription_id": "sub_1"} | fields
    return event("checkout.session.completed", session(**told), created=at, event_id=event_id)


def async_payment_succeeded(*, at: int = T0 + DAY, event_id: str | None = None, **fields: Any) -> Event:
    return event("checkout.session.async_payment_succeeded", session(**fields), created=at, event_id=event_id)


# --- subscription -----------------------------------------------------------------------------------------------


def subscription(
    *,
    subscription_id: str = "sub_1",
    customer_id: str = CUSTOMER,
    status: str = "active",
    price: str = "price_ProMonthly",
    product: str = "prod_Pro",
    quantity: int = 1,
    unit_amount: int = 4900,
    currency: str = "usd",
    started: int = T0,
    period_start: int | None = None,
    period_end: int | None = None,
    trial_end: int | None = None,
    cancel_at_period_end: bool = False,
    canceled_at: int | None = None,
    ended_at: int | None = None,
    pause_collection: dict[str, Any] | None = None,
    metadata: Metadata | None = None,
    shape: Shape = Shape.CLASSIC,
) -> dict[str, Any]:
    """One item, one month from `started`, or until the end of the trial."""
    start = started if period_start is None else period_start
    period = {"current_period_start": start, "current_period_end": period_end or trial_end or start + MONTH}
    item = {
        "id": f"si_{subscription_id}",
        "object": "subscription_item",
        "metadata": {},
        "price": _price(price, product, unit_amount, currency),
        "quantity": quantity,
        "subscription": subscription_id,
    }
    return {
        "id": subscription_id,
        "object": "subscription",
        "cancel_at": None,
        "cancel_at_period_end": cancel_at_period_end,
        "canceled_at": canceled_at,
        "created": started,
        "customer": customer_id,
        "ended_at": ended_at,
        "items": {
            "object": "list",
            "data": [item | period if shape is Shape.NEW else item],
            "has_more": False,
            "url": "/v1/subscription_items",
        },
        "metadata": metadata or {},
        "pause_collection": pause_collection,
        "start_date": started,
        "status": status,
        "trial_end": trial_end,
        "trial_start": started if trial_end else None,
        **(period if shape is Shape.CLASSIC else {}),
    }


def subscription_created(*, at: int = T0, event_id: str | None = None, **fields: Any) -> Event:
    return _of_subscription("created", at=at, event_id=event_id, **fields)


def subscription_updated(
    *, previous: dict[str, Any], at: int = T0, event_id: str | None = None, **fields: Any
) -> Event:
    return _of_subscription("updated", at=at, event_id=event_id, previous=previous, **fields)


def subscription_deleted(*, at: int = T0 + MONTH, event_id: str | None = None, **fields: Any) -> Event:
    ended = {"status": "canceled", "canceled_at": at, "ended_at": at} | fields
    return _of_subscription("deleted", at=at, event_id=event_id, **ended)


def _of_subscription(
    change: str,
    *,
    at: int,
    event_id: str | None,
    previous: dict[str, Any] | None = None,
    shape: Shape = Shape.CLASSIC,
    **fields: Any,
) -> Event:
    return event(
        f"customer.subscription.{change}",
        subscription(shape=shape, **fields),
        created=at,
        previous=previous,
        event_id=event_id,
        shape=shape,
    )


# --- invoice ----------------------------------------------------------------------------------------------------


def invoice(
    *,
    invoice_id: str = "in_1",
    customer_id: str = CUSTOMER,
    subscription_id: str | None = "sub_1",
    email: str | None = EMAIL,
    billing_reason: str = "subscription_create",
    amount_paid: int = 4900,
    currency: str = "usd",
    price: str = "price_ProMonthly",
    product: str = "prod_Pro",
    quantity: int = 1,
    unit_amount: int | None = None,
    period_start: int = T0,
    period_end: int | None = None,
    proration: bool = False,
    paid_at: int | None = None,
    shape: Shape = Shape.CLASSIC,
) -> dict[str, Any]:
    """A paid one, with one line of the subscription's item."""
    line = {
        "id": f"il_{invoice_id}",
        "object": "line_item",
        "amount": amount_paid,
        "currency": currency,
        "metadata": {},
        "period": {"start": period_start, "end": period_end or period_start + MONTH},
        "quantity": quantity,
    }
    sold = _price(price, product, amount_paid if unit_amount is None else unit_amount, currency)
    line |= _line_origin(subscription_id, sold, proration=proration, shape=shape)
    return {
        "id": invoice_id,
        "object": "invoice",
        "amount_due": amount_paid,
        "amount_paid": amount_paid,
        "billing_reason": billing_reason,
        "created": period_start,
        "currency": currency,
        "customer": customer_id,
        "customer_email": email,
        "customer_name": None,
        "lines": {"object": "list", "data": [line], "has_more": False, "url": f"/v1/invoices/{invoice_id}/lines"},
        "status": "paid",
        "status_transitions": {"paid_at": period_start if paid_at is None else paid_at},
        "total": amount_paid,
        **_parent(subscription_id, shape),
    }


def _line_origin(subscription_id: str | None, sold: dict[str, Any], *, proration: bool, shape: Shape) -> dict[str, Any]:
    """What a line was made from, and its price."""
    if shape is Shape.CLASSIC:
        kind = "subscription" if subscription_id else "invoiceitem"
        return {"price": sold, "proration": proration, "subscription": subscription_id, "type": kind}
    origin = {"proration": proration, "subscription": subscription_id}
    of_item = origin | {"subscription_item": f"si_{subscription_id}"} if subscription_id else None
    of_hand = None if subscription_id else origin | {"invoice_item": "ii_1"}
    return {
        "parent": {
            "type": "subscription_item_details" if of_item else "invoice_item_details",
            "subscription_item_details": of_item,
            "invoice_item_details": of_hand,
        },
        "pricing": {
            "type": "price_details",
            "price_details": {"price": sold["id"], "product": sold["product"]},
            "unit_amount_decimal": sold["unit_amount_decimal"],
        },
    }


def _parent(subscription_id: str | None, shape: Shape) -> dict[str, Any]:
    if shape is Shape.CLASSIC:
        return {"subscription": subscription_id, "paid": True}
    details = {"metadata": {}, "subscription": subscription_id}
    return {"parent": {"type": "subscription_details", "subscription_details": details}}


def invoice_paid(
    *, at: int | None = None, event_id: str | None = None, shape: Shape = Shape.CLASSIC, **fields: Any
) -> Event:
    return _of_invoice("invoice.paid", at, event_id, shape, fields)


def invoice_payment_succeeded(
    *, at: int | None = None, event_id: str | None = None, shape: Shape = Shape.CLASSIC, **fields: Any
) -> Event:
    """The twin of `invoice_paid`: Stripe sends both for one payment."""
    return _of_invoice("invoice.payment_succeeded", at, event_id, shape, fields)


def _of_invoice(kind: str, at: int | None, event_id: str | None, shape: Shape, fields: dict[str, Any]) -> Event:
    created = fields.get("period_start", T0) if at is None else at
    return event(kind, invoice(shape=shape, **fields), created=created, event_id=event_id, shape=shape)


def _price(price: str, product: str, unit_amount: int, currency: str) -> dict[str, Any]:
    return {
        "id": price,
        "object": "price",
        "active": True,
        "currency": currency,
        "nickname": None,
        "product": product,
        "recurring": {"interval": "month", "interval_count": 1, "usage_type": "licensed"},
        "type": "recurring",
        "unit_amount": unit_amount,
        "unit_amount_decimal": str(unit_amount),
    }
