"""The ids that flow through the core, one type each, so that none is taken for another; and how keys are made."""

import hashlib
import unicodedata
from typing import NewType

EventId = NewType("EventId", str)
"""Stripe's `evt_…`."""

CustomerKey = NewType("CustomerKey", str)
"""Key of `customer.events`: Stripe's `cus_…` (else `customer_account`), or `guest:` + `email_hash`."""

SubscriberKey = NewType("SubscriberKey", str)
"""Key of `subscriber.events`: `email_hash` of the subscriber's email."""

CATALOGUE_KEY = "catalogue"
"""Key of the applied catalogue in catalogue.events; Stripe's events there have the ids of their objects."""

CommandId = NewType("CommandId", str)
"""Deterministic id of a once-only command: what it does, for which business object, by which rule."""

CatalogueVersion = NewType("CatalogueVersion", str)
"""SHA-256 of the applied catalogue, hex."""

IntentId = NewType("IntentId", str)


def normalised_email(email: str) -> str:
    """Unicode NFC, trimmed, lower-cased; plus-addresses are kept apart (docs/interfaces.md §5)."""
    return unicodedata.normalize("NFC", email).strip().lower()


def email_hash(email: str) -> str:
    """The first 32 hex digits of SHA-256 of the normalised email."""
    return hashlib.sha256(normalised_email(email).encode()).hexdigest()[:32]


def guest_key(email: str) -> CustomerKey:
    return CustomerKey(f"guest:{email_hash(email)}")


def subscriber_key(email: str) -> SubscriberKey:
    return SubscriberKey(email_hash(email))


def catalogue_key(partition: int) -> str:
    """Key of the applied catalogue in each partition of customer.events, and in the table `customers`."""
    return f"{CATALOGUE_KEY}:{partition}"
