"""Every request the simulated Kit saw and what it answered, oldest first: for tests, people and the contract test.

Kept in memory only: `--state` keeps what Kit holds, not how it came about.
"""

from collections import deque
from typing import Any

import msgspec

ENTRIES_MAX = 100_000
"""Fourteen hours at Kit's own limit for a key; then the oldest fall out."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """`status` None: no whole answer was given; `fault`: the one that was injected, if any.

    `applied`: whether the route ran, so that a test can tell a lost answer from a lost request. No credentials.
    """

    method: str
    path: str
    query: dict[str, str]
    body: Any
    status: int | None
    received: float
    fault: str | None = None
    applied: bool = True
    answer: Any = None


class Journal:
    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=ENTRIES_MAX)
        self.requests = 0
        self.refused_429 = 0

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.requests += 1
        self.refused_429 += entry.status == 429

    def clear(self) -> None:
        self.entries.clear()
        self.requests = self.refused_429 = 0
