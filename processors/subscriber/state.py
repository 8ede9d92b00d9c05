"""What is kept of a subscriber in the `subscribers` table: what is wished, what Kit is known to hold, what is left.

Written by step.py, read by plan.py and by the status. Equal states have equal bytes (L4): dicts are encoded sorted,
and only what msgspec compares by value is left out where it is the default (text and structs it compares by identity).
"""

from enum import StrEnum

import msgspec

from processors.ids import CatalogueVersion, CommandId, CustomerKey
from processors.messages import FieldWish, Intent, TagWish

NEVER_ENROLLED = frozenset({"cancelled", "bounced", "complained"})
"""Kit's states of people who must get no mail; their tags and fields go on (docs/facts/kit.md, trap 4)."""


class CustomerWishes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One customer's latest Align; `version` orders it against those that came before and after."""

    version: int
    catalogue: CatalogueVersion
    create_as: str
    create_missing: bool
    tags: tuple[TagWish, ...] = ()
    fields: tuple[FieldWish, ...] = ()


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """An Enrol that is not done yet. `asked_ms`: its log time."""

    id: CommandId
    sequence: str
    rule: str
    create_as: str = "active"
    asked_ms: int = 0


class Holding(StrEnum):
    """Of a tag we gave. UNKNOWN: nobody knows whether the last request for it, either way, was carried out."""

    HELD = "held"
    UNKNOWN = "unknown"


class Known(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What Kit holds of what we gave. `id`, `state`: as Kit last said.

    `tags` by case-folded name, since Kit matches names without regard to case; one that is missing was never given or
    has been taken back. `fields` by label: the value we set, None where that is unknown.
    """

    id: int | None = None
    state: str | None = None
    tags: dict[str, Holding] = {}
    fields: dict[str, str | None] = {}


class Subscriber(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`revision` grows with each fold that changes what may be planned; an intent planned on another one is refused.

    `done`: the ledger of commands that are over (processors/id_set.py), kept for good. `parked`: what Kit or the
    catalogue refuses, by `parked_key`, in words for people; left out of every plan until there is a new wish.
    `attempts`: ambiguous outcomes in a row; nothing is planned before `retry_ms`. `backfill`: all that is pending was
    asked for by history. `absent`: Kit answered 404 for it since a tag or sequence last succeeded. `told_ms`: the
    log time at which Kit last told its state; 0: never.
    """

    email: str
    known: Known
    revision: int = 0
    last_offset: int = -1
    wishes: dict[CustomerKey, CustomerWishes] = {}
    commands: tuple[Command, ...] = ()
    done: bytes = b""
    intent: Intent | None = None
    parked: dict[str, str] = {}
    attempts: int = 0
    retry_ms: int = 0
    backfill: bool = False
    absent: bool = False
    told_ms: int = 0


_encoder = msgspec.json.Encoder(order="deterministic")
encode_subscriber = _encoder.encode
decode_subscriber = msgspec.json.Decoder(Subscriber).decode
