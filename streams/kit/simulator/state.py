"""The rules by which the simulated account changes; every route calls exactly one method here.

In: validated values. Out: the row as it is now, and whether it is new (201) or was there (200). Nothing here knows HTTP
but the refusals, and no other file changes the account. Each rule is of docs/facts/kit.md §2 unless marked otherwise.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from streams.kit.simulator.account import (
    Account,
    CustomField,
    Enrolment,
    LateFields,
    Sequence,
    Subscriber,
    SubscriberState,
    Tag,
    kit_time,
)
from streams.kit.simulator.lag import LaggingRows
from streams.kit.simulator.refusal import Refusal, not_found

FIELDS_AT_ONCE_MAX = 10
"""With more, Kit answers 202 and sets them later."""
FIELDS_MAX = 140
FIRST_ID = 101
"""Ids count up from here in each table, so that a run's ids are known beforehand and none looks like an index."""


@dataclass(frozen=True, slots=True)
class Written:
    """`created`: 201, else 200. `unknown`: field keys that the account lacks, ignored; `late`: set later (202)."""

    subscriber: Subscriber
    created: bool
    unknown: tuple[str, ...] = ()
    late: bool = False


class KitState:
    """`clock`: seconds since the epoch. `revision` grows with each change, so that a saver knows what it has saved."""

    def __init__(
        self, account: Account, *, clock: Callable[[], float], list_lag_seconds: float, late_fields_seconds: float
    ) -> None:
        self.account = account
        self._clock = clock
        self._late_fields_seconds = late_fields_seconds
        self._ids_by_email = {_folded(row.email_address): row.id for row in account.subscribers.values()}
        self.listed_subscribers = LaggingRows(account.subscribers, lag_seconds=list_lag_seconds, clock=clock)
        self.listed_tags = LaggingRows(account.tags, lag_seconds=list_lag_seconds, clock=clock)
        self.listed_fields = LaggingRows(account.custom_fields, lag_seconds=list_lag_seconds, clock=clock)
        self.revision = 0

    # --- subscribers

    def upsert(self, email: str, first_name: str | None, state: SubscriberState, fields: dict[str, str]) -> Written:
        """Of somebody who is known, the state stays what it is."""
        row_id = self._ids_by_email.get(_folded(email))
        created = row_id is None
        if row_id is None:
            row_id = _next_id(self.account.subscribers)
            row = Subscriber(id=row_id, email_address=email, state=state, created_at=self._now())
        else:
            row = self.account.subscribers[row_id]
        return self._write(row, first_name, fields, created=created)

    def update(self, subscriber_id: int, email: str | None, first_name: str | None, fields: dict[str, str]) -> Written:
        row = self.subscriber(subscriber_id)
        if email is not None:
            owner = self._ids_by_email.get(_folded(email), subscriber_id)
            if owner != subscriber_id:
                raise Refusal(422, "Email address has already been taken")
            del self._ids_by_email[_folded(row.email_address)]
            row = replace(row, email_address=email)
        return self._write(row, first_name, fields, created=False)

    def subscriber(self, subscriber_id: int) -> Subscriber:
        row = self.account.subscribers.get(subscriber_id)
        if row is None:
            raise not_found()
        return row

    def subscriber_by_email(self, email: str) -> Subscriber:
        row_id = self._ids_by_email.get(_folded(email))
        if row_id is None:
            raise not_found()
        return self.account.subscribers[row_id]

    def unsubscribe(self, subscriber_id: int) -> None:
        """Tags and fields stay; no call brings the subscriber back."""
        row = self.subscriber(subscriber_id)
        if row.state != "cancelled":
            self._put(replace(row, state="cancelled", canceled_at=self._now()))

    def set_state(self, subscriber_id: int, state: SubscriberState) -> None:
        """What Kit's API cannot do and the world does: a bounce, a complaint, a confirmation. For tests and people."""
        self._put(replace(self.subscriber(subscriber_id), state=state))

    # --- tags

    def create_tag(self, name: str) -> tuple[Tag, bool]:
        """The tag, and whether it is new. Matched without regard to case."""
        name = name.strip()
        if not name:
            raise Refusal(422, "Name can't be blank")
        for tag in self.account.tags.values():
            if tag.name.casefold() == name.casefold():
                return tag, False
        tag = Tag(_next_id(self.account.tags), name, self._now())
        self.account.tags[tag.id] = tag
        self.listed_tags.put(tag.id, tag)
        self.revision += 1
        return tag, True

    def tag(self, tag_id: int) -> Tag:
        tag = self.account.tags.get(tag_id)
        if tag is None:
            raise not_found()
        return tag

    def add_tag(self, tag_id: int, row: Subscriber) -> Written:
        self.tag(tag_id)
        if tag_id in row.tags:
            return Written(row, created=False)
        row = replace(row, tags={**row.tags, tag_id: self._now()})
        self._put(row)
        return Written(row, created=True)

    def remove_tag(self, tag_id: int, row: Subscriber) -> None:
        """A tag that is not held counts as removed: what Kit says then is unknown (docs/facts/kit.md §2)."""
        self.tag(tag_id)
        if tag_id in row.tags:
            self._put(replace(row, tags={held: since for held, since in row.tags.items() if held != tag_id}))

    # --- custom fields

    def create_field(self, label: str) -> tuple[CustomField, bool]:
        """The field, and whether it is new. A label that makes the key of another is that one (our assumption)."""
        label = label.strip()
        key = field_key(label)
        if not key:
            raise Refusal(422, "Label can't be blank")
        for field in self.account.custom_fields.values():
            if field.key == key:
                return field, False
        field = CustomField(_next_id(self.account.custom_fields), key, label)
        self.account.custom_fields[field.id] = field
        self.listed_fields.put(field.id, field)
        self.revision += 1
        return field, True

    # --- sequences

    def create_sequence(self, name: str) -> Sequence:
        """Not a route yet: for what a test or a demo has from the start."""
        for known in self.account.sequences.values():
            if known.name.casefold() == name.casefold():
                return known
        sequence = Sequence(_next_id(self.account.sequences), name, self._now())
        self.account.sequences[sequence.id] = sequence
        self.revision += 1
        return sequence

    def deactivate_sequence(self, sequence_id: int) -> None:
        """What a person does in Kit. For tests."""
        self.account.sequences[sequence_id] = replace(self.sequence(sequence_id), active=False)
        self.revision += 1

    def sequence(self, sequence_id: int) -> Sequence:
        sequence = self.account.sequences.get(sequence_id)
        if sequence is None:
            raise not_found()
        return sequence

    def add_to_sequence(self, sequence_id: int, row: Subscriber) -> Written:
        """Once; a further request changes nothing but our count of them."""
        if not self.sequence(sequence_id).active:
            raise Refusal(422, "Sequence is inactive", nested=True)
        known = row.sequences.get(sequence_id)
        enrolment = Enrolment(self._now(), 1) if known is None else replace(known, adds=known.adds + 1)
        row = replace(row, sequences={**row.sequences, sequence_id: enrolment})
        self._put(row)
        return Written(row, created=known is None)

    # --- inside

    def settle(self) -> None:
        """Sets the late fields that are due; called before each request is answered."""
        now = self._clock()
        due = [late for late in self.account.late_fields if late.due <= now]
        if not due:
            return
        self.account.late_fields = [late for late in self.account.late_fields if late.due > now]
        for late in due:
            row = self.account.subscribers[late.subscriber_id]
            self._put(replace(row, fields={**row.fields, **late.fields}))

    def _write(self, row: Subscriber, first_name: str | None, fields: dict[str, str], *, created: bool) -> Written:
        if len(fields) > FIELDS_MAX:
            raise Refusal(422, f"A maximum of {FIELDS_MAX} custom fields can be set at a time")
        keys = {field.key for field in self.account.custom_fields.values()}
        known = {key: value for key, value in fields.items() if key in keys}
        if first_name is not None:
            row = replace(row, first_name=first_name)
        late = len(fields) > FIELDS_AT_ONCE_MAX
        if late:
            due = self._clock() + self._late_fields_seconds
            self.account.late_fields.append(LateFields(row.id, known, due))
        else:
            row = replace(row, fields={**row.fields, **known})
        self._put(row)
        unknown = tuple(sorted(set(fields) - keys))
        return Written(row, created=created, unknown=unknown, late=late)

    def _put(self, row: Subscriber) -> None:
        self.account.subscribers[row.id] = row
        self._ids_by_email[_folded(row.email_address)] = row.id
        self.listed_subscribers.put(row.id, row)
        self.revision += 1

    def _now(self) -> str:
        return kit_time(self._clock())


def field_key(label: str) -> str:
    """Kit's key of a label: ASCII only, lower case, underscores (the OpenAPI text of POST /v4/custom_fields)."""
    ascii_only = unicodedata.normalize("NFKD", label).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "_", ascii_only.lower()).strip("_")


def _folded(email: str) -> str:
    return email.strip().casefold()


def _next_id(rows: Iterable[int]) -> int:
    return max(rows, default=FIRST_ID - 1) + 1
