"""Who a customer is: folds customer.created, .updated and .deleted, and the email that other objects bring along.

The customer object is trusted most, then Checkout sessions, then invoices (docs/design.md §4): see `facts.Profile`.
"""

import msgspec
from msgspec.structs import replace

from processors.customer import objects
from processors.customer.facts import Contact, Facts, Profile
from processors.customer.lineage import merged, snapshot
from processors.customer.objects import Event

_customer = msgspec.json.Decoder(objects.Customer)
_before = msgspec.json.Decoder(objects.CustomerBefore)

CREATED, UPDATED = 0, 1
"""Phases of a customer object: the event that creates it is its first, whenever it arrives."""


def fold_customer(facts: Facts, event: Event) -> Facts:
    customer = objects.read(_customer, event)
    contact = Contact(customer.email or "", customer.name or "")
    phase = CREATED if event.type == "customer.created" else UPDATED
    new = snapshot(event.created, phase, contact, _contact_before(event, contact))
    return _with_profile(facts, replace(facts.profile, customer=merged(facts.profile.customer, new)))


def fold_deleted_customer(facts: Facts, event: Event) -> Facts:
    """Deleted is final. What the customer was called is still worth knowing: tags have to be taken back from it."""
    customer = objects.read(_customer, event)
    profile = replace(facts.profile, deleted=True)
    if customer.email:
        contact = Contact(customer.email, customer.name or "")
        profile = replace(profile, customer=merged(profile.customer, snapshot(event.created, UPDATED, contact, None)))
    return _with_profile(facts, profile)


def with_session(facts: Facts, contact: Contact) -> Facts:
    return _with_profile(facts, replace(facts.profile, session=_later(facts.profile.session, contact)))


def with_invoice(facts: Facts, contact: Contact) -> Facts:
    return _with_profile(facts, replace(facts.profile, invoice=_later(facts.profile.invoice, contact)))


def _later(known: Contact | None, contact: Contact) -> Contact | None:
    """The later one that names an email; of two of one second, always the same."""
    if not contact.email:
        return known
    if known is None:
        return contact
    return max(known, contact, key=lambda each: (each.at, each.email, each.name))


def _contact_before(event: Event, contact: Contact) -> Contact | None:
    said = objects.read_before(_before, event)
    if said is None:
        return None
    before, changed = said
    return Contact(
        (before.email or "") if "email" in changed else contact.email,
        (before.name or "") if "name" in changed else contact.name,
    )


def _with_profile(facts: Facts, profile: Profile) -> Facts:
    """The same facts where nothing is new, so that nothing is decided anew."""
    return facts if profile == facts.profile else replace(facts, profile=profile)
