"""What all customers of a subscriber want it to hold, made one; conflicts are settled as INTERFACES §6 and §7 say.

In: the latest wishes of each customer. Out: `Wished`, the same whatever order they came in. Called by plan.py.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from processors.ids import CustomerKey
from processors.messages import FieldWish, TagWish
from processors.subscriber.state import CustomerWishes

W = TypeVar("W", TagWish, FieldWish)


@dataclass(frozen=True, slots=True)
class Wished:
    """`tags`: case-folded name → name as written. `fields`: label → value."""

    tags: Mapping[str, str]
    fields: Mapping[str, str]
    create_as: str = "active"
    create_missing: bool = True


def united(wishes: Mapping[CustomerKey, CustomerWishes]) -> Wished:
    if not wishes:
        return Wished({}, {})
    active = _active_places(wishes)
    tags: dict[str, str] = {}
    for tag in _standing({customer: held.tags for customer, held in wishes.items()}, active):
        folded = tag.name.casefold()
        tags[folded] = min(tag.name, tags.get(folded, tag.name))
    fields: dict[str, FieldWish] = {}
    for wish in _standing({customer: held.fields for customer, held in wishes.items()}, active):
        other = fields.get(wish.name)
        if other is None or _weight(wish) > _weight(other):
            fields[wish.name] = wish
    # Customers differ in these two only while a catalogue is being applied: any choice will do that is always the same.
    latest = max(wishes.values(), key=lambda held: (held.version, held.catalogue))
    return Wished(
        tags,
        {label: wish.value for label, wish in fields.items()},
        create_as=latest.create_as,
        create_missing=latest.create_missing,
    )


def _weight(wish: FieldWish) -> tuple[int, int, int, str]:
    """The higher tier, a tier before none, the later period end, the offer further down; the value only breaks ties."""
    return (wish.tier_rank, wish.period_end, wish.place, wish.value)


def _active_places(wishes: Mapping[CustomerKey, CustomerWishes]) -> Mapping[CustomerKey, frozenset[int]]:
    return {customer: frozenset(_active(held.tags) | _active(held.fields)) for customer, held in wishes.items()}


def _active(wishes: tuple[TagWish, ...] | tuple[FieldWish, ...]) -> set[int]:
    return {wish.place for wish in wishes if wish.state == "active"}


def _standing(wishes: Mapping[CustomerKey, tuple[W, ...]], active: Mapping[CustomerKey, frozenset[int]]) -> Iterator[W]:
    """Without the `ended` of one customer that yields to an `active` of another: of the same offer, or at the top
    level (place 0) of any.
    """
    for customer, of_customer in wishes.items():
        elsewhere = frozenset().union(*(places for other, places in active.items() if other != customer))
        for wish in of_customer:
            yields = wish.state == "ended" and (wish.place in elsewhere or (wish.place == 0 and elsewhere))
            if not yields:
                yield wish
