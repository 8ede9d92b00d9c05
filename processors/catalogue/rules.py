"""The catalogue as the core decides by it: frozen values, compiled once per version from the validated document.

Built by compilation.py beside this, read by processors/customer. docs/interfaces.md §6 and §7 say what each word
means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from processors.ids import CatalogueVersion


class State(StrEnum):
    """What may hold for as long as it holds (`while.*`)."""

    ACTIVE = "active"
    TRIALING = "trialing"
    PAST_DUE = "past_due"
    CANCELING = "canceling"
    PAUSED = "paused"
    ENDED = "ended"
    OWNED = "owned"


class Moment(StrEnum):
    """What happens once per occurrence (`when.*`)."""

    PURCHASED = "purchased"
    RENEWED = "renewed"
    UPGRADED = "upgraded"
    DOWNGRADED = "downgraded"
    CANCELED = "canceled"
    REFUNDED = "refunded"
    PARTLY_REFUNDED = "partly_refunded"
    DISPUTED = "disputed"
    PAYMENT_FAILED = "payment_failed"
    RECOVERED = "recovered"
    CANCEL_SCHEDULED = "cancel_scheduled"
    RESUMED = "resumed"


PASSING = frozenset({Moment.PAYMENT_FAILED, Moment.RECOVERED, Moment.CANCEL_SCHEDULED, Moment.RESUMED})
RECURRING = frozenset(
    {Moment.RENEWED, Moment.PAYMENT_FAILED, Moment.RECOVERED, Moment.CANCEL_SCHEDULED, Moment.RESUMED}
)


@dataclass(frozen=True, slots=True)
class WhileRule:
    """Tags and fields (label → value, placeholders unfilled) that hold as long as the state does."""

    tags: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that are set must hold; None: not asked."""

    after_days_min: int | None = None
    after_days_max: int | None = None
    renewals_min: int | None = None
    renewals_max: int | None = None
    to_tier: str | None = None
    from_tier: str | None = None
    reason: str | None = None
    was_paid: bool | None = None


@dataclass(frozen=True, slots=True)
class WhenRule:
    """What one moment causes, where its conditions hold."""

    sequences: tuple[str, ...] = ()
    deliveries: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    signals: tuple[str, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict)
    conditions: Conditions = field(default_factory=Conditions)


@dataclass(frozen=True, slots=True)
class Offer:
    """One `[[offer]]`. `place` counts from 1 down the file; `tier_rank` from 1 for the lowest tier, 0 for none."""

    name: str
    place: int
    products: frozenset[str]
    prices: frozenset[str]
    payment_links: frozenset[str]
    metadata: Mapping[str, str]
    tier: str | None
    tier_rank: int
    whiles: Mapping[State, WhileRule]
    whens: Mapping[Moment, tuple[WhenRule, ...]]


class Line(msgspec.Struct, frozen=True):
    """What is known of something sold: an item of a subscription, an invoice line, a session, a payment."""

    price: str | None = None
    product: str | None = None
    payment_link: str | None = None
    metadata: Mapping[str, str] = {}


@dataclass(frozen=True, slots=True)
class Catalogue:
    """`create_as`, `create_missing`, …: `[subscribers]`; the two `…_is_active`: `[entitlement]`."""

    version: CatalogueVersion
    account_name: str
    timezone: str
    create_as: str
    create_missing: bool
    stripe_customer_id_field: str
    trial_is_active: bool
    past_due_is_active: bool
    whiles: Mapping[State, WhileRule]
    whens: Mapping[Moment, tuple[WhenRule, ...]]
    offers: tuple[Offer, ...]
    portal_url: str = ""

    def sequence_names(self) -> frozenset[str]:
        """Every sequence, by name or id, that some rule enrols in."""
        scopes = (self.whens, *(offer.whens for offer in self.offers))
        return frozenset(
            name for whens in scopes for rules in whens.values() for rule in rules for name in rule.sequences
        )

    def offer_of(self, line: Line) -> Offer | None:
        """By price, else payment link, else metadata, else product; the first in the file where several match."""
        for matches in (_by_price, _by_payment_link, _by_metadata, _by_product):
            for offer in self.offers:
                if matches(offer, line):
                    return offer
        return None


def _by_price(offer: Offer, line: Line) -> bool:
    return line.price in offer.prices


def _by_payment_link(offer: Offer, line: Line) -> bool:
    return line.payment_link in offer.payment_links


def _by_metadata(offer: Offer, line: Line) -> bool:
    return bool(offer.metadata) and offer.metadata.items() <= line.metadata.items()


def _by_product(offer: Offer, line: Line) -> bool:
    return line.product in offer.products
