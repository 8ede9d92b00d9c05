"""The fewest requests that close the difference between what is wished and what Kit is known to hold.

In: a Subscriber, and Kit's ids by name. Out: `Plan`, called by the Kit dispatcher when the budget allows; `has_work`
and `priority`, by the dispatcher for each committed state and by the status. What holds already is never asked again:
a purchase costs one upsert, one request per tag and one per sequence; a redelivery costs nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, Protocol

from processors.messages import AddTag, AddToSequence, RemoveTag, Request, Upsert
from processors.subscriber.state import Command, Holding, Subscriber
from processors.subscriber.wishes import Wished, united

FIELDS_PER_UPSERT_MAX = 10
"""With more, Kit answers 202 and applies them later (docs/facts/kit.md §2)."""

STATE_FRESH_SECONDS = 900
"""So long an enrolment trusts what Kit said of the subscriber. The events of one purchase arrive within minutes and
share one answer; older ones are asked for anew, since whoever has unsubscribed must not be enrolled."""

PARKED_AS_A_WHOLE = "subscriber"
"""The parked key of the subscriber itself: Kit refuses the email, nothing can be done."""

Kind = Literal["tag", "field", "sequence"]


class Names(Protocol):
    """Kit's ids by name (or by id written as text), of what the account has; None: not there, or not loaded yet."""

    def tag_id(self, name: str) -> int | None: ...
    def field_key(self, label: str) -> str | None: ...
    def sequence_id(self, name_or_id: str) -> int | None: ...


class Priority(IntEnum):
    """Lower is served first."""

    ONBOARDING = 0
    REST = 1
    BACKFILL = 2


@dataclass(frozen=True, slots=True)
class Missing:
    """A name that `Names` does not know. `create`: whether it may be created."""

    kind: Kind
    name: str
    create: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """`requests` in the order they must be made: any prefix of them may be made alone. It leaves out the missing.

    `kept`: tags that must not be taken back, by parked key, with the reason for people.
    """

    requests: tuple[Request, ...]
    missing: tuple[Missing, ...]
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """By name: fields to set (label → value), tags to give and to take back, commands to carry out."""

    wished: Wished
    fields: Mapping[str, str]
    give: tuple[str, ...]
    take: tuple[str, ...]
    enrol: tuple[Command, ...]

    def __bool__(self) -> bool:
        return bool(self.fields or self.give or self.take or self.enrol)


def plan(subscriber: Subscriber, names: Names) -> Plan:
    gap = difference(subscriber)
    missing = tuple(_missing(gap, names))
    requests = (
        *_upserts(subscriber, gap, names),
        *_taggings(subscriber, gap, names),
        *_enrolments(subscriber, gap, names),
    )
    return Plan(requests, missing, {parked_key("tag", name): words for name, words in _kept(gap, names)})


def has_work(subscriber: Subscriber) -> bool:
    """Whether there is work that can go on by itself; what is parked waits for a wish or a person."""
    return subscriber.intent is not None or bool(difference(subscriber))


def priority(subscriber: Subscriber) -> Priority:
    if subscriber.backfill:
        return Priority.BACKFILL
    return Priority.ONBOARDING if any(_open_commands(subscriber)) else Priority.REST


def parked_key(kind: Kind, name: str) -> str:
    return f"{kind}:{name if kind == 'field' else name.casefold()}"


def difference(subscriber: Subscriber) -> Difference:
    """Without what is parked. Everything sorted, so that equal states make equal plans."""
    wished = united(subscriber.wishes)
    parked = subscriber.parked
    if PARKED_AS_A_WHOLE in parked:
        return Difference(wished, {}, (), (), ())
    held = subscriber.known.tags
    give = (folded for folded in wished.tags if held.get(folded) is not Holding.HELD)
    take = (folded for folded in held if folded not in wished.tags)
    return Difference(
        wished,
        fields={each: value for each, value in _fields(subscriber, wished) if parked_key("field", each) not in parked},
        give=tuple(wished.tags[folded] for folded in sorted(give) if parked_key("tag", folded) not in parked),
        take=tuple(folded for folded in sorted(take) if parked_key("tag", folded) not in parked),
        enrol=tuple(_open_commands(subscriber)),
    )


def _open_commands(subscriber: Subscriber) -> Iterator[Command]:
    """Those of which the sequence is not parked."""
    parked = subscriber.parked
    return (each for each in subscriber.commands if parked_key("sequence", each.sequence) not in parked)


