"""What all workers have lately asked of Kit, read from the end of subscriber.events: the seed of a worker's budget.

Every request stands in the log before it is made: in an intent, or in a BudgetSpent. Read by the dispatcher when it
has been given partitions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from processors.ids import IntentId
from processors.messages import BudgetSpent, Intent, NotMade, Outcome, Result, Withheld, decode_subscriber_message
from processors.record import Record, Topic
from streams.kit.budget import WINDOW_SECONDS
from streams.kit.performing import INTENT_SECONDS_MAX
from streams.log import Log

CHUNK_RECORDS = 500
CHUNKS_MAX = 40
"""20,000 records of a partition. If they do not reach back a minute, a minute's budget is taken for spent: waiting once
after a restart in the middle of an import is better than a 429.
"""
TELLING = tuple(b'{"type":"%b"' % tag for tag in (b"intent", b"outcome", b"budget_spent"))
"""How the records begin that matter here (msgspec writes the tag first): the others are not worth decoding."""


@dataclass(slots=True)
class Spent:
    """Of one partition: intent → requests and planned time; intent → requests made and end; others' times. Seconds."""

    planned: dict[IntentId, tuple[int, float]] = field(default_factory=dict)
    finished: dict[IntentId, tuple[int, float]] = field(default_factory=dict)
    unasked: list[float] = field(default_factory=list)
    oldest: float = float("inf")

    def count(self, record: Record, own: str) -> None:
        if not record.value.startswith(TELLING):
            return
        try:
            message = decode_subscriber_message(record.value)
        except msgspec.MsgspecError:
            return  # the agent makes a dead letter of it
        match message:
            case Intent():
                self._saw(message.planned_ms)
                if not message.id.startswith(own):
                    self.planned[message.id] = (len(message.requests), message.planned_ms / 1000 + INTENT_SECONDS_MAX)
            case Outcome():
                self._saw(message.finished_ms)
                self.finished[message.intent] = (sum(map(_was_made, message.results)), message.finished_ms / 1000)
            case BudgetSpent():
                self._saw(message.planned_ms)
                self.unasked += [message.planned_ms / 1000 + INTENT_SECONDS_MAX] * message.requests

    def times(self) -> list[float]:
        """When each of them ended, at the latest."""
        of_intents = [self.finished.get(intent, planned) for intent, planned in self.planned.items()]
        return [at for requests, at in of_intents for _ in range(requests)] + self.unasked

    def _saw(self, at_ms: int) -> None:
        self.oldest = min(self.oldest, at_ms / 1000)


async def spent_lately(
    log: Log, partitions: int, now: float, own: str, requests_per_minute: int
) -> Mapping[int, list[float]]:
    """By partition, those that still count; without the intents whose id begins with `own`. Raises Unreachable."""
    ends = await log.ends(Topic.SUBSCRIBER_EVENTS)
    lately: dict[int, list[float]] = {}
    for partition in range(partitions):
        times = await _times(log, partition, ends.get(partition, 0), now, own)
        lately[partition] = [now] * requests_per_minute if times is None else times
    return lately


async def _times(log: Log, partition: int, end: int, now: float, own: str) -> list[float] | None:
    """Goes back from the end until it sees a request that no longer counts. None: it did not get so far."""
    spent = Spent()
    for upper in range(end, end - CHUNKS_MAX * CHUNK_RECORDS - 1, -CHUNK_RECORDS):
        if upper <= 0 or spent.oldest < now - WINDOW_SECONDS - INTENT_SECONDS_MAX:
            return [at for at in spent.times() if at > now - WINDOW_SECONDS]
        async for record in log.read(Topic.SUBSCRIBER_EVENTS, partition, max(0, upper - CHUNK_RECORDS)):
            if record.offset >= upper:
                break
            spent.count(record, own)
    return None


def _was_made(result: Result) -> bool:
    match result:
        case Withheld():
            return False
        case NotMade(cause=cause):
            return cause in {"rate_limited", "unauthorised"}
        case _:
            return True


def divided(lately: Mapping[int, list[float]], held: Iterable[int]) -> tuple[list[float], list[float]]:
    """What was spent in the partitions held, and in all others."""
    mine = set(held)
    inherited = [at for partition, times in lately.items() if partition in mine for at in times]
    others = [at for partition, times in lately.items() if partition not in mine for at in times]
    return inherited, others
