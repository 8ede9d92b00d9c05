"""Faults to inject into the simulated Kit: which request gets which, decided by one seeded random source.

Set in process (`simulator.faults.add(Fault(kind=…))`) or over `POST /simulator/faults`; the gate asks `pick` once per
request. Rules are tried in the order they were added; the first that matches and draws is taken.
"""

import random
from enum import StrEnum
from typing import Annotated

import msgspec

RULES_MAX = 100
SECONDS_MAX = 600
"""Longer than every timeout of ours, short enough to end by itself."""


class FaultKind(StrEnum):
    """What the client sees. `unauthorised` is what a lapsed plan looks like (docs/facts/kit.md §1)."""

    INTERNAL_ERROR = "500"
    UNAVAILABLE = "503"
    RATE_LIMITED = "429"
    UNAUTHORISED = "401"
    HANG = "hang"
    RESET = "reset"
    CUT_BODY = "cut_body"
    SLOW = "slow"


NEVER_APPLIED = frozenset({FaultKind.UNAVAILABLE, FaultKind.RATE_LIMITED, FaultKind.UNAUTHORISED})
"""Refused at the door."""
ALWAYS_APPLIED = frozenset({FaultKind.CUT_BODY, FaultKind.SLOW})
"""The answer shows that it was done."""


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule.

    `next`: only so many matching requests, then the rule is spent (None: until cleared). `probability` per request.
    `applied`: whether Kit did what was asked before things went wrong; None: a coin is tossed where both can be.
    `method`, `path`: only requests with this method, and whose path begins so. `seconds`: how long `slow` and `hang`
    last.
    """

    kind: FaultKind
    next: Annotated[int, msgspec.Meta(ge=1)] | None = None
    probability: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    applied: bool | None = None
    method: str | None = None
    path: str = "/"
    seconds: Annotated[float, msgspec.Meta(ge=0, le=SECONDS_MAX)] = 60.0


class Faults:
    def __init__(self, *, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._rules: list[Fault] = []

    @property
    def rules(self) -> tuple[Fault, ...]:
        return tuple(self._rules)

    def add(self, fault: Fault) -> None:
        if len(self._rules) >= RULES_MAX:
            raise ValueError(f"{RULES_MAX} faults are set already; clear them first")
        self._rules.append(fault)

    def clear(self) -> None:
        self._rules.clear()

    def seed(self, seed: int) -> None:
        self._random.seed(seed)

    def pick(self, method: str, path: str) -> Fault | None:
        """The fault for this request, its `applied` settled; None for none."""
        for place, rule in enumerate(self._rules):
            if not _matches(rule, method, path):
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            self._spend(place, rule)
            return msgspec.structs.replace(rule, applied=self._applied(rule))
        return None

    def _spend(self, place: int, rule: Fault) -> None:
        if rule.next is None:
            return
        if rule.next == 1:
            del self._rules[place]
        else:
            self._rules[place] = msgspec.structs.replace(rule, next=rule.next - 1)

    def _applied(self, rule: Fault) -> bool:
        if rule.kind in NEVER_APPLIED:
            return False
        if rule.kind in ALWAYS_APPLIED:
            return True
        return self._random.random() < 0.5 if rule.applied is None else rule.applied


def _matches(rule: Fault, method: str, path: str) -> bool:
    return rule.method in {None, method} and path.startswith(rule.path)
