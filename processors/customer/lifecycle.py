"""The life of a subscription: folds customer.subscription.created, .updated and .deleted, and says what is active.

Called by evolve.py with each such event, by wishes.py to ask what a subscription gives its customer a right to.
"""

from enum import IntEnum

import msgspec
from msgspec.structs import replace

from processors.customer import objects
from processors.customer.facts import Facts, Item, Subscription, Terms
from processors.customer.lineage import Snapshot, merged, snapshot
from processors.customer.objects import Event


class Phase(IntEnum):
    """A subscription's life. It moves down this list only, so a snapshot of a later phase is the later one:

    - the snapshot of its creation is the first of all, whenever it arrives;
    - what has left `incomplete` never comes back to it;
    - among live snapshots, lineage.merged finds the latest;
    - `canceled` and `incomplete_expired` are final, and so is everything that has an `ended_at` or was deleted.
    """

    STARTING = 0
    BORN = 1
    LIVE = 2
    OVER = 3


PHASES = {
    "incomplete": Phase.STARTING,
    "trialing": Phase.LIVE,
    "active": Phase.LIVE,
    "past_due": Phase.LIVE,
    "unpaid": Phase.LIVE,
    "paused": Phase.LIVE,
    "canceled": Phase.OVER,
    "incomplete_expired": Phase.OVER,
}
"""By Stripe's status. One we do not know yet is live (it may change again), and not active."""

BEHIND = frozenset({"past_due", "unpaid", "paused"})
"""Statuses in which a payment did not come when it was due."""

FIRST_PERIOD_SLACK_SECONDS = 3600
"""The first paid period begins where the trial ended; an hour allows for a trial that is ended by hand."""

CREATED, DELETED = "customer.subscription.created", "customer.subscription.deleted"

_subscription = msgspec.json.Decoder(objects.Subscription)
_before = msgspec.json.Decoder(objects.SubscriptionBefore)
_READ = frozenset(objects.SubscriptionBefore.__struct_fields__)


def fold_subscription(facts: Facts, event: Event) -> Facts:
    read = objects.read(_subscription, event)
    new = _snapshot(event, read)
    known = facts.subscriptions.get(read.id) or Subscription()
    changed = replace(
        known,
        snapshots=merged(known.snapshots, new),
        started_unpaid=known.started_unpaid or _started_unpaid(new.content, read.period_start),
    )
    if changed == known:
        return facts
    return replace(facts, subscriptions={**facts.subscriptions, read.id: changed})


def is_active(terms: Terms, *, trial_is_active: bool, past_due_is_active: bool) -> bool:
    """docs/interfaces.md §7: canceling and a paused collection are active; incomplete, unpaid, truly paused are not."""
    match terms.status:
        case "active":
            return True
        case "trialing":
            return trial_is_active
        case "past_due":
            return past_due_is_active
        case _:
            return False


def _started_unpaid(terms: Terms, period_start: int) -> bool:
    """Behind while the current period is still the trial, or the first one to be paid."""
    first = terms.trial_end or terms.started_at
    return terms.status in BEHIND and 0 < period_start <= first + FIRST_PERIOD_SLACK_SECONDS


def _snapshot(event: Event, read: objects.Subscription) -> Snapshot[Terms]:
    terms = _terms(read)
    if event.type == DELETED and terms.status != "canceled":
        terms = replace(terms, status="canceled")
    before = _read_before(event, read)
    return snapshot(event.created, _phase(event, terms), terms, _terms(before) if before else None)


def _phase(event: Event, terms: Terms) -> Phase:
    phase = Phase.OVER if terms.ended_at or event.type == DELETED else PHASES.get(terms.status, Phase.LIVE)
    return Phase.BORN if phase is Phase.LIVE and event.type == CREATED else phase


def _read_before(event: Event, read: objects.Subscription) -> objects.Subscription | None:
    """The subscription with its `previous_attributes` put back; of metadata they name only the keys that changed."""
    said = objects.read_before(_before, event)
    if said is None:
        return None
    before, changed = said
    values = {name: getattr(before, name) for name in changed & _READ}
    if before.metadata is not None:
        values["metadata"] = {**(read.metadata or {}), **before.metadata}
    return replace(read, **values)


def _terms(read: objects.Subscription) -> Terms:
    return Terms(
        status=read.status,
        items=tuple(_item(item, read) for item in read.items.data) if read.items else (),
        started_at=read.start_date or read.created or 0,
        cancel_at_period_end=bool(read.cancel_at_period_end),
        cancel_at=read.cancel_at or 0,
        canceled_at=read.canceled_at or 0,
        ended_at=read.ended_at or 0,
        trial_start=read.trial_start or 0,
        trial_end=read.trial_end or 0,
        collection_paused=read.pause_collection is not None,
        metadata=objects.metadata_of(read.metadata),
    )


def _item(item: objects.SubscriptionItem, read: objects.Subscription) -> Item:
    price = item.sold
    period_end = item.current_period_end or read.current_period_end or 0
    quantity = 1 if item.quantity is None else item.quantity
    if price is None:
        return Item("", quantity=quantity, period_end=period_end)
    return Item(
        price=price.id,
        product=objects.id_of(price.product),
        quantity=quantity,
        unit_amount_minor=price.unit_amount_minor,
        currency=price.currency or "",
        period_end=period_end,
        nickname=price.nickname or "",
    )
