"""Something sold, as rules and placeholders see it: a subscription's item, a line of a paid invoice, a one-off.

Made of facts under a catalogue; wishes.py asks for what holds, purchase.py for what happened.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

from processors.catalogue.amounts import decimals_of
from processors.catalogue.placeholders import fill
from processors.catalogue.rules import Catalogue, Line, Offer
from processors.customer.facts import Facts, Item, OneOff, PaidInvoice, PaidLine, Subscription
from processors.ids import CustomerKey

DATES_REMEMBERED = 4096
"""Renewal dates repeat: customers by the thousand share a handful of days."""


@dataclass(frozen=True, slots=True)
class Sale:
    """`amount_minor` None: not known (a tiered price). `period_end` 0: it has none."""

    offer: Offer | None
    price: str = ""
    quantity: int = 1
    amount_minor: int | None = None
    currency: str = ""
    period_end: int = 0
    nickname: str = ""

    @property
    def tier_rank(self) -> int:
        return self.offer.tier_rank if self.offer else 0

    @property
    def place(self) -> int:
        return self.offer.place if self.offer else 0


def best_first(sales: Iterable[Sale]) -> tuple[Sale, ...]:
    """In the order in which they settle a conflict (docs/interfaces.md §6); the rest only makes it always the same."""

    def rank(sale: Sale) -> tuple[int, int, int, str, int, int, str, str]:
        weight = sale.tier_rank, sale.period_end, sale.place
        return *weight, sale.price, sale.quantity, sale.amount_minor or 0, sale.currency, sale.nickname

    found = tuple(sales)
    return tuple(sorted(found, key=rank, reverse=True)) if len(found) > 1 else found


# --- of facts ---------------------------------------------------------------------------------------------------


def of_item(item: Item, subscription: Subscription, catalogue: Catalogue) -> Sale:
    unit = item.unit_amount_minor
    return Sale(
        offer=_offer_of(item.price, item.product, subscription, catalogue),
        price=item.price,
        quantity=item.quantity,
        amount_minor=None if unit is None else unit * item.quantity,
        currency=item.currency,
        period_end=item.period_end,
        nickname=item.nickname,
    )


def of_paid_line(line: PaidLine, paid: PaidInvoice, subscription: Subscription, catalogue: Catalogue) -> Sale:
    """Its amount is that of the whole invoice, which is what `{amount}` of a moment means."""
    return Sale(
        offer=_offer_of(line.price, line.product, subscription, catalogue),
        price=line.price,
        quantity=line.quantity,
        amount_minor=paid.amount_minor,
        currency=paid.currency,
        period_end=line.period_end,
        nickname=line.nickname,
    )


def of_one_off(one_off: OneOff, catalogue: Catalogue) -> Sale:
    line = Line(payment_link=one_off.payment_link or None, metadata=one_off.metadata)
    return Sale(offer=catalogue.offer_of(line), amount_minor=one_off.amount_minor, currency=one_off.currency)


def _offer_of(price: str, product: str, subscription: Subscription, catalogue: Catalogue) -> Offer | None:
    """The session's metadata count as well; the subscription's own stand over them."""
    terms, sold_by = subscription.terms, subscription.sold_by
    metadata = {**(sold_by.metadata if sold_by else {}), **(terms.metadata if terms else {})}
    link = sold_by.payment_link if sold_by else ""
    return catalogue.offer_of(
        Line(price=price or None, product=product or None, payment_link=link or None, metadata=metadata)
    )


# --- placeholders -----------------------------------------------------------------------------------------------


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
