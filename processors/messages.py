"""What Millrace itself writes into the log: JSON with a `type` and a `schema` number (docs/interfaces.md §5).

Events are in the past tense, commands imperative. `encode` and the decoders are the only way in and out; a value that
does not fit raises `msgspec.ValidationError`, which names the path (the caller makes a dead letter of it).
"""

from typing import Any, Literal

import msgspec

from processors.ids import CatalogueVersion, CommandId, CustomerKey, EventId, IntentId


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    schema: int = 1

    def __post_init__(self) -> None:
        if self.schema != 1:
            raise ValueError(f"schema {self.schema} is newer than this Millrace reads (1)")


# --- customer.events ------------------------------------------------------------------------------------------


class CatalogueApplied(Message, frozen=True, kw_only=True, tag="catalogue_applied"):
    """One in every partition of customer.events (key `catalogue:PARTITION`), and one in catalogue.events.

    `document` is the catalogue as validated plain data; `version` its SHA-256.
    """

    version: CatalogueVersion
    document: dict[str, Any]


class Reconsider(Message, frozen=True, kw_only=True, tag="reconsider"):
    """Asks a customer to decide anew under the catalogue of this version, which precedes it in its partition."""

    version: CatalogueVersion


class CustomersReconsidered(Message, frozen=True, kw_only=True, tag="customers_reconsidered"):
    """Every customer of this partition has decided anew under this catalogue (key `catalogue:PARTITION`)."""

    version: CatalogueVersion


CustomerMessage = CatalogueApplied | CustomersReconsidered | Reconsider
"""Everything in customer.events that is not a raw Stripe event."""


# --- subscriber.events ----------------------------------------------------------------------------------------


class TagWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A tag that a customer wants its subscriber to hold, and why: `rule` as `offer 'Pro' while.active`.

    `tier_rank`: 0 for none, else 1 for the lowest; `period_end`: seconds since the epoch, 0 where there is none;
    `place`: the offer's place in the file, top-level rules 0. The last three settle conflicts (docs/interfaces.md §6).
    """

    name: str
    rule: str
    state: str = ""
    tier_rank: int = 0
    period_end: int = 0
    place: int = 0


class FieldWish(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A custom field (its label) and the value it should have; the rest as in TagWish."""

    name: str
    value: str
    rule: str
    state: str = ""
    tier_rank: int = 0
    period_end: int = 0
    place: int = 0


class Align(Message, frozen=True, kw_only=True, tag="align"):
    """Everything `customer` wants its subscriber to hold; replaces every Align of that customer with a lower version.

    `version` is the offset in customer.events that it was decided at. `create_as`: Kit's state for a new subscriber;
    `create_missing`: whether tags and fields that Kit lacks are created.
    """

    customer: CustomerKey
    email: str
    version: int
    tags: tuple[TagWish, ...] = ()
    fields: tuple[FieldWish, ...] = ()
    create_as: str = "active"
    create_missing: bool = True
    catalogue: CatalogueVersion


class Enrol(Message, frozen=True, kw_only=True, tag="enrol"):
    """Add the subscriber to a sequence, once for this id, whatever comes again.

    `create_as`: Kit's state for a subscriber that is new, and of whom nothing else is wished.
    """

    id: CommandId
    customer: CustomerKey
    email: str
    sequence: str
    rule: str
    create_as: str = "active"
    catalogue: CatalogueVersion


class Upsert(msgspec.Struct, frozen=True, tag="upsert", tag_field="request", kw_only=True, omit_defaults=True):
    """POST /v4/subscribers. `fields`: Kit's field key → value, at most ten (more make Kit answer 202, later).

    `labels`: the same by label, as wished; what is known to be held is kept by label.
    """

    email: str
    create_as: str
    fields: dict[str, str] = {}
    labels: dict[str, str] = {}


class AddTag(msgspec.Struct, frozen=True, tag="add_tag", tag_field="request", kw_only=True):
    """POST /v4/tags/{tag_id}/subscribers."""

    email: str
    name: str
    tag_id: int


class RemoveTag(msgspec.Struct, frozen=True, tag="remove_tag", tag_field="request", kw_only=True):
    """DELETE /v4/tags/{tag_id}/subscribers/{subscriber_id}."""

    subscriber_id: int
    name: str
    tag_id: int


class AddToSequence(msgspec.Struct, frozen=True, tag="add_to_sequence", tag_field="request", kw_only=True):
    """POST /v4/sequences/{sequence_id}/subscribers, for the command with this id."""

    email: str
    sequence_id: int
    command: CommandId


Request = Upsert | AddTag | RemoveTag | AddToSequence
"""One call to Kit, with Kit's ids. All four may be repeated without harm (docs/facts/kit.md §2)."""


class Intent(Message, frozen=True, kw_only=True, tag="intent"):
    """The dispatcher wants to make these requests. They are made only once the agent has folded this record.

    `revision` is the subscriber's revision it was planned on: a different one refuses the intent. `lane` names the one
    hold of the partition it was planned in: only that one may make the requests. `planned_ms` is for the budget alone.
    """

    id: IntentId
    revision: int
    lane: str
    requests: tuple[Request, ...]
    planned_ms: int


