"""Kit's budget: at most N requests in any 60 s over all workers, at once while the last minute holds fewer.

A log of the last minute's requests, not a bucket that refills: Kit counts a rolling minute. A worker spends its share,
the sum of the partitions it holds; `seed` tells it what was spent before it took them over and by others, which leaves
less until it expires. The dispatcher takes a `Reservation` before it plans; a request counts until a minute after it
has ended, since nobody knows when in between Kit counted it.
"""

import asyncio
import math
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterable

WINDOW_SECONDS = 60.1
"""Kit's minute (docs/facts/kit.md §1) and a little more, for clocks that do not tick alike."""


def share_of(requests_per_minute: int, partitions_held: Iterable[int], partitions: int) -> int:
    """What the holder of these partitions may spend. The shares of all partitions add up to the whole exactly."""
    return sum(
        (partition + 1) * requests_per_minute // partitions - partition * requests_per_minute // partitions
        for partition in partitions_held
    )


class Reservation:
    """Requests that may be made. Each that was made is told by `made`; `release` gives back those that were not."""

    def __init__(self, budget: "RollingBudget", requests: int) -> None:
        self._budget = budget
        self.left = requests

    def grown(self, requests: int) -> int:
        """How many of so many requests it now covers: with those that are free without waiting."""
        more = min(requests - self.left, self._budget.free())
        if more > 0:
            self._budget.reserved += more
            self.left += more
        return min(self.left, requests)

    def made(self) -> None:
        assert self.left > 0, "more requests were made than reserved"
        self.left -= 1
        self._budget.spend()

    def release(self) -> None:
        self._budget.give_back(self.left)
        self.left = 0


class RollingBudget:
    """`clock`: seconds since the epoch, since seeds come from other processes. `made`: requests since the start."""

    def __init__(self, requests_per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self.requests_per_minute = requests_per_minute
        self.reserved = 0
        self.made = 0
        self._clock = clock
        self.share = requests_per_minute
        self._own: list[float] = []
        self._inherited: list[float] = []
        self._others: list[float] = []
        self._changed = asyncio.Event()

    def hold(self, share: int) -> None:
        """From now on this worker's requests in a minute; 0: none."""
        self.share = share
        self._tell()

    def seed(self, inherited: Iterable[float], others: Iterable[float]) -> None:
        """When the last minute's requests ended that this process did not make: in the partitions it holds now, and
        in all others. Replaces what was seeded before.
        """
        self._inherited = sorted(inherited)
        self._others = sorted(others)
        self._tell()

    def free(self) -> int:
        """How many requests could be made at once."""
        self._forget_expired()
        counted = self.reserved + len(self._own) + len(self._inherited)
        return max(0, min(self.share - counted, self.requests_per_minute - counted - len(self._others)))

    def when(self, requests: int) -> float:
        """Seconds until so many could be made at once; infinite where that depends on more than time."""
        if self.free() >= requests:
            return 0.0
        counted = sorted(self._own + self._inherited)
        of_share = self._until(counted, self.share - requests)
        of_all = self._until(sorted(counted + self._others), self.requests_per_minute - requests)
        return max(of_share, of_all)

    async def take(self, requests: int) -> Reservation:
        """Waits until so many may be made, or the whole share where that is less. Cancelling it takes nothing."""
        while (seconds := self.when(wanted := max(1, min(requests, self.share)))) > 0:
            changed = self._changed
            try:
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    await changed.wait()
            except TimeoutError:
                continue
        self.reserved += wanted
        return Reservation(self, wanted)

    def spend(self) -> None:
        """A reserved request has ended now."""
        self.reserved -= 1
        self.made += 1
        insort(self._own, self._clock())
        self._tell()

    def give_back(self, requests: int) -> None:
        self.reserved -= requests
        if requests:
            self._tell()

    def _until(self, counted: list[float], room: int) -> float:
        """Seconds until no more than `room` requests count."""
        too_many = self.reserved + len(counted) - room
        if too_many <= 0:
            return 0.0
        if too_many > len(counted):
            return math.inf
        return max(0.0, counted[too_many - 1] + WINDOW_SECONDS - self._clock())

    def _forget_expired(self) -> None:
        before = self._clock() - WINDOW_SECONDS
        for counted in (self._own, self._inherited, self._others):
            del counted[: bisect_right(counted, before)]

    def _tell(self) -> None:
        """Wakes all who wait; each looks again."""
        self._changed.set()
        self._changed = asyncio.Event()
