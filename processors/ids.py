"""The ids that flow through the core, one type each, so that none is taken for another; and how keys are made."""

import hashlib
import hmac
import unicodedata
from typing import NewType

EventId = NewType("EventId", str)
"""Stripe's `evt_…`."""

CustomerKey = NewType("CustomerKey", str)
"""Key of `customer.events`: Stripe's `cus_…` (else `customer_account`), or `guest:` + `email_hash`."""

SubscriberKey = NewType("SubscriberKey", str)
"""Key of `subscriber.events`: `email_hash` of the subscriber's email."""

CommandId = NewType("CommandId", str)
"""Deterministic id of a once-only command: what it does, for which business object, by which rule."""

CatalogueVersion = NewType("CatalogueVersion", str)
"""SHA-256 of the applied catalogue, hex."""

IntentId = NewType("IntentId", str)


def normalised_email(email: str) -> str:
    """Unicode NFC, trimmed, lower-cased; plus-addresses are kept apart (docs/interfaces.md §5)."""
    return unicodedata.normalize("NFC", email).strip().lower()


def email_hash(email: str, encryption_key: bytes | None = None) -> str:
    """The first 32 hex digits of SHA-256 (HMAC-SHA-256 where an encryption key is set) of the normalised email."""
    text = normalised_email(email).encode()
    if encryption_key is None:
        return hashlib.sha256(text).hexdigest()[:32]
    return hmac.new(encryption_key, text, hashlib.sha256).hexdigest()[:32]


def guest_key(email: str, encryption_key: bytes | None = None) -> CustomerKey:
    return CustomerKey(f"guest:{email_hash(email, encryption_key)}")


def subscriber_key(email: str, encryption_key: bytes | None = None) -> SubscriberKey:
    return SubscriberKey(email_hash(email, encryption_key))
