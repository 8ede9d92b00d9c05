"""Who a customer is: folds customer.created, .updated and .deleted, and the email that other objects bring along.

The customer object is trusted most, then Checkout sessions, then invoices (docs/design.md §4): see `facts.Profile`.
"""

import msgspec
from msgspec.structs import replace

from processors.customer import objects
from processors.customer.facts import Facts, Profile, Said
from processors.customer.lineage import merged, version
from processors.customer.objects import Event

_customer = msgspec.json.Decoder(objects.Customer)
_before = msgspec.json.Decoder(objects.CustomerBefore)

CREATED, UPDATED = 0, 1
"""Phases of a customer object: the event that creates it is its first, whenever it arrives."""


def fold_customer(facts: Facts, event: Event) -> Facts:
    customer = objects.read(_customer, event)
    says = Said(customer.email or "", customer.name or "")
    phase = CREATED if event.type == "customer.created" else UPDATED
    new = version(event.created, phase, says, _said_before(event, says))
    return _with_profile(facts, replace(facts.profile, customer=merged(facts.profile.customer, new)))


def fold_deleted_customer(facts: Facts, event: Event) -> Facts:
    """Deleted is final. What the customer was called is still worth knowing: tags have to be taken back from it."""
    customer = objects.read(_customer, event)
    profile = replace(facts.profile, deleted=True)
    if customer.email:
        says = Said(customer.email, customer.name or "")
        profile = replace(profile, customer=merged(profile.customer, version(event.created, UPDATED, says, None)))
    return _with_profile(facts, profile)


def with_session(facts: Facts, said: Said) -> Facts:
    return _with_profile(facts, replace(facts.profile, session=_later(facts.profile.session, said)))


def with_invoice(facts: Facts, said: Said) -> Facts:
    return _with_profile(facts, replace(facts.profile, invoice=_later(facts.profile.invoice, said)))


def _later(known: Said | None, said: Said) -> Said | None:
    """The later one that names an email; of two of one second, always the same."""
    if not said.email:
        return known
    if known is None:
        return said
    return max(known, said, key=lambda each: (each.at, each.email, each.name))


def _said_before(event: Event, says: Said) -> Said | None:
    said = objects.read_before(_before, event)
    if said is None:
        return None
    before, changed = said
    return Said(
        (before.email or "") if "email" in changed else says.email,
        (before.name or "") if "name" in changed else says.name,
    )


def _with_profile(facts: Facts, profile: Profile) -> Facts:
    """The same facts where nothing is new, so that nothing is decided anew."""
    return facts if profile == facts.profile else replace(facts, profile=profile)