def _fields(subscriber: Subscriber, wished: Wished) -> Iterator[tuple[str, str]]:
    known = subscriber.known.fields
    for label in sorted(known.keys() | wished.fields.keys()):
        value = wished.fields.get(label, "")  # a field that is taken back is set to an empty string
        if known.get(label, "") != value:
            yield label, value


def _upserts(subscriber: Subscriber, gap: Difference, names: Names) -> Iterator[Upsert]:
    """The first of them creates the subscriber where Kit's id is unknown, and tells its id and state.

    A label that is taken back may be of a field that is wished by another one (its key, or in other letters): then
    that one's value is sent for both.
    """
    keys = {label: key for label in gap.fields if (key := names.field_key(label)) is not None}
    wished = {names.field_key(label): value for label, value in sorted(gap.wished.fields.items())}
    values = {
        label: wished.get(key, "") if gap.fields[label] == "" else gap.fields[label] for label, key in keys.items()
    }
    labels = list(keys)
    is_needed = bool(gap) and (subscriber.known.id is None or _asks_for_state(subscriber, gap))
    create_as = _create_as(subscriber, gap.wished)
    for start in range(0, len(labels) or int(is_needed), FIELDS_PER_UPSERT_MAX):
        some = labels[start : start + FIELDS_PER_UPSERT_MAX]
        yield Upsert(
            email=subscriber.email,
            create_as=create_as,
            fields={keys[label]: values[label] for label in some},
            labels={label: gap.fields[label] for label in some},
        )


def _asks_for_state(subscriber: Subscriber, gap: Difference) -> bool:
    """Nobody is enrolled on what Kit said long ago: they may have unsubscribed since. Tags tell the state as well."""
    if not gap.enrol or gap.give:
        return False
    fresh_until_ms = subscriber.told_ms + STATE_FRESH_SECONDS * 1000
    return not subscriber.told_ms or any(command.asked_ms > fresh_until_ms for command in gap.enrol)


def _create_as(subscriber: Subscriber, wished: Wished) -> str:
    """Of whom no tag and no field is wished, the command that is to be carried out says it."""
    if subscriber.commands and not wished.tags and not wished.fields:
        return subscriber.commands[-1].create_as
    return wished.create_as


def _taggings(subscriber: Subscriber, gap: Difference, names: Names) -> Iterator[Request]:
    """Given before taken back, so that someone who moves between offers is never without a tag in between."""
    for name in gap.give:
        if (tag_id := names.tag_id(name)) is not None:
            yield AddTag(email=subscriber.email, name=name, tag_id=tag_id)
    if subscriber.known.id is None:
        return  # taking back needs Kit's id, which the upsert tells: planned again after it
    kept = {name for name, _ in _kept(gap, names)}
    for name in gap.take:
        if name not in kept and (tag_id := names.tag_id(name)) is not None:
            yield RemoveTag(subscriber_id=subscriber.known.id, name=name, tag_id=tag_id)


def _kept(gap: Difference, names: Names) -> Iterator[tuple[str, str]]:
    """Of the names to be taken back those of a tag that is wished by another one: its id, or since it was renamed."""
    if not gap.take:
        return
    wished = {names.tag_id(name): name for _, name in sorted(gap.wished.tags.items())}
    for name in gap.take:
        if (tag_id := names.tag_id(name)) is not None and tag_id in wished:
            yield name, f"the tag {name!r} is the same in Kit as {wished[tag_id]!r}, which is wished"


def _enrolments(subscriber: Subscriber, gap: Difference, names: Names) -> Iterator[AddToSequence]:
    for command in gap.enrol:
        if (sequence_id := names.sequence_id(command.sequence)) is not None:
            yield AddToSequence(email=subscriber.email, sequence_id=sequence_id, command=command.id)


def _missing(gap: Difference, names: Names) -> Iterator[Missing]:
    create = gap.wished.create_missing
    for label in gap.fields:
        if names.field_key(label) is None:
            yield Missing("field", label, create)
    for name in gap.give:
        if names.tag_id(name) is None:
            yield Missing("tag", name, create)
    for name in gap.take:
        if names.tag_id(name) is None:
            yield Missing("tag", name, create=False)
    for sequence in dict.fromkeys(command.sequence for command in gap.enrol):
        if names.sequence_id(sequence) is None:
            yield Missing("sequence", sequence, create=False)
