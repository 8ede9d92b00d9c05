"""The status document of docs/interfaces.md §4: its shape, and the rule that says when a system is idle."""

from collections.abc import Mapping
from typing import Any

import msgspec

from processors.record import Topic
from projections.activity import Activity


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """What could go on by itself, and what waits for the outside (`unkeyed_events`, `code_waits`)."""

    held_events: int = 0
    kit_subscribers: int = 0
    stripe_lookups: int = 0
    due_ticks: int = 0
    unkeyed_events: int = 0
    code_waits: int = 0


class Kit(msgspec.Struct, frozen=True, kw_only=True):
    requests: int
    budget_per_minute: int
    refused_429: int


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """Stripe events by what became of them; `received` is their sum with those that bear on no customer."""

    received: int
    duplicates: int
    processed: int
    ignored: int


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """`lag`: topic → records not yet taken by the workers. `idle`: everything is read and nothing is pending."""

    idle: bool
    version: str
    lag: dict[str, int]
    oldest_pending_seconds: float
    pending: Pending
    kit: Kit
    events: Events
    dead_letters: int
    reviews: int = 0
    approvals: int = 0


def status(
    activity: Activity,
    *,
    version: str,
    lag: Mapping[str, int],
    is_still: bool,
    budget_per_minute: int,
    now_ms: int,
) -> Status:
    """The counts are those of one moment only when the caller read `lag` before the activity was brought up to date
    (streams/ops/status.py says why that order makes `idle` true). `is_still`: since before then no catalogue has begun
    or ended to be settled.
    """
    processed, duplicates = activity.dispositions["processed"], activity.dispositions["duplicate"]
    unkeyed = activity.unread[Topic.PAYMENT_EVENTS]
    of_no_customer = activity.unread[Topic.STRIPE_OTHER] + activity.unread[Topic.CATALOGUE_EVENTS]
    return Status(
        idle=is_still and not any(lag.values()) and not activity.waiting and not activity.reconsidering,
        version=version,
        lag=dict(lag),
        oldest_pending_seconds=activity.oldest_waiting_seconds(now_ms),
        pending=Pending(kit_subscribers=len(activity.waiting), unkeyed_events=unkeyed),
        kit=Kit(
            requests=activity.requests_made,
            budget_per_minute=budget_per_minute,
            refused_429=activity.refused_429,
        ),
        events=Events(
            received=activity.dispositions.total() + unkeyed + of_no_customer,
            duplicates=duplicates,
            processed=processed,
            ignored=activity.dispositions["ignored"] + of_no_customer,
        ),
        dead_letters=activity.unread[Topic.DEAD_LETTERS],
    )


def rows(document: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """The document (as plain data) line by line for people: `events · received`, `12`."""
    lines: list[tuple[str, str]] = []
    for name, value in document.items():
        lines += rows(value, f"{prefix}{name} · ") if isinstance(value, Mapping) else [(prefix + name, str(value))]
    return lines
