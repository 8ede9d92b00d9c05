"""What we read of Stripe's objects: Structs of just those fields, whatever else is there is skipped unread.

Stripe sends one object in the shape of the API version that the endpoint is pinned to, and never rewrites it. Both
shapes are told apart by what is there, not by a version (each property says which fields it unites). A wrong type
raises `msgspec.ValidationError`, which names the path. Called by the folds, see evolve.py for the table.
"""

from typing import Annotated, TypeVar

import msgspec

from processors.ids import EventId

SECONDS_MAX = 253_402_214_399
"""The last second but one day of the year 9999: beyond it no date can be made of a timestamp in every time zone."""

MINOR_UNITS_MAX = 2**53
"""Stripe's amounts have eight digits at most; JSON numbers are exact up to here."""

Seconds = Annotated[int, msgspec.Meta(ge=0, le=SECONDS_MAX)]
MinorUnits = Annotated[int, msgspec.Meta(ge=-MINOR_UNITS_MAX, le=MINOR_UNITS_MAX)]
Quantity = Annotated[int, msgspec.Meta(ge=0, le=MINOR_UNITS_MAX)]
Metadata = dict[str, str | None]
"""Values are null only in `previous_attributes`, for a key that was not there before."""


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """All optional but what a subclass demands: Stripe leaves out, or sends null, whatever a version does not have."""


class Present(Read, frozen=True, kw_only=True):
    """An object of which only its presence is read."""


class Expanded(Read, frozen=True, kw_only=True):
    """An object in the place of its id, where the endpoint or a look-up expanded it."""

    id: str


Reference = str | Expanded | None


def id_of(reference: Reference) -> str:
    """Empty where there is none."""
    return reference.id if isinstance(reference, Expanded) else reference or ""


# --- events -----------------------------------------------------------------------------------------------------


class EventData(Read, frozen=True, kw_only=True):
    object: msgspec.Raw
    previous_attributes: msgspec.Raw = msgspec.Raw(b"null")


class Event(Read, frozen=True, kw_only=True):
    """`created` is in whole seconds and says little about order (facts of Stripe: it is neither unique nor sorted)."""

    id: EventId
    type: str
    created: Seconds
    livemode: bool = False
    account: str | None = None
    data: EventData


# --- customer ---------------------------------------------------------------------------------------------------


class CustomerBefore(Read, frozen=True, kw_only=True):
    """As `previous_attributes` tells it: only what has changed."""

    email: str | None = None
    name: str | None = None


class Customer(CustomerBefore, frozen=True, kw_only=True):
    id: str


# --- prices -----------------------------------------------------------------------------------------------------


class Price(Read, frozen=True, kw_only=True):
    """A price, or the plan it is the twin of (there `amount` stands for `unit_amount`). Tiered: no unit amount."""

    id: str
    product: Reference = None
    unit_amount: MinorUnits | None = None
    amount: MinorUnits | None = None
    currency: str | None = None
    nickname: str | None = None

    @property
    def unit_amount_minor(self) -> int | None:
        return self.unit_amount if self.unit_amount is not None else self.amount


# --- subscription -----------------------------------------------------------------------------------------------


class SubscriptionItem(Read, frozen=True, kw_only=True):
    price: Price | str | None = None
    plan: Price | str | None = None
    quantity: Quantity | None = None
    current_period_start: Seconds | None = None
    current_period_end: Seconds | None = None

    @property
    def sold(self) -> Price | None:
        price = self.price or self.plan
        return Price(id=price) if isinstance(price, str) else price


class SubscriptionItems(Read, frozen=True, kw_only=True):
    data: tuple[SubscriptionItem, ...] = ()


class SubscriptionBefore(Read, frozen=True, kw_only=True):
    """As `previous_attributes` tells it: only what has changed, a changed array whole."""

    status: str | None = None
    items: SubscriptionItems | None = None
    current_period_end: Seconds | None = None
    cancel_at_period_end: bool | None = None
    cancel_at: Seconds | None = None
    canceled_at: Seconds | None = None
    ended_at: Seconds | None = None
    trial_start: Seconds | None = None
    trial_end: Seconds | None = None
    pause_collection: Present | None = None
    metadata: Metadata | None = None


class Subscription(SubscriptionBefore, frozen=True, kw_only=True):
    """The period stands on the subscription, since 2025-03-31 on its items; where on both, the item's counts."""

    id: str
    status: str
    items: SubscriptionItems
    created: Seconds | None = None
    start_date: Seconds | None = None
    current_period_start: Seconds | None = None

    @property
    def period_start(self) -> int:
        """Of the item whose period began first; 0 where nothing tells."""
        starts = [item.current_period_start for item in self.items.data if item.current_period_start]
        return min(starts, default=self.current_period_start or 0)


