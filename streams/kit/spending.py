"""What all workers have asked of Kit in the last minute, read from subscriber.events: the seed of a worker's budget.

Every request stands in the log before it is made: in an intent, or in a BudgetSpent. Read by the dispatcher when it
has been given partitions.
"""

from collections.abc import Collection
from dataclasses import dataclass, field

from processors.ids import IntentId
from processors.messages import (
    UNREADABLE,
    BudgetSpent,
    Intent,
    Outcome,
    SubscriberMessage,
    decode_subscriber_message,
    was_made,
)
from processors.record import Record, Topic
from streams.kit.budget import WINDOW_SECONDS
from streams.kit.performing import INTENT_SECONDS_MAX
from streams.log import APPEND_SECONDS_MAX, Log

LOOK_BACK_SECONDS = WINDOW_SECONDS + INTENT_SECONDS_MAX + APPEND_SECONDS_MAX
"""An intent may have been written that long before a request of it that still counts."""

TELLING = tuple(b'{"type":"%b"' % tag for tag in (b"intent", b"outcome", b"budget_spent"))
"""How the records begin that matter here (msgspec writes the tag first): the others are not worth decoding."""


@dataclass(frozen=True, slots=True)
class Spent:
    """When (seconds since the epoch) requests ended, at the latest: in the partitions held, and in all others."""

    inherited: list[float] = field(default_factory=list)
    others: list[float] = field(default_factory=list)


async def spent_lately(log: Log, held: Collection[int], now: float, own: str) -> Spent:
    """Without the intents whose id begins with `own`. Raises Unreachable."""
    planned: dict[IntentId, tuple[int, Intent]] = {}
    finished: dict[IntentId, Outcome] = {}
    spent = Spent()
    for record in await log.since(Topic.SUBSCRIBER_EVENTS, int((now - LOOK_BACK_SECONDS) * 1000)):
        match _message(record):
            case Intent() as intent if not intent.id.startswith(own):
                planned[intent.id] = (record.partition, intent)
            case Outcome() as outcome:
                finished[outcome.intent] = outcome
            case BudgetSpent() as unasked:
                _add(spent, record.partition in held, unasked.requests, _at_the_latest(unasked))
            case _:
                pass
    for partition, intent in planned.values():
        outcome_of = finished.get(intent.id)
        if outcome_of is None:
            _add(spent, partition in held, len(intent.requests), _at_the_latest(intent))
        else:
            _add(spent, partition in held, sum(map(was_made, outcome_of.results)), outcome_of.finished_ms / 1000)
    # A planner's clock may be far ahead: nothing of the last minute ends later than what is planned now.
    latest = now + INTENT_SECONDS_MAX
    return Spent(*([min(ended, latest) for ended in each] for each in (spent.inherited, spent.others)))


def _message(record: Record) -> SubscriberMessage | None:
    if not record.value.startswith(TELLING):
        return None
    try:
        message: SubscriberMessage = decode_subscriber_message(record.value)
    except UNREADABLE:
        return None  # the agent makes a dead letter of it
    return message


def _at_the_latest(message: Intent | BudgetSpent) -> float:
    return message.planned_ms / 1000 + INTENT_SECONDS_MAX


def _add(spent: Spent, is_held: bool, requests: int, ended: float) -> None:
    (spent.inherited if is_held else spent.others).extend([ended] * requests)
