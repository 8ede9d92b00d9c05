"""What all customers of a subscriber want it to hold, made one; conflicts are settled as docs/interfaces.md §6 and §7
say.

In: the latest wishes of each customer. Out: `Wished`, the same whatever order they came in. Called by plan.py.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from processors.ids import CustomerKey
from processors.messages import FieldWish, TagWish
from processors.subscriber.state import CustomerWishes


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
    tags: dict[str, str] = {}
    fields: dict[str, FieldWish] = {}
    for held in _standing(wishes):
        for tag in held.tags:
            folded = tag.name.casefold()
            tags[folded] = min(tag.name, tags.get(folded, tag.name))
        for wish in held.fields:
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


def _standing(wishes: Mapping[CustomerKey, CustomerWishes]) -> Iterable[CustomerWishes]:
    """Without each `ended` of one customer that yields to an `active` of another: of the same offer, or at the top
    level (place 0) of any.
    """
    if len(wishes) == 1:
        return wishes.values()
    active = {customer: _active(held.tags) | _active(held.fields) for customer, held in wishes.items()}
    return [
        _without_yielding(held, set().union(*(places for other, places in active.items() if other != customer)))
        for customer, held in wishes.items()
    ]


def _active(wishes: tuple[TagWish, ...] | tuple[FieldWish, ...]) -> set[int]:
    return {wish.place for wish in wishes if wish.state == "active"}


def _without_yielding(held: CustomerWishes, active_elsewhere: set[int]) -> CustomerWishes:
    def stands(wish: TagWish | FieldWish) -> bool:
        yields = wish.place in active_elsewhere or (wish.place == 0 and bool(active_elsewhere))
        return wish.state != "ended" or not yields

    return replace(held, tags=tuple(filter(stands, held.tags)), fields=tuple(filter(stands, held.fields)))
