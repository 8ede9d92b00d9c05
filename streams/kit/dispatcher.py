"""From committed subscribers to requests to Kit and back: the one place that spends Kit's budget.

The engine tells it what it committed (`lane_opened`, `committed`, `lane_closed`: plain calls that never wait). What is
pending waits here, by key, for the budget; then serving.py plans it, appends the intent, and makes its requests once
the engine has committed that intent. A crash at any point leaves the work in the table, and perhaps an intent in
flight, which the next owner waits out.
"""

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass

import structlog

from processors.ids import IntentId
from processors.messages import Ambiguous, Intent, Outcome
from processors.record import Topic
from processors.subscriber import Subscriber, has_work, priority
from streams.errors import KitRefused, KitUnavailable
from streams.kit.appending import Appender
from streams.kit.budget import Reservation, RollingBudget
from streams.kit.calls import KitCalls
from streams.kit.directory import Directory
from streams.kit.line import Line, Refusal
from streams.kit.performing import INTENT_SECONDS_MAX, Performer
from streams.kit.serving import Service, Turn
from streams.kit.share import Share
from streams.kit.waiting import Waiting
from streams.log import Log
from streams.settings import Settings
from streams.topics import partitions_of

logger = structlog.get_logger(__name__)

CONCURRENCY_MAX = 16
"""Subscribers served at once: as many connections as the client keeps."""
STOP_SECONDS_MAX = 5.0
"""Half of what a process has to drain; what is cut off, the next owner waits out."""


@dataclass(frozen=True, slots=True)
class KitStatus:
    """`waiting`: subscribers with work that can go on by itself; `stopped`: by a 401. Counts: of this process."""

    waiting: int
    requests: int
    refused_429: int
    stopped: bool
    budget_per_minute: int
    oldest_waiting_seconds: float


@dataclass(frozen=True, slots=True)
class Takeover:
    """Another hold's intent that is in flight, being waited out."""

    partition: int
    intent: IntentId
    task: asyncio.Task[None]


