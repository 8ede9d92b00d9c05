"""What a record means for Kit: the step from facts to commands, under one catalogue. Called by step.py.

States become wishes (wishes.py), moments become commands that are given once (moments.py). Nothing is sent here: the
Decision says what to send and what to remember.
"""

from collections.abc import Iterable
from hashlib import blake2b

import msgspec
from msgspec.structs import replace

from processors import id_set
from processors.catalogue.rules import Catalogue
from processors.customer import moments
from processors.customer.decided import Decided, KeptField, KeptTag, WaitingEnrol
from processors.customer.facts import Facts
from processors.customer.filling import Filler
from processors.customer.moments import Happened
from processors.customer.wishes import Wishes, wish_the_same, wishes_of
from processors.ids import CatalogueVersion, CustomerKey, normalised_email
from processors.messages import Align, Enrol

FINGERPRINT_BYTES = 12


class Decision(msgspec.Struct, frozen=True):
    """`commands` in the order they are to be sent, each to the subscriber that its `email` names.

    `wishes` is None where they are what they were before.
    """

    decided: Decided
    moments: tuple[str, ...] = ()
    commands: tuple[Align | Enrol, ...] = ()
    wishes: Wishes | None = None


def decide(
    key: CustomerKey,
    before: Facts,
    after: Facts,
    decided: Decided,
    catalogue: Catalogue,
    *,
    decided_by: CatalogueVersion | None,
    version: int,
) -> Decision:
    """`decided_by`: the catalogue that `decided` comes from; `version`: the offset of the record.

    The same facts twice (Reconsider): states only, no moments.
    """
    happened = moments.new_moments(before, after, decided.occurrences, catalogue) if after is not before else ()
    if happened:
        decided = _remembered(key, after, decided, happened, catalogue)
    elif decided_by == catalogue.version and wish_the_same(before, after):
        return Decision(decided)
    wishes = wishes_of(key, after, decided, catalogue)
    email = after.profile.email
    enrols, decided = _enrolled(key, email, decided, catalogue)
    statement = _Statement(key, email, wishes, catalogue, version)
    aligns, now_decided = _aligned(statement, decided)
    return Decision(
        decided=now_decided,
        moments=_names(happened),
        commands=(*aligns, *enrols),
        wishes=None if now_decided is decided else wishes,
    )


# --- moments ----------------------------------------------------------------------------------------------------


def _remembered(
    key: CustomerKey, facts: Facts, decided: Decided, happened: Iterable[Happened], catalogue: Catalogue
) -> Decided:
    """All that moments cause goes into the state first; what can be sent leaves it again (`_enrolled`)."""
    filler = Filler(key, facts, catalogue.timezone)
    ledger, waiting = decided.occurrences, {each.id: each for each in decided.waiting}
    tags = {_rule_of(kept): kept for kept in decided.tags}
    fields = {_rule_of(kept): kept for kept in decided.fields}
    for each in happened:
        ledger = id_set.added(ledger, each.once)
        waiting.update((enrol.id, enrol) for enrol in moments.enrols_of(each, catalogue))
        for tag in moments.tags_of(each, filler, catalogue):
            tags[_rule_of(tag)] = max(tags.get(_rule_of(tag), tag), tag, key=_time_of)
        for field in moments.fields_of(each, filler, catalogue):
            fields[_rule_of(field)] = max(fields.get(_rule_of(field), field), field, key=_time_of)
    return replace(
        decided,
        occurrences=ledger,
        waiting=tuple(waiting.values()),
        tags=tuple(tags[rule] for rule in sorted(tags)),
        fields=tuple(fields[rule] for rule in sorted(fields)),
    )


def _rule_of(kept: KeptTag | KeptField) -> tuple[str, str]:
    return kept.wish.name, kept.wish.rule


def _time_of(kept: KeptTag | KeptField) -> tuple[int, str]:
    return kept.at, kept.occurrence


def _names(happened: tuple[Happened, ...]) -> tuple[str, ...]:
    """The top level speaks for itself only where no offer does."""
    of_offers = {each.occurrence.name for each in happened if each.offer}
    return tuple(each.name for each in happened if each.offer or each.occurrence.name not in of_offers)


# --- commands ---------------------------------------------------------------------------------------------------


def _enrolled(
    key: CustomerKey, email: str, decided: Decided, catalogue: Catalogue
) -> tuple[tuple[Enrol, ...], Decided]:
    """Enrolments wait, in the state, until an email is known."""
    if not email or not decided.waiting:
        return (), decided
    enrols = tuple(_enrol(key, email, waiting, catalogue.create_as) for waiting in decided.waiting)
    return enrols, replace(decided, waiting=())


def _enrol(key: CustomerKey, email: str, waiting: WaitingEnrol, create_as: str) -> Enrol:
    return Enrol(
        id=waiting.id,
        customer=key,
        email=email,
        sequence=waiting.sequence,
        rule=waiting.rule,
        create_as=create_as,
        catalogue=waiting.catalogue,
    )


class _Statement(msgspec.Struct, frozen=True):
    """What an Align would say now; without an email, to nobody yet."""

    key: CustomerKey
    email: str
    wishes: Wishes
    catalogue: Catalogue
    version: int

    def fingerprint(self) -> str:
        """Of all but version and catalogue: those change without a change for the subscriber."""
        if not self.wishes:
            return ""
        catalogue, wishes = self.catalogue, self.wishes
        content = (self.email, catalogue.create_as, catalogue.create_missing, wishes.tags, wishes.fields)
        return blake2b(msgspec.json.encode(content), digest_size=FINGERPRINT_BYTES).hexdigest()

    def align(self, email: str, wishes: Wishes) -> Align:
        return Align(
            customer=self.key,
            email=email,
            version=self.version,
            tags=wishes.tags,
            fields=wishes.fields,
            create_as=self.catalogue.create_as,
            create_missing=self.catalogue.create_missing,
            catalogue=self.catalogue.version,
        )


def _aligned(statement: _Statement, decided: Decided) -> tuple[tuple[Align, ...], Decided]:
    """An Align where it says something else than the last one did. Without an email the wishes wait, in the state.

    A changed email takes everything back from the old subscriber with an empty Align, and gives it to the new one.
    (A rename in Kit, which hands the subscriber's record over, is to take the place of this.)
    """
    fingerprint = statement.fingerprint()
    if fingerprint == decided.aligned_fingerprint:
        return (), decided
    email = statement.email if statement.wishes else ""
    aligns = []
    if decided.aligned_email and not _same_subscriber(decided.aligned_email, email):
        aligns.append(statement.align(decided.aligned_email, Wishes()))
    if email:
        aligns.append(statement.align(email, statement.wishes))
    return tuple(aligns), replace(decided, aligned_fingerprint=fingerprint, aligned_email=email)


def _same_subscriber(email: str, other: str) -> bool:
    return normalised_email(email) == normalised_email(other)
