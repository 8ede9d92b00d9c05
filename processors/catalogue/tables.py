"""The whole catalogue as people write it, table by table, strict: an unknown key or a wrong type is a fault.

docs/interfaces.md §6 says what each word means; the descriptions here are what editors show (schema.py). document.py
validates a file by `Document`, compilation.py a record of the log. A later version may add keys, with a default that
keeps the meaning of catalogues applied before, but never refuse what was once applied: the log is read again from its
start.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from processors.catalogue.words import (
    ONE_OR_MORE,
    Amount,
    ClockTime,
    Currency,
    Name,
    Reference,
    Timezone,
    Url,
)

DAYS_MAX = 36_500
"""A hundred years: more is a slip of the finger."""
COUNT_MAX = 1_000_000


class Table(BaseModel):
    """`noun`: what an unknown key of this table is called in a message."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, validate_by_name=False, validate_by_alias=True)
    noun: ClassVar[str] = "key"


# --- what rules give ----------------------------------------------------------------------------------------------

Tags = Annotated[list[Reference], Field(description="Tags, by name (placeholders are filled in) or Kit's id.")]
Sequences = Annotated[list[Reference], Field(description="Sequences to enrol in, by name or Kit's id.")]
Signals = Annotated[
    list[Reference], Field(description="Tags given anew each time, so that a Kit automation starts again.")
]
Fields = Annotated[dict[Name, str], Field(description="Custom fields: label = value; placeholders are filled in.")]
Days = Annotated[int, Field(ge=0, le=DAYS_MAX)]
Count = Annotated[int, Field(ge=1, le=COUNT_MAX)]


class WhileTable(Table):
    """Held as long as the state holds, and taken back when it ends."""

    tags: Tags = []
    fields: Fields = {}


class WhenTable(Table):
    """Done once for each occurrence of the moment whose conditions hold."""

    sequences: Sequences = []
    deliveries: Annotated[list[Name], Field(description="Names of [[delivery]] tables.")] = []
    tags: Tags = []
    signals: Signals = []
    fields: Fields = {}
    after_days_min: Annotated[Days | None, Field(description="Days since the subscription's start, at least.")] = None
    after_days_max: Annotated[Days | None, Field(description="Days since the subscription's start, at most.")] = None
    renewals_min: Annotated[Count | None, Field(description="Renewals, this one included, at least.")] = None
    renewals_max: Annotated[Count | None, Field(description="Renewals, this one included, at most.")] = None
    to_tier: Annotated[Name | None, Field(description="The tier moved to.")] = None
    from_tier: Annotated[Name | None, Field(description="The tier moved from.")] = None
    reason: Annotated[
        Literal["requested", "payment_failed", "payment_disputed", "other"] | None,
        Field(description="Why the subscription ended."),
    ] = None
    was_paid: Annotated[bool | None, Field(description="Whether anything was ever paid.")] = None


Whenever = Annotated[list[WhenTable], *ONE_OR_MORE]


class Whiles(Table):
    """What holds as long as a state holds."""

    noun: ClassVar[str] = "state"
    active: Annotated[WhileTable | None, Field(description="A subscription is active (see [entitlement]).")] = None
    trialing: Annotated[WhileTable | None, Field(description="A trial is running.")] = None
    past_due: Annotated[WhileTable | None, Field(description="A payment is overdue.")] = None
    canceling: Annotated[WhileTable | None, Field(description="It will end at the period's end.")] = None
    paused: Annotated[WhileTable | None, Field(description="Stripe's status is paused.")] = None
    ended: Annotated[WhileTable | None, Field(description="It was active, and nothing is any more.")] = None
    owned: Annotated[WhileTable | None, Field(description="A one-off is paid, not refunded, not disputed away.")] = None


