"""Who waits for Kit: one small entry per pending subscriber, in the order of service (docs/design.md §5).

Onboarding first, then the rest, backfill last; within a class the longest waiting; every tenth turn goes to a lower
class, so that none starves. A subscriber that backs off waits aside until it is due. Used by the dispatcher alone.
"""

import heapq
from collections import OrderedDict
from dataclasses import dataclass

from processors.subscriber import Priority

TURNS_PER_LOWER = 10
"""Every tenth turn is kept for the lower classes."""


@dataclass(frozen=True, slots=True)
class Entry:
    partition: int
    since: float


@dataclass(frozen=True, slots=True)
class Aside:
    """Not to be served before this time."""

    not_before: float
    entry: Entry
    priority: Priority


class Waiting:
    """Times are seconds of the dispatcher's clock."""

    def __init__(self) -> None:
        self._ready: dict[Priority, OrderedDict[str, Entry]] = {priority: OrderedDict() for priority in Priority}
        self._aside: dict[str, Aside] = {}
        self._due: list[tuple[float, str]] = []
        self._turns = 0

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._ready.values()) + len(self._aside)

    def add(self, key: str, partition: int, priority: Priority, not_before: float, now: float) -> None:
        """Who is waiting already keeps its place, unless it changes its class."""
        if not_before <= now and key in self._ready[priority]:
            return
        former = self._remove(key)
        entry = Entry(partition, former.since if former else now)
        if not_before > now:
            self._aside[key] = Aside(not_before, entry, priority)
            heapq.heappush(self._due, (not_before, key))
        else:
            self._ready[priority][key] = entry

    def discard(self, key: str) -> None:
        self._remove(key)

    def drop_partition(self, partition: int) -> None:
        for entries in self._ready.values():
            for key in [key for key, entry in entries.items() if entry.partition == partition]:
                del entries[key]
        for key in [key for key, aside in self._aside.items() if aside.entry.partition == partition]:
            del self._aside[key]

    def peek(self, now: float) -> tuple[str, int] | None:
        """The next to be served, and its partition."""
        entries = self._next_class(now)
        if entries is None:
            return None
        key = next(iter(entries))
        return key, entries[key].partition

    def pop(self, now: float) -> tuple[str, int] | None:
        """Takes the next one out: its turn has come."""
        entries = self._next_class(now)
        if entries is None:
            return None
        self._turns += 1
        key, entry = entries.popitem(last=False)
        return key, entry.partition

    def next_at(self, now: float) -> float | None:
        """When the next one may be served; `now` or before: at once; None: nobody waits."""
        if any(self._ready.values()):
            return now
        return self._due[0][0] if self._drop_stale() else None

    def longest_since(self) -> float | None:
        ready = [_longest(entries) for entries in self._ready.values() if entries]
        return min([*ready, *(aside.entry.since for aside in self._aside.values())], default=None)

    def _next_class(self, now: float) -> OrderedDict[str, Entry] | None:
        self._bring_back(now)
        filled = [entries for entries in self._ready.values() if entries]
        if len(filled) > 1 and self._turns % TURNS_PER_LOWER == TURNS_PER_LOWER - 1:
            return min(filled[1:], key=_longest)
        return filled[0] if filled else None

    def _remove(self, key: str) -> Entry | None:
        if (aside := self._aside.pop(key, None)) is not None:
            return aside.entry
        for entries in self._ready.values():
            if (entry := entries.pop(key, None)) is not None:
                return entry
        return None

    def _bring_back(self, now: float) -> None:
        while self._drop_stale() and self._due[0][0] <= now:
            _, key = heapq.heappop(self._due)
            aside = self._aside.pop(key)
            self._ready[aside.priority][key] = aside.entry

    def _drop_stale(self) -> bool:
        """Whether a due time is left, once those are gone that no longer hold."""
        while self._due:
            not_before, key = self._due[0]
            aside = self._aside.get(key)
            if aside is not None and aside.not_before == not_before:
                return True
            heapq.heappop(self._due)
        return False


def _longest(entries: OrderedDict[str, Entry]) -> float:
    return next(iter(entries.values())).since
