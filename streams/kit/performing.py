"""The requests of one accepted intent, made one after the other: intent in, one result per request out.

A failure ends it: what follows may depend on what failed, and is planned again. Nothing is asked of Kit after the
intent's time is up: from then on a new owner of the partition may go on with the subscriber. Called by serving.py.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from msgspec.structs import replace

from processors.messages import (
    AddToSequence,
    Ambiguous,
    Done,
    Intent,
    NotMade,
    Rejected,
    Request,
    Result,
    Upsert,
    Withheld,
)
from processors.subscriber import NEVER_ENROLLED, Subscriber
from streams.kit.budget import Reservation
from streams.kit.calls import KIT_REQUEST_SECONDS_MAX, KitCalls
from streams.kit.directory import Directory
from streams.kit.line import Line

INTENT_SECONDS_MAX = KIT_REQUEST_SECONDS_MAX
"""After its planning an intent has so long for all its requests; whoever takes the partition over waits it out."""


@dataclass(frozen=True, slots=True)
class Performer:
    client: KitCalls
    line: Line
    directory: Directory
    clock: Callable[[], float] = time.time

    async def results(self, intent: Intent, subscriber: Subscriber, paid: Reservation) -> tuple[Result, ...]:
        """`subscriber`: as committed with the intent in flight. Never raises for what Kit does."""
        results: list[Result] = []
        state = subscriber.known.state
        for request in intent.requests:
            result = await self._result(request, intent, state, paid)
            if isinstance(result, Rejected) and result.status == 404 and self._forgotten_as_stale(request, subscriber):
                result = NotMade(cause="stale_id")
            if isinstance(request, Upsert) and isinstance(result, Done) and result.ignored:
                result = replace(result, ignored=self.directory.refute_fields(request, result.ignored))
            results.append(result)
            if not isinstance(result, Done | Withheld):
                break
            if isinstance(result, Done) and result.state is not None:
                state = result.state
        not_made = len(intent.requests) - len(results)
        return (*results, *[NotMade(cause="earlier_failure")] * not_made)

    async def _result(self, request: Request, intent: Intent, state: str | None, paid: Reservation) -> Result:
        if isinstance(request, AddToSequence) and state in NEVER_ENROLLED:
            return Withheld(state=state)
        if self.line.closed:
            return NotMade(cause="line_closed")
        seconds = intent.planned_ms / 1000 + INTENT_SECONDS_MAX - self.clock()
        if seconds <= 0:
            return NotMade(cause="time_is_up")
        result = await self._asked(request, seconds, paid)
        self._tell_line(result)
        return result

    async def _asked(self, request: Request, seconds: float, paid: Reservation) -> Result:
        try:
            async with asyncio.timeout(seconds):
                return await self.client.perform(request)
        except TimeoutError:
            return Ambiguous(reason=f"no answer within the intent's {INTENT_SECONDS_MAX:g} s")
        finally:
            paid.made()

    def _tell_line(self, result: Result) -> None:
        match result:
            case Done() | Rejected():
                self.line.answered()
            case NotMade(cause="rate_limited"):
                self.line.refused("rate_limited")
            case NotMade(cause="unauthorised"):
                self.line.refused("unauthorised")
            case NotMade() | Ambiguous() | Withheld():
                pass
            case _:
                assert_never(result)

    def _forgotten_as_stale(self, request: Request, subscriber: Subscriber) -> bool:
        """Kit answered 404: whether an id of the request was stale; the directory looks it up anew, if so."""
        sequences = {command.id: command.sequence for command in subscriber.commands}
        sequence = sequences.get(request.command) if isinstance(request, AddToSequence) else None
        return self.directory.refute(request, sequence)
