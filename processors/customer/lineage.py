"""Which of several snapshots of one Stripe object is the latest, whatever order they arrive in.

Every event carries its object whole. The folds keep the snapshots that may still matter, in order, the latest last;
`merged` is the only way in. The result depends on the set of events alone, not on their order or number (L1).
"""

from hashlib import blake2b
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S", bound=msgspec.Struct)

SKEW_SECONDS = 30
"""Stripe's `created` is in whole seconds, and stamped by many machines: closer than this it proves no order."""

SNAPSHOTS_MAX = 8
"""Of one object within SKEW_SECONDS. A ninth pushes out the first in order, which could matter only by then."""

FINGERPRINT_BYTES = 8


class Snapshot(msgspec.Struct, Generic[S], frozen=True, omit_defaults=True):
    """An object as one event showed it. `created` is the event's; `before` the fingerprint of what it was before.

    `phase`: of the object's life, by its own words (its status, its own timestamps): it only ever grows.
    """

    created: int
    phase: int
    content: S
    before: str = ""


def snapshot(created: int, phase: int, content: S, content_before: S | None) -> Snapshot[S]:
    """`content_before`: the same object with its `previous_attributes` put back; None where the event has none."""
    if content_before is None or content_before == content:
        return Snapshot(created, phase, content)
    return Snapshot(created, phase, content, fingerprint(content_before))


def merged(known: tuple[Snapshot[S], ...], new: Snapshot[S]) -> tuple[Snapshot[S], ...]:
    """The snapshots that may matter, the latest last; `known` itself where the new one is among them or too old.

    The rules, the strongest first:
    1. A later phase of life beats an earlier one, however late the latter arrives: what is over stays over.
    2. Within SKEW_SECONDS, what another snapshot came from (`before`) is older than that one.
    3. A later `created` beats an earlier one.
    4. What is still undecided is settled by content, so that at least every order of arrival agrees.
    """
    if not known:
        return (new,)
    if new in known:
        return known
    together = (*known, new)
    phase = max(each.phase for each in together)
    newest = max(each.created for each in together if each.phase == phase)
    alive = [each for each in together if each.phase == phase and each.created >= newest - SKEW_SECONDS]
    if new not in alive:
        return known
    return _ordered(alive)[-SNAPSHOTS_MAX:]


def fingerprint(content: msgspec.Struct) -> str:
    return blake2b(msgspec.json.encode(content, order="sorted"), digest_size=FINGERPRINT_BYTES).hexdigest()


def _ordered(snapshots: list[Snapshot[S]]) -> tuple[Snapshot[S], ...]:
    if len(snapshots) == 1:
        return tuple(snapshots)
    superseded = {each.before for each in snapshots}

    def age(each: Snapshot[S]) -> tuple[bool, int, str, str]:
        own = fingerprint(each.content)
        return own not in superseded, each.created, own, each.before

    return tuple(sorted(snapshots, key=age))