class Whens(Table):
    """What happens at a moment."""

    noun: ClassVar[str] = "moment"
    purchased: Annotated[Whenever, Field(description="The first cleared payment.")] = []
    renewed: Annotated[Whenever, Field(description="A paid cycle that is not the first payment.")] = []
    upgraded: Annotated[Whenever, Field(description="A move to a higher tier within one subscription.")] = []
    downgraded: Annotated[Whenever, Field(description="A move to a lower tier within one subscription.")] = []
    canceled: Annotated[Whenever, Field(description="A subscription that was active has ended.")] = []
    refunded: Annotated[Whenever, Field(description="A payment was refunded in full.")] = []
    partly_refunded: Annotated[Whenever, Field(description="The first partial refund of a payment.")] = []
    disputed: Annotated[Whenever, Field(description="A dispute was opened.")] = []
    payment_failed: Annotated[Whenever, Field(description="Passing, without tags: dunning begins.")] = []
    recovered: Annotated[Whenever, Field(description="Passing, without tags: dunning ended in payment.")] = []
    cancel_scheduled: Annotated[Whenever, Field(description="Passing, without tags: it is going to end.")] = []
    resumed: Annotated[Whenever, Field(description="Passing, without tags: a pause or a cancellation is over.")] = []


# --- the account --------------------------------------------------------------------------------------------------


class Account(Table):
    timezone: Annotated[Timezone, Field(description="Months, dates and the report are counted here.")] = "UTC"
    name: Annotated[str, Field(description="The account's name, for the report.")] = ""
    portal_url: Annotated[Url | None, Field(description="Stripe's customer portal; fills {portal.url}.")] = None


class Subscribers(Table):
    create_as: Annotated[
        Literal["active", "inactive"], Field(description="Kit's state of a new subscriber; inactive: double opt-in.")
    ] = "active"
    create_missing: Annotated[bool, Field(description="Create tags and fields that Kit does not have yet.")] = True
    stripe_customer_id_field: Annotated[
        Name, Field(description="The custom field that holds Stripe's customer id.")
    ] = "stripe_customer_id"
    on_mismatch: Annotated[
        Literal["review", "follow_stripe", "keep_kit"], Field(description="Who wins when the emails differ.")
    ] = "review"


class Entitlement(Table):
    trial_is_active: Annotated[bool, Field(description="A trial counts as active.")] = True
    past_due_is_active: Annotated[bool, Field(description="An overdue subscription counts as active.")] = True


class Tiers(Table):
    order: Annotated[list[Name], Field(description="The tiers' names, lowest first.")] = []


# --- offers and milestones ----------------------------------------------------------------------------------------


class OfferTable(Table):
    """A line belongs to one offer: by price, else payment link, else metadata, else product; the first that matches."""

    name: Annotated[Name, Field(description="The offer's name, each once.")]
    products: Annotated[list[Name], Field(description="Stripe's prod_… ids.")] = []
    prices: Annotated[list[Name], Field(description="Stripe's price_… ids.")] = []
    payment_links: Annotated[list[Name], Field(description="Stripe's plink_… ids.")] = []
    metadata: Annotated[dict[Name, str], Field(description="All of these in a session's or payment's metadata.")] = {}
    tier: Annotated[Name | None, Field(description="One of [tiers] order.")] = None
    whiles: Annotated[Whiles, Field(alias="while", description="For this offer.")] = Whiles()
    whens: Annotated[Whens, Field(alias="when", description="For this offer.")] = Whens()


class LifetimeValue(Table):
    amount: Annotated[Amount, Field(description="A plain decimal in quotes.")]
    currency: Annotated[Currency, Field(description="As Stripe writes it: usd.")]


class Milestone(Table):
    """Exactly one of `after_days`, `payments`, `lifetime_value` says when it is reached."""

    name: Annotated[Name, Field(description="The milestone's name, each once.")]
    after_days: Annotated[int | None, Field(ge=1, le=DAYS_MAX, description="Days of being active without a break.")] = (
        None
    )
    payments: Annotated[Count | None, Field(description="Cleared payments above 0.")] = None
    lifetime_value: Annotated[LifetimeValue | None, Field(description="Cleared minus money back.")] = None
    offers: Annotated[list[Name], Field(description="Only these offers count.")] = []
    tiers: Annotated[list[Name], Field(description="Only these tiers count.")] = []
    keep: Annotated[bool, Field(description="Keep what it gave after leaving.")] = True
    late_days_max: Annotated[Days, Field(description="Later than this: no sequences, no signals.")] = 7
    break_days_max: Annotated[Days, Field(description="Breaks up to this long do not count as breaks.")] = 0
    tags: Tags = []
    sequences: Sequences = []
    signals: Signals = []
    fields: Fields = {}


