"""Tells the customers agent's core a story, record by record, and says what came of it. For unit and property tests.

Each state goes through its JSON on the way, as it does in the changelog.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from functools import lru_cache

from processors import messages
from processors.catalogue.document import Parsed, parse
from processors.customer import Customer, CustomersState, advance, decode_customers_state, encode_customers_state
from processors.messages import Align, CatalogueApplied, CustomerChanged, DeadLetter, Enrol, Reconsider
from processors.record import Output, Record, Source, Topic
from tests import stripe_events as stripe
from tests.stripe_events import CUSTOMER, T0, Event, Shape

CATALOGUE = """
[account]
name = "Riverbend Press"
timezone = "America/New_York"

[tiers]
order = ["starter", "pro"]

[while.active]
tags = ["customer"]

[[offer]]
name = "Starter"
products = ["prod_Starter"]
tier = "starter"
[offer.while.active]
tags = ["starter-member"]
fields = { plan = "{offer.name}" }
[offer.when.purchased]
sequences = ["Welcome to Starter"]

[[offer]]
name = "Pro"
products = ["prod_Pro"]
tier = "pro"
[offer.while.active]
tags = ["pro-member", "{price.nickname}"]
fields = { plan = "{offer.name}", renews_on = "{period_end}", seats = "{quantity}" }
[offer.when.purchased]
sequences = ["Welcome to Pro"]
tags = ["bought-pro"]
fields = { paid = "{amount} {currency}" }

[[offer]]
name = "River Atlas"
payment_links = ["plink_Atlas"]
metadata = { offer = "atlas" }
[offer.while.owned]
tags = ["atlas-owner"]
[offer.when.purchased]
sequences = ["Atlas reader"]
"""


PRO = {"customer", "pro-member", "bought-pro"}
"""Tags of somebody who has bought Pro and is active."""


@lru_cache(maxsize=16)
def parsed(text: str) -> Parsed:
    return parse(text)


def bought_by_checkout(shape: Shape = Shape.CLASSIC, invoice_shape: Shape | None = None) -> list[Event]:
    """As Stripe usually sends it: created incomplete, paid, active, and the session last."""
    return [
        stripe.customer_created(created=T0),
        stripe.subscription_created(at=T0, status="incomplete", shape=shape),
        stripe.invoice_paid(at=T0 + 1, shape=invoice_shape or shape),
        stripe.invoice_payment_succeeded(at=T0 + 1, shape=invoice_shape or shape),
        stripe.subscription_updated(at=T0 + 1, previous={"status": "incomplete"}, shape=shape),
        stripe.subscription_session_completed(at=T0 + 2),
    ]


@dataclass
class Story:
    """`outputs` in order, as sent; `states` as the table holds them. Begins with a catalogue, unless told otherwise."""

    catalogue: str | None = CATALOGUE
    partition: int = 0
    states: dict[str, CustomersState] = field(default_factory=dict)
    records: list[Record] = field(default_factory=list)
    outputs: list[Output] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.catalogue is not None:
            self.apply(self.catalogue)

    def get(self, key: str) -> CustomersState | None:
        return self.states.get(key)

    def take(self, record: Record) -> "Story":
        self.records.append(record)
        advanced = advance(self, record)
        if advanced.state is not None:
            self.states[advanced.key] = decode_customers_state(encode_customers_state(advanced.state))
        for output in advanced.outputs:
            assert messages.encode(output.message)
        self.outputs += advanced.outputs
        return self

    def hear(self, *events: Event, key: str = CUSTOMER, later_days: float = 0) -> "Story":
        """Each event arrives a second after the one before, after `later_days`."""
        for event in events:
            self.take(self._record(key, stripe.as_bytes(event), later_days))
        return self

    def apply(self, text: str) -> "Story":
        catalogue = parsed(text)
        applied = CatalogueApplied(version=catalogue.version, document=catalogue.document)
        return self.take(self._record(f"catalogue:{self.partition}", messages.encode(applied)))

    def reconsider(self, text: str, key: str = CUSTOMER) -> "Story":
        return self.take(self._record(key, messages.encode(Reconsider(version=parsed(text).version))))

    def hear_bytes(self, value: bytes, key: str = CUSTOMER) -> "Story":
        return self.take(self._record(key, value))

    def _record(self, key: str, value: bytes, later_days: float = 0) -> Record:
        known_ms = max((record.received_ms for record in self.records), default=T0 * 1000)
        received_ms = known_ms + 1000 + int(later_days * stripe.DAY * 1000)
        offset = len(self.records)
        return Record(Topic.CUSTOMER_EVENTS, self.partition, offset, key.encode(), value, Source.WEBHOOK, received_ms)

    # --- what came of it ---------------------------------------------------------------------------------------

    def customer(self, key: str = CUSTOMER) -> Customer:
        state = self.states[key]
        assert isinstance(state, Customer)
        return state

    @property
    def aligns(self) -> list[Align]:
        return [output.message for output in self.outputs if isinstance(output.message, Align)]

    @property
    def enrols(self) -> list[Enrol]:
        return [output.message for output in self.outputs if isinstance(output.message, Enrol)]

    @property
    def sequences(self) -> list[str]:
        return [enrol.sequence for enrol in self.enrols]

    @property
    def changes(self) -> list[CustomerChanged]:
        return [output.message for output in self.outputs if isinstance(output.message, CustomerChanged)]

    @property
    def dispositions(self) -> list[str]:
        return [change.disposition for change in self.changes]

    @property
    def dead_letters(self) -> list[DeadLetter]:
        return [output.message for output in self.outputs if isinstance(output.message, DeadLetter)]

    def held(self) -> dict[str, tuple[set[str], dict[str, str]]]:
        """By email, what the latest Aligns say: tags, and fields with the value that stands."""
        latest: dict[str, Align] = {}
        for align in self.aligns:
            latest[align.email] = align
        held: dict[str, tuple[set[str], dict[str, str]]] = defaultdict(lambda: (set(), {}))
        for email, align in latest.items():
            ranked = sorted(align.fields, key=lambda wish: (wish.tier_rank, wish.period_end, wish.place))
            if align.tags or align.fields:
                held[email] = ({tag.name for tag in align.tags}, {wish.name: wish.value for wish in ranked})
        return dict(held)

    def tags(self, email: str = stripe.EMAIL) -> set[str]:
        return self.held().get(email, (set(), {}))[0]

    def fields(self, email: str = stripe.EMAIL) -> dict[str, str]:
        return self.held().get(email, (set(), {}))[1]
