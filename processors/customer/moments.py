"""Which moments a record made happen, and what their rules cause. Called by decide.py.

A moment is new when the facts after the record tell of it and those before it do not: so a catalogue that is applied
later makes no past moments happen. The ledger keeps facts that change back and forth from repeating one.
"""

from collections.abc import Iterator
from itertools import chain

import msgspec

from processors import id_set
from processors.catalogue.rules import Catalogue, Offer, WhenRule
from processors.customer import purchase
from processors.customer.conditions import hold
from processors.customer.decided import KeptField, KeptTag, WaitingEnrol
from processors.customer.facts import Facts
from processors.customer.filling import Filler
from processors.customer.occurrence import Occurrence
from processors.customer.sale import Sale
from processors.ids import CommandId
from processors.messages import FieldWish, TagWish


class Happened(msgspec.Struct, frozen=True):
    """An occurrence as the owner of a rule sees it: an offer with the sale that is its own, or the top level (None).

    `once`: what it may happen once for. Of an offer it names the price, not the offer: what becomes known of a sale
    later may move it to another offer, which makes it no second sale.
    """

    occurrence: Occurrence
    offer: Offer | None
    sale: Sale
    once: str

    @property
    def rule(self) -> str:
        moment = f"when.{self.occurrence.moment}"
        return f"offer '{self.offer.name}' {moment}" if self.offer else moment

    @property
    def name(self) -> str:
        """For people, in customer.changes."""
        return f"{self.occurrence.name} offer '{self.offer.name}'" if self.offer else self.occurrence.name

    @property
    def tier_rank(self) -> int:
        return self.offer.tier_rank if self.offer else 0

    @property
    def place(self) -> int:
        return self.offer.place if self.offer else 0

    def when_rules(self, catalogue: Catalogue) -> Iterator[WhenRule]:
        """Those whose conditions hold."""
        whens = self.offer.whens if self.offer else catalogue.whens
        for rule in whens.get(self.occurrence.moment, ()):
            if hold(rule.conditions, self.occurrence.circumstances_for(self.sale)):
                yield rule


def new_moments(before: Facts, after: Facts, ledger: bytes, catalogue: Catalogue) -> tuple[Happened, ...]:
    """In the order of the facts; of each moment the top level first."""
    happened = [each for found in _occurrences(after, before, catalogue) for each in _happened(found)]
    if not happened:
        return ()
    known = {each.once for found in _occurrences(before, after, catalogue) for each in _happened(found)}
    return tuple(each for each in happened if each.once not in known and not id_set.contains(ledger, each.once))


def _occurrences(facts: Facts, other: Facts, catalogue: Catalogue) -> Iterator[Occurrence]:
    """Of the objects that differ between the two. To act on a further moment: yield its occurrences here."""
    found = chain(
        (
            purchase.of_subscription(key, subscription, catalogue)
            for key, subscription in facts.subscriptions.items()
            if not purchase.is_same_purchase(subscription, other.subscriptions.get(key))
        ),
        (
            purchase.of_one_off(key, one_off, catalogue)
            for key, one_off in facts.one_offs.items()
            if one_off is not other.one_offs.get(key)
        ),
    )
    return (occurrence for occurrence in found if occurrence is not None)


def _happened(occurrence: Occurrence) -> Iterator[Happened]:
    """The best sale stands for the whole; each offer happens once, for its own best sale."""
    yield Happened(occurrence, None, occurrence.sales[0] if occurrence.sales else Sale(None), occurrence.name)
    offers = set()
    for sale in occurrence.sales:
        if sale.offer is not None and sale.offer.name not in offers:
            offers.add(sale.offer.name)
            yield Happened(occurrence, sale.offer, sale, f"{occurrence.name} {sale.price}")


# --- what rules cause -------------------------------------------------------------------------------------------


def enrols_of(happened: Happened, catalogue: Catalogue) -> Iterator[WaitingEnrol]:
    """The id names what happened, the rule and the sequence: the same in every replay, once for ever."""
    for rule in happened.when_rules(catalogue):
        for sequence in rule.sequences:
            yield WaitingEnrol(
                id=CommandId(f"enrol {happened.occurrence.name} {happened.rule} {sequence}"),
                sequence=sequence,
                rule=happened.rule,
                catalogue=catalogue.version,
            )


def tags_of(happened: Happened, filler: Filler, catalogue: Catalogue) -> Iterator[KeptTag]:
    for rule in happened.when_rules(catalogue):
        for template in rule.tags:
            name = filler.filled(template, happened.sale)
            if name:
                wish = TagWish(
                    name=name,
                    rule=happened.rule,
                    tier_rank=happened.tier_rank,
                    period_end=happened.sale.period_end,
                    place=happened.place,
                )
                yield KeptTag(wish=wish, occurrence=happened.occurrence.name, at=happened.occurrence.at)


def fields_of(happened: Happened, filler: Filler, catalogue: Catalogue) -> Iterator[KeptField]:
    for rule in happened.when_rules(catalogue):
        for label, template in rule.fields.items():
            value = filler.filled(template, happened.sale)
            if value is not None:
                wish = FieldWish(
                    name=label,
                    value=value,
                    rule=happened.rule,
                    tier_rank=happened.tier_rank,
                    period_end=happened.sale.period_end,
                    place=happened.place,
                )
                yield KeptField(wish=wish, occurrence=happened.occurrence.name, at=happened.occurrence.at)
