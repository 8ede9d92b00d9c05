"""What the simulated Kit keeps: one account's subscribers, tags, custom fields and sequences, as frozen rows.

`Account` is the whole of it, and the document that `--state FILE` holds. Kit's words for everything; times as Kit
writes them (`2026-11-23T12:00:00Z`). state.py changes it, answers.py shows it.
"""

from datetime import UTC, datetime
from typing import Literal

import msgspec

SubscriberState = Literal["active", "cancelled", "bounced", "complained", "inactive"]
SUBSCRIBER_STATES: tuple[str, ...] = ("active", "cancelled", "bounced", "complained", "inactive")


class Enrolment(msgspec.Struct, frozen=True):
    """`adds`: how many requests to add were accepted. Kit runs the sequence once all the same (docs/facts/kit.md
    §2).
    """

    added_at: str
    adds: int


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """`fields`: key → value; `tags`: tag id → since when; `sequences`: sequence id → Enrolment."""

    id: int
    email_address: str
    state: SubscriberState
    created_at: str
    first_name: str | None = None
    canceled_at: str | None = None
    fields: dict[str, str] = {}
    tags: dict[int, str] = {}
    sequences: dict[int, Enrolment] = {}


class Tag(msgspec.Struct, frozen=True):
    id: int
    name: str
    created_at: str


class CustomField(msgspec.Struct, frozen=True):
    id: int
    key: str
    label: str


class Sequence(msgspec.Struct, frozen=True):
    """`repeat` lets Visual Automations restart it; the API never does (docs/facts/kit.md §2)."""

    id: int
    name: str
    created_at: str
    active: bool = True
    repeat: bool = False


class LateFields(msgspec.Struct, frozen=True):
    """What an answer of 202 promised: these values are set at `due`, seconds since the epoch."""

    subscriber_id: int
    fields: dict[str, str]
    due: float


class Account(msgspec.Struct):
    """`schema` guards a state file that a newer simulator wrote."""

    schema: Literal[1] = 1
    subscribers: dict[int, Subscriber] = {}
    tags: dict[int, Tag] = {}
    custom_fields: dict[int, CustomField] = {}
    sequences: dict[int, Sequence] = {}
    late_fields: list[LateFields] = []


def kit_time(seconds: float) -> str:
    """Seconds since the epoch as Kit writes them."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
