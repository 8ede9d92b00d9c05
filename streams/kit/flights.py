"""Intents under way in this process, one per subscriber, from before their append until they are folded away.

The dispatcher tells a flight what the engine committed, the service where its intent was appended; the flight tells
whether the intent was accepted, so that its requests may be made.
"""

import asyncio
from dataclasses import dataclass, field

from processors.messages import Intent
from processors.subscriber import Subscriber


@dataclass(slots=True)
class Flight:
    """`over`: its task has done all it will; the flight stays until a committed state no longer shows its intent."""

    partition: int
    intent: Intent
    task: asyncio.Task[None]
    performing: bool = False
    over: bool = False
    latest: Subscriber | None = None
    _offset: int | None = None
    _accepted: asyncio.Future[Subscriber | None] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def accepted(self, offset: int) -> Subscriber | None:
        """Waits until the record at this offset has been folded: the state with the intent in flight; None: refused."""
        self._offset = offset
        self._decide()
        return await self._accepted

    def committed(self, state: Subscriber) -> None:
        self.latest = state
        self._decide()

    @property
    def landed(self) -> bool:
        """Nothing of it is left: not in its task, not in the subscriber as last committed."""
        return self.over and not (self.latest is not None and self._shows_in(self.latest))

    def _shows_in(self, state: Subscriber) -> bool:
        return state.intent is not None and state.intent.id == self.intent.id

    def _decide(self) -> None:
        if self.latest is None or self._accepted.done():
            return
        if self._shows_in(self.latest):
            self._accepted.set_result(self.latest)
        elif self._offset is not None and self.latest.last_offset >= self._offset:
            self._accepted.set_result(None)
