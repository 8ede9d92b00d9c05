"""The line to Kit as a whole: open, paused after a 429, stopped after a 401. The dispatcher asks it before each plan.

A refusal of the whole credential closes the line for everyone, for a while; then one intent at a time goes as a probe
until Kit answers one of them. Nothing is lost meanwhile: what is pending stays in the table.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Literal

import structlog

logger = structlog.get_logger(__name__)

Refusal = Literal["rate_limited", "unauthorised", "unavailable"]

BACKOFF_SECONDS_FIRST = 1.0
BACKOFF_SECONDS_MAX = 60.0
"""Kit's minute: after it, whatever filled it has expired."""
PROBE_SECONDS = 30.0
"""After a 401 a person must act; this is how soon it is noticed that they did."""

Jitter = Callable[[], float]
"""0 to 1, evenly: spreads those who failed together."""


def backoff_seconds_max(attempts: int) -> float:
    """Exponential; `attempts`: those that failed before."""
    return min(BACKOFF_SECONDS_MAX, BACKOFF_SECONDS_FIRST * 2.0 ** min(attempts, 10))


def backoff_seconds(attempts: int, jitter: Jitter = random.random) -> float:
    """With full jitter: any time up to the longest."""
    return jitter() * backoff_seconds_max(attempts)


class Line:
    """`stopped`: the credential is refused, an alarm for people. `refused_429`: counted since the process began."""

    def __init__(self, clock: Callable[[], float] = time.time, jitter: Jitter = random.random) -> None:
        self.stopped = False
        self.refused_429 = 0
        self._clock = clock
        self._jitter = jitter
        self._refusals = 0
        self._closed_until = 0.0
        self._probing = False
        self._probe_over = asyncio.Event()

    @property
    def closed(self) -> bool:
        return self._clock() < self._closed_until

    async def passage(self) -> bool:
        """Waits until a subscriber may be served. True: as a probe, whose end must be told by `probe_ended`."""
        while True:
            seconds = self._closed_until - self._clock()
            if seconds > 0:
                await asyncio.sleep(seconds)
            elif not self._refusals:
                return False
            elif self._probing:
                await self._probe_over.wait()
            else:
                self._probing = True
                self._probe_over.clear()
                return True

    def probe_ended(self) -> None:
        self._probing = False
        self._probe_over.set()

    def answered(self) -> None:
        """Kit has dealt with a request; late answers to what was sent before the line closed do not open it."""
        if self._refusals and not self.closed:
            logger.info("kit line is open again", action="kit_line_open")
            self._refusals = 0
            self.stopped = False

    def refused(self, why: Refusal) -> None:
        """Many requests under way are refused together: only the first of them closes the line."""
        self.refused_429 += why == "rate_limited"
        if why == "unauthorised":
            self._stop()
        elif not self.closed:
            seconds = (0.5 + 0.5 * self._jitter()) * backoff_seconds_max(self._refusals)
            self._close(seconds)
            logger.warning("kit line pauses", action="kit_line_paused", why=why, seconds=round(seconds, 1))

    def _stop(self) -> None:
        if self.stopped and self.closed:
            return
        self.stopped = True
        self._close(PROBE_SECONDS)
        logger.error(
            "Kit refuses the credential, or the plan has lapsed: no request is made until it accepts it again. "
            "Check MILLRACE_KIT_API_KEY and the account's plan",
            action="kit_line_stopped",
            probe_seconds=PROBE_SECONDS,
        )

    def _close(self, seconds: float) -> None:
        self._refusals += 1
        self._closed_until = self._clock() + seconds
