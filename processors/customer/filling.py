"""Placeholders: templates of tags and fields, filled in for one sale of one customer. Used by wishes.py and moments.py.

What nothing can tell is empty, and a template with an empty placeholder gives nothing (docs/interfaces.md §7).
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from processors.catalogue.amounts import decimals_of
from processors.catalogue.placeholders import fill
from processors.customer.facts import Facts
from processors.customer.sale import Sale
from processors.ids import CustomerKey

DATES_REMEMBERED = 4096
"""Renewal dates repeat: customers by the thousand share a handful of days."""


class Filler:
    """Fills templates for one customer under one catalogue, as long as one decision lasts."""

    def __init__(self, key: CustomerKey, facts: Facts, timezone: str) -> None:
        self.customer_id = "" if key.startswith("guest:") else key
        self._name = facts.profile.name
        self._timezone = timezone
        self._values: dict[int, tuple[Sale, Mapping[str, str | None]]] = {}

    def filled(self, template: str, sale: Sale) -> str | None:
        """None where a placeholder in it is empty."""
        if "{" not in template:
            return template
        known = self._values.get(id(sale))
        if known is None:
            # The sale is kept beside its values, so that no other one can get its id meanwhile.
            known = self._values[id(sale)] = (sale, self._values_of(sale))
        return fill(template, known[1])

    def _values_of(self, sale: Sale) -> Mapping[str, str | None]:
        """By placeholder (docs/interfaces.md §6 and §7); those that nothing here can tell are left out, which is
        empty.
        """
        return {
            "offer.name": sale.offer.name if sale.offer else None,
            "price.nickname": sale.nickname,
            "quantity": str(sale.quantity),
            "amount": None if sale.amount_minor is None else amount_text(sale.amount_minor, sale.currency),
            "currency": sale.currency,
            "period_end": date_text(sale.period_end, self._timezone) if sale.period_end else None,
            "customer.id": self.customer_id,
            "customer.name": self._name,
        }


def amount_text(minor: int, currency: str) -> str:
    """A plain decimal: `49.00`, of a currency without minor units `4900`."""
    decimals = decimals_of(currency)
    if not decimals:
        return str(minor)
    units, rest = divmod(abs(minor), 10**decimals)
    return f"{'-' if minor < 0 else ''}{units}.{rest:0{decimals}d}"


@lru_cache(maxsize=DATES_REMEMBERED)
def date_text(seconds: int, timezone: str) -> str:
    """YYYY-MM-DD in the account's time zone."""
    return datetime.fromtimestamp(seconds, ZoneInfo(timezone)).date().isoformat()