class Done(msgspec.Struct, frozen=True, tag="done", tag_field="result", kw_only=True, omit_defaults=True):
    """Kit did it. `subscriber_id` and `state` where its answer names them.

    `ignored`: fields of an upsert that it did not set, since it has none of their keys (any more): as the client tells
    it by key, in an outcome by label.
    """

    status: int
    subscriber_id: int | None = None
    state: str | None = None
    ignored: tuple[str, ...] = ()


class Rejected(msgspec.Struct, frozen=True, tag="rejected", tag_field="result", kw_only=True):
    """Kit refused for good (403, 404, 413, 422): parked with Kit's words, until a new wish or a person tries again."""

    status: int
    message: str


class Ambiguous(msgspec.Struct, frozen=True, tag="ambiguous", tag_field="result", kw_only=True):
    """Nobody knows whether Kit did it: a timeout, a reset, a 5xx, a former owner. The request is planned again."""

    reason: str


class NotMade(msgspec.Struct, frozen=True, tag="not_made", tag_field="result", kw_only=True):
    """Kit did not do it and may be asked again.

    rate_limited     it answered 429: the line pauses
    unauthorised     it answered 401: the line stops
    stale_id         it answered 404, since an id was out of date: it is looked up again
    line_closed      not asked: the line was paused or stopped by then
    time_is_up       not asked: the intent's time was over
    earlier_failure  not asked: a request before it failed, on which it may depend
    """

    cause: Literal["rate_limited", "unauthorised", "stale_id", "line_closed", "time_is_up", "earlier_failure"]


class Withheld(msgspec.Struct, frozen=True, tag="withheld", tag_field="result", kw_only=True):
    """We chose not to: a subscriber in this state is never enrolled. The command is over."""

    state: str


Result = Done | Rejected | Ambiguous | NotMade | Withheld


def was_made(result: Result) -> bool:
    """Whether a request went out to Kit, and so counts against its limit: refused ones do too."""
    match result:
        case Withheld():
            return False
        case NotMade(cause=cause):
            return cause in {"rate_limited", "unauthorised", "stale_id"}
        case _:
            return True


class Outcome(Message, frozen=True, kw_only=True, tag="outcome"):
    """What became of an intent: one result per request, in order. Duplicates are dropped by `intent`.

    `retry_ms`: not before this time (ms since the epoch) may the rest be planned again; 0: at once.
    """

    intent: IntentId
    results: tuple[Result, ...]
    finished_ms: int
    retry_ms: int = 0


class Parked(Message, frozen=True, kw_only=True, tag="parked"):
    """The dispatcher cannot plan these: a tag or field that Kit lacks and may not be created, an unknown sequence, a
    name of a tag to be taken back while another name of it is wished.

    `names`: what is missing as `tag:NAME`, `field:NAME`, `sequence:NAME`, each with the reason for people.
    """

    revision: int
    names: dict[str, str]


class BudgetSpent(Message, frozen=True, kw_only=True, tag="budget_spent"):
    """Requests that no subscriber caused (lists and creations of tags and fields): written before they are made."""

    requests: int
    planned_ms: int


SubscriberMessage = Align | Enrol | Intent | Outcome | Parked | BudgetSpent


# --- customer.changes -----------------------------------------------------------------------------------------


class CustomerChanged(Message, frozen=True, kw_only=True, tag="customer_changed"):
    """What one record meant to a customer. Every record of customer.events but the catalogue makes one.

    `disposition`: `processed`, `duplicate`, `ignored` (an event we read nothing from), `unreadable` (a dead letter).
    `moments`: as `purchased in_123 offer 'Pro'`; `commands`: the ids emitted; `tags`, `fields`: now wished, if changed.
    """

    customer: CustomerKey
    disposition: str
    event: EventId | None = None
    event_type: str = ""
    offset: int
    moments: tuple[str, ...] = ()
    commands: tuple[CommandId, ...] = ()
    tags: tuple[str, ...] | None = None
    fields: dict[str, str] | None = None
    catalogue: CatalogueVersion | None = None


# --- dead.letters ---------------------------------------------------------------------------------------------


class DeadLetter(Message, frozen=True, kw_only=True, tag="dead_letter"):
    """A record that could not be read or may not be processed, whole. `raw` and `key` are base64 in JSON.

    `reason` is a sentence for people and names the path in the value where there is one. `topic`, `partition` and
    `offset` say where it was read; -1 for what the edge refused before it was in a topic.
    """

    topic: str
    partition: int = -1
    offset: int = -1
    key: bytes
    raw: bytes
    reason: str
    source: str
    received_ms: int


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""All that reading bytes of the log can raise: no JSON, a wrong type (ValidationError), no text, nested too deeply."""


class _Typed(msgspec.Struct, frozen=True):
    type: str = ""


_decode_typed = msgspec.json.Decoder(_Typed).decode


def type_of(value: bytes) -> str:
    """The `type` of any JSON object of the log, empty where it has none. Raises what is in UNREADABLE."""
    return _decode_typed(value).type


_encoder = msgspec.json.Encoder()
encode = _encoder.encode

decode_customer_message = msgspec.json.Decoder(CustomerMessage).decode
decode_subscriber_message = msgspec.json.Decoder(SubscriberMessage).decode
decode_change = msgspec.json.Decoder(CustomerChanged).decode
decode_dead_letter = msgspec.json.Decoder(DeadLetter).decode