# --- invoice ----------------------------------------------------------------------------------------------------


class Period(Read, frozen=True, kw_only=True):
    start: Seconds = 0
    end: Seconds = 0


class PriceDetails(Read, frozen=True, kw_only=True):
    price: Price | str | None = None
    product: Reference = None


class Pricing(Read, frozen=True, kw_only=True):
    price_details: PriceDetails | None = None


class LineOrigin(Read, frozen=True, kw_only=True):
    proration: bool | None = None


class LineParent(Read, frozen=True, kw_only=True):
    subscription_item_details: LineOrigin | None = None
    invoice_item_details: LineOrigin | None = None


class InvoiceLine(Read, frozen=True, kw_only=True):
    """Until 2025-03 `price`, `type` and `proration`; since then `pricing.price_details` and `parent`."""

    amount: MinorUnits = 0
    quantity: Quantity | None = None
    period: Period | None = None
    type: str | None = None
    proration: bool | None = None
    price: Price | str | None = None
    plan: Price | str | None = None
    pricing: Pricing | None = None
    parent: LineParent | None = None

    @property
    def sold(self) -> Price | None:
        details = self.pricing.price_details if self.pricing else None
        price = (details.price if details else None) or self.price or self.plan
        if not isinstance(price, str):
            return price
        return Price(id=price, product=details.product if details else None)

    @property
    def is_of_item(self) -> bool:
        """Of a subscription's item: nothing added to the invoice by hand."""
        if self.parent is not None:
            return self.parent.subscription_item_details is not None and self.parent.invoice_item_details is None
        return self.type != "invoiceitem"

    @property
    def is_regular(self) -> bool:
        """Of a subscription's item for a whole period: no proration."""
        item = self.parent.subscription_item_details if self.parent else None
        return self.is_of_item and not (item.proration if item else self.proration)


class InvoiceLines(Read, frozen=True, kw_only=True):
    data: tuple[InvoiceLine, ...] = ()


class SubscriptionDetails(Read, frozen=True, kw_only=True):
    subscription: Reference = None


class InvoiceParent(Read, frozen=True, kw_only=True):
    subscription_details: SubscriptionDetails | None = None


class StatusTransitions(Read, frozen=True, kw_only=True):
    paid_at: Seconds | None = None


class Invoice(Read, frozen=True, kw_only=True):
    id: str
    created: Seconds | None = None
    customer_email: str | None = None
    customer_name: str | None = None
    billing_reason: str | None = None
    amount_paid: MinorUnits = 0
    currency: str | None = None
    lines: InvoiceLines = InvoiceLines()
    status_transitions: StatusTransitions | None = None
    subscription: Reference = None
    parent: InvoiceParent | None = None

    @property
    def subscription_id(self) -> str:
        """`parent.subscription_details.subscription`, before 2025-03-31 `subscription`; empty for a manual one."""
        details = self.parent.subscription_details if self.parent else None
        return id_of(details.subscription if details else None) or id_of(self.subscription)


# --- checkout session -------------------------------------------------------------------------------------------


class CustomerDetails(Read, frozen=True, kw_only=True):
    email: str | None = None
    name: str | None = None


class CheckoutSession(Read, frozen=True, kw_only=True):
    """`customer_email` is not read: it is what the page was filled in with, not what the customer said."""

    id: str
    mode: str
    payment_status: str
    created: Seconds | None = None
    amount_total: MinorUnits | None = None
    currency: str | None = None
    customer_details: CustomerDetails | None = None
    payment_link: Reference = None
    payment_intent: Reference = None
    subscription: Reference = None
    metadata: Metadata | None = None


# --- reading ----------------------------------------------------------------------------------------------------

Object = TypeVar("Object", bound=Read)


def read(decoder: msgspec.json.Decoder[Object], event: Event) -> Object:
    """The event's object. Raises `msgspec.DecodeError`; where a type is wrong, with the path from the event's root."""
    return _decoded(decoder, event.data.object, "data.object")


def read_before(decoder: msgspec.json.Decoder[Object], event: Event) -> tuple[Object, frozenset[str]] | None:
    """`previous_attributes`, and the names of those that changed: null is a value there. None: nothing is said."""
    raw = event.data.previous_attributes
    changed = _decoded(_changed, raw, "data.previous_attributes")
    if not changed:
        return None
    return _decoded(decoder, raw, "data.previous_attributes"), frozenset(changed)


def metadata_of(metadata: Metadata | None) -> dict[str, str]:
    return {key: value for key, value in metadata.items() if value is not None} if metadata else {}


_changed = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
Decoded = TypeVar("Decoded")


def _decoded(decoder: msgspec.json.Decoder[Decoded], raw: msgspec.Raw, root: str) -> Decoded:
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise msgspec.ValidationError(str(error).replace("`$", f"`$.{root}")) from error
