"""A record of the log as the core sees it, what a step makes of it, and the shape that every step has.

The shell (streams/transactions) reads records, calls a step for each, and commits what comes back: the one state
written, the outputs and the consumed offset, together or not at all (docs/design.md §2).
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

import msgspec

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Source(StrEnum):
    """Header `source`: where a record, or the one that caused it, came from."""

    WEBHOOK = "webhook"
    BACKFILL = "backfill"
    LOOKUP = "lookup"
    TICK = "tick"
    REPLAY = "replay"
    KIT = "kit"


class Topic(StrEnum):
    """Every topic by its name without the prefix (docs/interfaces.md §5)."""

    CUSTOMER_EVENTS = "customer.events"
    PAYMENT_EVENTS = "payment.events"
    SUBSCRIBER_EVENTS = "subscriber.events"
    CUSTOMER_CHANGES = "customer.changes"
    CUSTOMER_MONTHS = "customer.months"
    CATALOGUE_EVENTS = "catalogue.events"
    SYSTEM_EVENTS = "system.events"
    STRIPE_COMMANDS = "stripe.commands"
    POOL_EVENTS = "pool.events"
    STRIPE_OTHER = "stripe.other"
    DEAD_LETTERS = "dead.letters"


class Record(msgspec.Struct, frozen=True):
    """One record as read: `offset` in its topic and partition, `received_ms` since the epoch, value as raw bytes."""

    topic: Topic
    partition: int
    offset: int
    key: bytes
    value: bytes
    source: Source
    received_ms: int


class Output(msgspec.Struct, frozen=True):
    """A message to send, to its key's partition. It inherits `source` and `received_ms` of the record that caused it
    (L4: no clock is read).
    """

    topic: Topic
    key: str
    message: msgspec.Struct


class Advanced(msgspec.Struct, Generic[S], frozen=True):
    """What one record makes: at most one key of the table is written (`state` None: nothing is), outputs in order."""

    key: str
    state: S | None
    outputs: tuple[Output, ...] = ()


class View(Protocol[S_co]):
    """The table as a step sees it: its own earlier writes, also those of the open transaction."""

    def get(self, key: str) -> S_co | None: ...


Step = Callable[[View[S], Record], Advanced[S]]
"""Pure. It never raises for what a record holds: what cannot be read becomes a `DeadLetter` output."""
