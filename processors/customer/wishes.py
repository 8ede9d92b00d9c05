"""What a customer's subscriber should hold: every tag and field with the rule that gives it. Called by decide.py.

Made anew from the facts each time (`while.*`), together with what moments gave for good.
"""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from processors.catalogue.rules import Catalogue, State, WhileRule
from processors.customer import sale as sales
from processors.customer.decided import Decided
from processors.customer.facts import Facts, Payment
from processors.customer.filling import Filler
from processors.customer.lifecycle import is_active
from processors.customer.sale import Sale
from processors.ids import CustomerKey
from processors.messages import FieldWish, TagWish


class Wishes(msgspec.Struct, frozen=True):
    """Sorted, so that equal wishes are equal."""

    tags: tuple[TagWish, ...] = ()
    fields: tuple[FieldWish, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tags or self.fields)


class _Rule(msgspec.Struct, frozen=True):
    """A `while.*` table that holds, and the sales that make it hold, the best first."""

    gives: WhileRule
    name: str
    state: State
    tier_rank: int
    place: int
    sales: tuple[Sale, ...]


def wishes_of(key: CustomerKey, facts: Facts, decided: Decided, catalogue: Catalogue) -> Wishes:
    filler = Filler(key, facts, catalogue.timezone)
    tags = [kept.wish for kept in decided.tags]
    fields = [kept.wish for kept in decided.fields]
    for rule in _rules(held_sales(facts, catalogue), catalogue):
        tags += _tags(rule, filler)
        fields += _fields(rule, filler)
    if filler.customer_id and (tags or fields):
        fields.append(_customer_id(filler.customer_id, facts, catalogue))
    return Wishes(tuple(sorted(tags, key=_order)), tuple(sorted(fields, key=_order)))


def wish_the_same(before: Facts, after: Facts) -> bool:
    """Whether nothing has changed that wishes are made of: true of most invoices. Quick, and never true by mistake."""
    if before.one_offs is not after.one_offs or before.subscriptions.keys() != after.subscriptions.keys():
        return False
    for key, each in after.subscriptions.items():
        known = before.subscriptions[key]
        if each is not known and (each.snapshots != known.snapshots or each.sold_by != known.sold_by):
            return False
    was, is_now = before.profile, after.profile
    return was is is_now or (was.email, was.name, was.deleted) == (is_now.email, is_now.name, is_now.deleted)


def held_sales(facts: Facts, catalogue: Catalogue) -> Mapping[State, tuple[Sale, ...]]:
    """What holds now, by state, whatever the offer. To act on a further state: say here what holds in it."""
    return {
        State.ACTIVE: sales.best_first(_active(facts, catalogue)),
        State.OWNED: sales.best_first(_owned(facts, catalogue)),
    }


def _active(facts: Facts, catalogue: Catalogue) -> Iterator[Sale]:
    """A deleted customer's subscriptions have ended, whether or not each has said so."""
    if facts.profile.deleted:
        return
    for subscription in facts.subscriptions.values():
        terms = subscription.terms
        if terms is not None and is_active(
            terms, trial_is_active=catalogue.trial_is_active, past_due_is_active=catalogue.past_due_is_active
        ):
            for item in terms.items:
                yield sales.of_item(item, subscription, catalogue)


def _owned(facts: Facts, catalogue: Catalogue) -> Iterator[Sale]:
    for one_off in facts.one_offs.values():
        if one_off.payment is Payment.CLEARED:
            yield sales.of_one_off(one_off, catalogue)


def _rules(held: Mapping[State, tuple[Sale, ...]], catalogue: Catalogue) -> Iterator[_Rule]:
    for state, all_sales in held.items():
        if all_sales and (gives := catalogue.whiles.get(state)):
            yield _Rule(gives, f"while.{state}", state, 0, 0, all_sales)
        for offer in {sale.offer.name: sale.offer for sale in all_sales if sale.offer}.values():
            if gives := offer.whiles.get(state):
                of_offer = tuple(sale for sale in all_sales if sale.offer is offer)
                name = f"offer '{offer.name}' while.{state}"
                yield _Rule(gives, name, state, offer.tier_rank, offer.place, of_offer)


def _tags(rule: _Rule, filler: Filler) -> Iterable[TagWish]:
    """With placeholders each sale may give another tag; the same one counts once, for its best sale."""
    wishes: dict[str, TagWish] = {}
    for template in rule.gives.tags:
        for sale in rule.sales:
            name = filler.filled(template, sale)
            if name and name not in wishes:
                wishes[name] = TagWish(
                    name=name,
                    rule=rule.name,
                    state=rule.state,
                    tier_rank=rule.tier_rank,
                    period_end=sale.period_end,
                    place=rule.place,
                )
    return wishes.values()


def _fields(rule: _Rule, filler: Filler) -> Iterator[FieldWish]:
    """The value of the best sale that can fill it."""
    for label, template in rule.gives.fields.items():
        for sale in rule.sales:
            value = filler.filled(template, sale)
            if value is not None:
                yield FieldWish(
                    name=label,
                    value=value,
                    rule=rule.name,
                    state=rule.state,
                    tier_rank=rule.tier_rank,
                    period_end=sale.period_end,
                    place=rule.place,
                )
                break


def _customer_id(customer_id: str, facts: Facts, catalogue: Catalogue) -> FieldWish:
    """Its `period_end` is the latest beginning of a subscription or purchase: of several customers of one subscriber,
    the one with the latest is the one that the field names (docs/interfaces.md §7).
    """
    starts = (each.terms.started_at for each in facts.subscriptions.values() if each.terms)
    payments = (each.at for each in facts.one_offs.values() if each.payment is Payment.CLEARED)
    return FieldWish(
        name=catalogue.stripe_customer_id_field,
        value=customer_id,
        rule="[subscribers] stripe_customer_id_field",
        period_end=max((*starts, *payments), default=0),
    )


def _order(wish: TagWish | FieldWish) -> tuple[str, str]:
    return wish.name, wish.rule
