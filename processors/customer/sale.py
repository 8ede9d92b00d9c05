"""Something sold, as rules and placeholders see it: a subscription's item, a line of a paid invoice, a one-off.

Made of facts under a catalogue; wishes.py asks for what holds, purchase.py for what happened.
"""

from collections.abc import Iterable

import msgspec

from processors.catalogue.rules import Catalogue, Line, Offer
from processors.customer.facts import Item, OneOff, PaidInvoice, PaidLine, Subscription


class Sale(msgspec.Struct, frozen=True):
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
