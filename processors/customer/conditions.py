"""The conditions of a `when.*` table: whether they hold for one occurrence. Called by moments.py."""

import msgspec

from processors.catalogue.rules import Conditions


class Circumstances(msgspec.Struct, frozen=True):
    """What is known of an occurrence; None: it has no such thing, and a condition that asks for it does not hold."""

    after_days: int | None = None
    renewals: int | None = None
    to_tier: str | None = None
    from_tier: str | None = None
    reason: str | None = None
    was_paid: bool | None = None


def hold(conditions: Conditions, met: Circumstances) -> bool:
    return (
        _within(met.after_days, conditions.after_days_min, conditions.after_days_max)
        and _within(met.renewals, conditions.renewals_min, conditions.renewals_max)
        and conditions.to_tier in (None, met.to_tier)
        and conditions.from_tier in (None, met.from_tier)
        and conditions.reason in (None, met.reason)
        and conditions.was_paid in (None, met.was_paid)
    )


def _within(value: int | None, lowest: int | None, highest: int | None) -> bool:
    if lowest is None and highest is None:
        return True
    return value is not None and (lowest is None or value >= lowest) and (highest is None or value <= highest)
