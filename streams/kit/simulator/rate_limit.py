"""Kit's rate limit: so many requests per credential in any 60 seconds (docs/facts/kit.md §1).

Whether Kit counts the requests that it refuses is not documented. Here they count: a client that lives with the
stricter reading lives with the other one, too, and one that hammers after a 429 is seen to never get through.
"""

from collections import deque
from collections.abc import Callable

WINDOW_SECONDS = 60


class RollingMinute:
    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._times: dict[str, deque[float]] = {}

    def admit(self, credential: str, limit: int) -> bool:
        """Counts this request; false if it is more than `limit` in the last 60 s."""
        now = self._clock()
        # The newest limit + 1 are enough to decide, however hard somebody hammers.
        times = self._times.setdefault(credential, deque(maxlen=limit + 1))
        times.append(now)
        while times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        return len(times) <= limit
