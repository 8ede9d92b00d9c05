"""One subscriber served: planned against its latest state, its intent appended, accepted, performed, answered.

In: a subscriber's key and one paid request. Out: records in subscriber.events (Intent and Outcome, or Parked for names
that Kit lacks); the agent folds them. Called by the dispatcher, for different subscribers at the same time.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from processors.ids import IntentId
from processors.messages import Ambiguous, Intent, Outcome, Parked, Rejected, Request, Result
from processors.subscriber import Missing, Subscriber, plan
from streams.kit.appending import Appender
from streams.kit.budget import Reservation
from streams.kit.directory import Directory
from streams.kit.flights import Flight
from streams.kit.line import backoff_seconds
from streams.kit.performing import Performer

logger = structlog.get_logger(__name__)

INTENT_REQUESTS_MAX = 10
"""At Kit's usual 0.1 to 0.5 s a request they fit into INTENT_SECONDS_MAX; the rest is planned again after them."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose turn it is: a subscriber, its partition, and the name of our hold of that."""

    key: str
    partition: int
    lane: str


@dataclass(frozen=True, slots=True)
class Service:
    """`lookup`: the latest state of a subscriber. `look_again`: told of each whose turn is over.

    `me`: how the ids of all intents of this process begin.
    """

    lookup: Callable[[str], Subscriber | None]
    look_again: Callable[[Turn], None]
    directory: Directory
    performer: Performer
    appender: Appender
    me: str
    clock: Callable[[], float] = time.time
    flights: dict[str, Flight] = field(default_factory=dict)

    def requests_of(self, key: str) -> int:
        """How many requests its turn would take now."""
        subscriber = self.lookup(key)
        planned = 0 if subscriber is None else len(plan(subscriber, self.directory).requests)
        return max(1, min(planned, INTENT_REQUESTS_MAX))

    async def serve(self, turn: Turn, paid: Reservation) -> None:
        """Raises KitRefused (401, 429) and KitUnavailable, where it was names that Kit was asked for."""
        subscriber = self.lookup(turn.key)
        if subscriber is None or subscriber.intent is not None or turn.key in self.flights:
            return  # the state that is to be committed next brings it back
        planned = plan(subscriber, self.directory)
        if planned.missing:
            paid.release()  # the directory pays for itself
            await self._resolve(turn, subscriber, planned.missing)
            return
        if planned.kept:
            await self._park(turn, subscriber, planned.kept)
            return
        covered = paid.grown(min(len(planned.requests), INTENT_REQUESTS_MAX))
        if requests := planned.requests[:covered]:
            await self._fly(turn, subscriber, requests, paid)

    async def _resolve(self, turn: Turn, subscriber: Subscriber, missing: Sequence[Missing]) -> None:
        names = await self.directory.resolve(missing)
        if names:
            logger.warning("kit lacks names", action="kit_names_missing", subscriber=turn.key, names=names)
            await self._park(turn, subscriber, names)
        else:
            self.look_again(turn)

    async def _park(self, turn: Turn, subscriber: Subscriber, names: Mapping[str, str]) -> None:
        """What it leaves comes back when it is folded."""
        parked = Parked(revision=subscriber.revision, names=dict(names))
        await self.appender.append(turn.key, parked, turn.partition)

    async def _fly(self, turn: Turn, subscriber: Subscriber, requests: tuple[Request, ...], paid: Reservation) -> None:
        flight = Flight(turn.partition, self._intent(turn, subscriber, requests), _this_task())
        self.flights[turn.key] = flight
        try:
            position = await self.appender.append(turn.key, flight.intent, turn.partition)
            accepted = await flight.accepted(position.offset)
            if accepted is not None:
                flight.performing = True
                results = await self.performer.results(flight.intent, accepted, paid)
                paid.release()
                await self.appender.append(turn.key, self._outcome(flight.intent, results, accepted), turn.partition)
                _report(turn, results)
        finally:
            flight.over = True
            self.look_again(turn)

    def _intent(self, turn: Turn, subscriber: Subscriber, requests: tuple[Request, ...]) -> Intent:
        return Intent(
            id=IntentId(f"{self.me}-{uuid.uuid4().hex[:12]}"),
            revision=subscriber.revision,
            lane=turn.lane,
            requests=requests,
            planned_ms=int(self.clock() * 1000),
        )

    def _outcome(self, intent: Intent, results: tuple[Result, ...], subscriber: Subscriber) -> Outcome:
        """Only what nobody knows backs off by itself; what the line refused waits for the line."""
        now = self.clock()
        unknown = any(isinstance(result, Ambiguous) for result in results)
        retry = now + backoff_seconds(subscriber.attempts) if unknown else 0
        return Outcome(intent=intent.id, results=results, finished_ms=int(now * 1000), retry_ms=int(retry * 1000))


def _report(turn: Turn, results: Sequence[Result]) -> None:
    refused = [f"{result.status} {result.message}" for result in results if isinstance(result, Rejected)]
    unknown = [result.reason for result in results if isinstance(result, Ambiguous)]
    if refused:
        logger.warning("kit refused", action="kit_parked", subscriber=turn.key, kit=refused)
    elif unknown:
        logger.info("kit's answer is unknown", action="kit_ambiguous", subscriber=turn.key, why=unknown)
    else:
        logger.debug("kit answered", action="kit_done", subscriber=turn.key, requests=len(results))


def _this_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None, "a turn is served in a task of its own"
    return task