class Dispatcher:
    """`lookup`: the latest state of a subscriber of an open lane. `on_crash`: a bug of ours, the worker must stop."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        client: KitCalls,
        budget: RollingBudget,
        *,
        lookup: Callable[[str], Subscriber | None],
        on_crash: Callable[[BaseException], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._budget = budget
        self._lookup = lookup
        self._on_crash = on_crash
        self._clock = clock
        self._lanes: dict[int, str] = {}
        self._line = Line(clock)
        self._appender = Appender(log, clock)
        me = uuid.uuid4().hex
        partitions = partitions_of(settings, Topic.SUBSCRIBER_EVENTS)
        self._share = Share(log, self._appender, budget, self._lanes, partitions=partitions, me=me, clock=clock)
        directory = Directory(client, self._share.pay_unasked, clock)
        performer = Performer(client, self._line, directory, clock)
        self._service = Service(lookup, self._look_again, directory, performer, self._appender, me, clock)
        self._waiting = Waiting()
        self._served: set[str] = set()
        self._takeovers: dict[str, Takeover] = {}
        self._slots = asyncio.Semaphore(CONCURRENCY_MAX)
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()
        self._seeding: asyncio.Task[None] | None = None
        self._stopped = False

    async def start(self) -> None:
        self._spawn(self._run())

    async def stop(self) -> None:
        """Lets requests under way end, up to STOP_SECONDS_MAX; after that nothing is asked of Kit."""
        self._stopped = True
        for partition in list(self._lanes):
            self.lane_closed(partition)
        performing = {flight.task for flight in self._service.flights.values() if flight.performing}
        for task in self._tasks - performing:
            task.cancel()
        if performing:
            await asyncio.wait(performing, timeout=STOP_SECONDS_MAX)
        left = list(self._tasks)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def status(self) -> KitStatus:
        since = self._waiting.longest_since()
        return KitStatus(
            waiting=len(self._waiting) + len(self._served | self._service.flights.keys()) + len(self._takeovers),
            requests=self._budget.made,
            refused_429=self._line.refused_429,
            stopped=self._line.stopped,
            budget_per_minute=self._budget.requests_per_minute,
            oldest_waiting_seconds=0.0 if since is None else max(0.0, self._clock() - since),
        )

    # --- told by the engine -----------------------------------------------------------------------------------

    def lane_opened(self, partition: int, lane: str, states: Iterable[tuple[str, Subscriber]]) -> None:
        """A hold of the partition begins; `lane` names it and no other, before or elsewhere. `states`: its table."""
        if self._stopped:
            return
        self._lanes[partition] = lane
        for key, state in states:
            self._look(key, partition, state)
        if self._seeding is None or self._seeding.done():
            self._seeding = self._spawn(self._share.grow())

    def committed(self, partition: int, states: Sequence[tuple[str, Subscriber]]) -> None:
        """The states that a transaction wrote, now visible to all."""
        if partition in self._lanes:
            for key, state in states:
                self._look(key, partition, state)

    def lane_closed(self, partition: int) -> None:
        """The hold has ended. Requests already begun go on until their intent's time is up; no new one begins."""
        self._lanes.pop(partition, None)
        self._waiting.drop_partition(partition)
        for key, takeover in list(self._takeovers.items()):
            if takeover.partition == partition:
                takeover.task.cancel()
                del self._takeovers[key]
        for key, flight in list(self._service.flights.items()):
            if flight.partition == partition and (flight.over or not flight.performing):
                flight.task.cancel()
                del self._service.flights[key]
        self._share.shrink()

    # --- what a state asks for --------------------------------------------------------------------------------

    def _look(self, key: str, partition: int, state: Subscriber) -> None:
        """A state as committed: a flight's, another hold's intent to be waited out, work, or nothing to do."""
        flight = self._service.flights.get(key)
        if flight is not None:
            flight.committed(state)
            if not flight.landed:
                return
            del self._service.flights[key]
        takeover = self._takeovers.get(key)
        if takeover is not None and (state.intent is None or state.intent.id != takeover.intent):
            takeover.task.cancel()  # where it still waits, the former owner has told the outcome after all
            del self._takeovers[key]
        if state.intent is not None:
            self._wait_out(key, partition, state.intent)
        elif has_work(state):
            self._waiting.add(key, partition, priority(state), state.retry_ms / 1000, self._clock())
            self._woken.set()
        else:
            self._waiting.discard(key)

    def _look_again(self, turn: Turn) -> None:
        """A turn is over: whatever is left to do for this subscriber waits for another."""
        flight = self._service.flights.get(turn.key)
        if flight is not None and not flight.landed and turn.partition in self._lanes:
            return  # its outcome is yet to be folded
        self._service.flights.pop(turn.key, None)
        state = self._lookup(turn.key) if turn.partition in self._lanes else None
        if state is not None:
            self._look(turn.key, turn.partition, state)

    def _wait_out(self, key: str, partition: int, intent: Intent) -> None:
        """An intent that is not of this hold is never performed: its owner may still be at it."""
        if key not in self._takeovers:
            task = self._spawn(self._taken_over(key, partition, intent))
            self._takeovers[key] = Takeover(partition, intent.id, task)

    async def _taken_over(self, key: str, partition: int, intent: Intent) -> None:
        left = intent.planned_ms / 1000 + INTENT_SECONDS_MAX - self._clock()
        await asyncio.sleep(min(max(left, 0), INTENT_SECONDS_MAX))  # never longer, whatever the planner's clock said
        unknown = Ambiguous(reason="its worker stopped or lost the partition before it told the outcome")
        results = (unknown,) * len(intent.requests)
        outcome = Outcome(intent=intent.id, results=results, finished_ms=int(self._clock() * 1000))
        await self._appender.append(key, outcome, partition)
        logger.info("took over an intent", action="kit_ambiguous", subscriber=key, requests=len(results))

    # --- service ----------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            await self._someone_waits()
            await self._slots.acquire()
            probe = await self._line.passage()
            # As many as the first in line needs, so that no purchase is half done while others begin. Who is served is
            # chosen after the wait: someone more urgent may have come, and the plan is made against the latest state.
            paid = await self._budget.take(self._needed())
            chosen = self._waiting.pop(self._clock())
            if chosen is None:
                self._turn_over(paid, probe=probe)
                continue
            key, partition = chosen
            self._spawn(self._serve(Turn(key, partition, self._lanes[partition]), paid, probe=probe))

    async def _someone_waits(self) -> None:
        while True:
            now = self._clock()
            at = self._waiting.next_at(now)
            if at is not None and at <= now:
                return
            self._woken.clear()
            try:
                async with asyncio.timeout(None if at is None else at - now):
                    await self._woken.wait()
            except TimeoutError:
                continue

    def _needed(self) -> int:
        chosen = self._waiting.peek(self._clock())
        return 1 if chosen is None else self._service.requests_of(chosen[0])

    async def _serve(self, turn: Turn, paid: Reservation, *, probe: bool) -> None:
        self._served.add(turn.key)
        try:
            if self._lanes.get(turn.partition) == turn.lane:
                await self._service.serve(turn, paid)
        except (KitRefused, KitUnavailable) as error:
            self._line.refused(_why(error))
            self._look_again(turn)
        finally:
            self._served.discard(turn.key)
            self._turn_over(paid, probe=probe)

    def _turn_over(self, paid: Reservation, *, probe: bool) -> None:
        paid.release()
        self._slots.release()
        if probe:
            self._line.probe_ended()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)


def _why(error: KitRefused | KitUnavailable) -> Refusal:
    match error:
        case KitRefused(status=429):
            return "rate_limited"
        case KitRefused(status=401):
            return "unauthorised"
        case _:
            return "unavailable"
