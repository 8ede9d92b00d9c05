"""Rows as Kit's lists see them: a change shows only after the lag (docs/facts/kit.md §1, consistency).

Kit's lists and filters run behind its writes (half of the changes by 30 s, some by minutes); a GET by id does not.
state.py puts every changed row in here as well; the list routes read here, everything else reads the account.
"""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

R = TypeVar("R")


class LaggingRows(Generic[R]):
    """By id. `clock` in seconds; `lag_seconds` 0: at once."""

    def __init__(self, rows: dict[int, R], *, lag_seconds: float, clock: Callable[[], float]) -> None:
        self._visible = dict(rows)
        self._waiting: deque[tuple[float, int, R]] = deque()
        self._lag_seconds = lag_seconds
        self._clock = clock

    def put(self, row_id: int, row: R) -> None:
        self._waiting.append((self._clock() + self._lag_seconds, row_id, row))

    def rows(self) -> dict[int, R]:
        now = self._clock()
        while self._waiting and self._waiting[0][0] <= now:
            _, row_id, row = self._waiting.popleft()
            self._visible[row_id] = row
        return self._visible
