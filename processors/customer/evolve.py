"""Folds one Stripe event into what is known of its customer: the table of event types that are read, and by what.

Called by step.py. To read one more type: add its line here, and to objects.py the fields it needs.
"""

from collections.abc import Callable

from processors.customer.facts import Facts
from processors.customer.lifecycle import fold_subscription
from processors.customer.objects import Event
from processors.customer.payment import fold_paid_invoice, fold_session
from processors.customer.profile import fold_customer, fold_deleted_customer

Fold = Callable[[Facts, Event], Facts]
"""Returns the same Facts where nothing is new. Raises `msgspec.DecodeError` where the object cannot be read."""

FOLDS: dict[str, Fold] = {
    "customer.created": fold_customer,
    "customer.updated": fold_customer,
    "customer.deleted": fold_deleted_customer,
    "checkout.session.completed": fold_session,
    "checkout.session.async_payment_succeeded": fold_session,
    "customer.subscription.created": fold_subscription,
    "customer.subscription.updated": fold_subscription,
    "customer.subscription.deleted": fold_subscription,
    "invoice.paid": fold_paid_invoice,
    "invoice.payment_succeeded": fold_paid_invoice,
}


def is_read(event: Event) -> bool:
    return event.type in FOLDS


def evolve(facts: Facts, event: Event) -> Facts:
    fold = FOLDS.get(event.type)
    return facts if fold is None else fold(facts, event)
