"""What is known of a customer from Stripe: facts, never what a catalogue makes of them.

The folds (evolve.py) make new Facts of old ones and an event; wishes.py and moments.py read them. Each part grows in
one direction only, so that any order of the same events ends in the same facts (L1). They are kept as JSON in the
state, so they are small: only what a decision needs, and defaults left out.
"""

from enum import StrEnum

import msgspec

from processors.customer.lineage import Snapshot

# `omit_defaults` leaves out empty text, tuples and dicts only where msgspec sees that they are equal to the default,
# which for structs it does not: where a struct is optional its default is None, so that equal states have equal bytes.


class Contact(msgspec.Struct, frozen=True, omit_defaults=True):
    """An email and a name as one object told them; `at`: when that object was made, seconds."""

    email: str = ""
    name: str = ""
    at: int = 0


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who the customer is, by trust: the customer object, the latest Checkout session, the latest invoice
    (docs/design.md §4).

    A source of less trust stands in only for what those of more trust leave empty.
    """

    customer: tuple[Snapshot[Contact], ...] = ()
    session: Contact | None = None
    invoice: Contact | None = None
    deleted: bool = False

    @property
    def email(self) -> str:
        for contact in self._by_trust():
            if contact is not None and contact.email:
                return contact.email
        return ""

    @property
    def name(self) -> str:
        for contact in self._by_trust():
            if contact is not None and contact.name:
                return contact.name
        return ""

    def _by_trust(self) -> tuple[Contact | None, ...]:
        return self.customer[-1].content if self.customer else None, self.session, self.invoice


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of a subscription. `unit_amount_minor` None: tiered, the price alone does not tell."""

    price: str
    product: str = ""
    quantity: int = 1
    unit_amount_minor: int | None = None
    currency: str = ""
    period_end: int = 0
    nickname: str = ""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """A subscription as one event showed it. Seconds since the epoch; 0 for never."""

    status: str
    items: tuple[Item, ...] = ()
    started_at: int = 0
    cancel_at_period_end: bool = False
    cancel_at: int = 0
    canceled_at: int = 0
    ended_at: int = 0
    trial_start: int = 0
    trial_end: int = 0
    collection_paused: bool = False
    metadata: dict[str, str] = {}


class PaidLine(msgspec.Struct, frozen=True, array_like=True):
    """A regular line of a paid invoice: an item for one period."""

    price: str
    product: str
    quantity: int
    amount_minor: int
    period_start: int
    period_end: int
    nickname: str = ""


class PaidInvoice(msgspec.Struct, frozen=True, array_like=True):
    """`reason`: Stripe's `billing_reason`. `lines` only of those that may be a subscription's first payment."""

    paid_at: int
    amount_minor: int
    currency: str
    reason: str
    lines: tuple[PaidLine, ...] = ()

    @property
    def period_start(self) -> int:
        return min((line.period_start for line in self.lines), default=0)


class SoldBy(msgspec.Struct, frozen=True, omit_defaults=True):
    """The Checkout session that a subscription came from."""

    session: str
    payment_link: str = ""
    metadata: dict[str, str] = {}


class Subscription(msgspec.Struct, frozen=True, omit_defaults=True):
    """Everything known by a subscription's id, in whatever order it became known.

    `snapshots` is empty as long as only its invoices or its session have arrived. `started_unpaid`: no payment came in
    the first period that was to be paid, so that a later one may be its first.
    """

    snapshots: tuple[Snapshot[Terms], ...] = ()
    sold_by: SoldBy | None = None
    started_unpaid: bool = False
    invoices: dict[str, PaidInvoice] = {}

    @property
    def terms(self) -> Terms | None:
        return self.snapshots[-1].content if self.snapshots else None


class Payment(StrEnum):
    """Of a one-off purchase. CLEARED is final: what is paid stays paid (a refund is a fact of its own)."""

    PENDING = "pending"
    CLEARED = "cleared"


class OneOff(msgspec.Struct, frozen=True, omit_defaults=True):
    """A Checkout session in mode payment. `at`: when the event was made that told of `payment` first."""

    payment: Payment
    at: int
    amount_minor: int = 0
    currency: str = ""
    payment_link: str = ""
    payment_intent: str = ""
    metadata: dict[str, str] = {}


class Facts(msgspec.Struct, frozen=True, omit_defaults=True):
    """`subscriptions` by `sub_…`, `one_offs` by `cs_…`."""

    profile: Profile
    subscriptions: dict[str, Subscription] = {}
    one_offs: dict[str, OneOff] = {}