# --- deliveries ---------------------------------------------------------------------------------------------------


class _Delivery(Table):
    name: Annotated[Name, Field(description="The delivery's name, each once.")]
    field: Annotated[Name | None, Field(description="The custom field that receives the link or code.")] = None
    on_dispute: Annotated[Literal["suspend", "keep"], Field(description="What an open dispute does to it.")] = "suspend"


class LinkDelivery(_Delivery):
    """The same link for everyone."""

    kind: Literal["link"]
    url: Annotated[Url, Field(description="The link.")]


class CodeDelivery(_Delivery):
    """Each buyer gets the next unused code of the pool that has this delivery's name."""

    kind: Literal["code"]
    codes_file: Annotated[
        Name | None, Field(description="One code a line, relative to the catalogue; else `millrace codes add`.")
    ] = None
    low_water: Annotated[int, Field(ge=0, le=COUNT_MAX, description="Warn when fewer are left.")] = 10


class SignedLinkDelivery(_Delivery):
    """A link of our own edge that expires and can be revoked."""

    kind: Literal["signed_link"]
    target: Annotated[Url, Field(description="Where the link leads.")]
    expires_days: Annotated[int, Field(ge=1, le=DAYS_MAX, description="Valid for so long.")] = 30


class GeneratedDelivery(_Delivery):
    """A random access code, made for each buyer."""

    kind: Literal["generated"]


Delivery = Annotated[LinkDelivery | CodeDelivery | SignedLinkDelivery | GeneratedDelivery, Field(discriminator="kind")]


# --- the rest -----------------------------------------------------------------------------------------------------


class Reverse(Table):
    """From Kit to Stripe: a tag that makes a Stripe customer, or what of a subscriber Stripe is to follow."""

    tag: Annotated[Reference | None, Field(description="Given in Kit: the Stripe customer is created or found.")] = None
    metadata: Annotated[dict[Name, str], Field(description="Metadata of a customer created so.")] = {}
    sync: Annotated[list[Literal["email", "name"]], Field(description="Kit's changes that Stripe follows.")] = []


class Purchases(Table):
    record: Annotated[bool, Field(description="Record purchases in Kit; needs OAuth.")] = False


class Report(Table):
    """The monthly report to stakeholders, a Kit broadcast to one tag."""

    enabled: Annotated[bool, Field(description="Make it each month.")] = False
    day: Annotated[int, Field(ge=1, le=28, description="Day of the month; every month has up to 28.")] = 1
    time: Annotated[ClockTime, Field(description="In the account's time zone.")] = "08:00"
    to_tag: Annotated[Reference | None, Field(description="Who gets it: the holders of this tag.")] = None
    subject: Annotated[Name, Field(description="May hold {account.name} and {month}.")] = "{account.name}: {month}"
    approval: Annotated[bool, Field(description="A person approves before it is scheduled.")] = True


class Reconcile(Table):
    every_hours: Annotated[int, Field(ge=1, le=24 * 31, description="Compare Kit with what should be there.")]


class Document(Table):
    """What each Stripe product means in Kit."""

    noun: ClassVar[str] = "table"
    account: Account = Account()
    subscribers: Subscribers = Subscribers()
    entitlement: Entitlement = Entitlement()
    tiers: Tiers = Tiers()
    whiles: Annotated[Whiles, Field(alias="while", description="For the customer as a whole.")] = Whiles()
    whens: Annotated[Whens, Field(alias="when", description="For the customer as a whole.")] = Whens()
    offer: list[OfferTable] = []
    milestone: list[Milestone] = []
    delivery: list[Delivery] = []
    reverse: list[Reverse] = []
    purchases: Purchases | None = None
    report: Report | None = None
    reconcile: Reconcile | None = None
