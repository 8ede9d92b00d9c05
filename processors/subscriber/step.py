"""One record of subscriber.events folded into its subscriber: `advance`, the step of the `subscribers` agent.

In: wishes and commands of the customers agent, intents and outcomes of the Kit dispatcher. Out: the new state, or a
dead letter for what cannot be read. Every message may come twice; the second time changes nothing:

Align     dropped unless its version is higher than its customer's last
Enrol     dropped if it is pending or in the ledger of those done
Intent    refused unless it names the current revision and none is in flight
Outcome   dropped unless it answers the intent in flight
Parked    dropped unless it names the current revision
"""

from typing import assert_never

from msgspec.structs import replace

from processors.dead_letter import dead_letter
from processors.id_set import contains
from processors.ids import normalised_email
from processors.messages import (
    UNREADABLE,
    Align,
    BudgetSpent,
    Enrol,
    Intent,
    Outcome,
    Parked,
    decode_subscriber_message,
)
from processors.record import Advanced, Record, Source, View
from processors.subscriber.outcome import folded_outcome
from processors.subscriber.plan import has_work
from processors.subscriber.state import Command, CustomerWishes, Known, Subscriber

HISTORY = frozenset({Source.BACKFILL, Source.REPLAY})
"""Sources whose work is served last."""


def advance(view: View[Subscriber], record: Record) -> Advanced[Subscriber]:
    try:
        key = record.key.decode()
        message = decode_subscriber_message(record.value)
    except UNREADABLE as error:
        return _unreadable(record, error)
    before = view.get(key)
    after: Subscriber | None
    match message:
        case Align():
            after = _aligned(before, message, record.source)
        case Enrol():
            after = _enrolled(before, message, record)
        case Intent():
            after = _in_flight(before, message)
        case Outcome():
            after = _answered(before, message)
        case Parked():
            after = _parked(before, message)
        case BudgetSpent():
            return Advanced(key, None)
        case _:
            assert_never(message)
    # Written even where nothing else changed: that is how the dispatcher learns of an intent that was refused.
    return Advanced(key, None if after is None else replace(after, last_offset=record.offset))


def _aligned(before: Subscriber | None, align: Align, source: Source) -> Subscriber:
    email = normalised_email(align.email)
    subscriber = before or Subscriber(email=email, known=Known())
    last = subscriber.wishes.get(align.customer)
    if last is not None and align.version <= last.version:
        return subscriber
    wishes = CustomerWishes(
        version=align.version,
        catalogue=align.catalogue,
        tags=align.tags,
        fields=align.fields,
        create_as=align.create_as,
        create_missing=align.create_missing,
    )
    after = replace(subscriber, email=email, wishes=subscriber.wishes | {align.customer: wishes})
    if last is not None and replace(last, version=align.version) == wishes:
        return after
    return _wishing_anew(subscriber, after, source)


def _enrolled(before: Subscriber | None, enrol: Enrol, record: Record) -> Subscriber:
    email = normalised_email(enrol.email)
    subscriber = before or Subscriber(email=email, known=Known())
    if contains(subscriber.done, enrol.id) or any(command.id == enrol.id for command in subscriber.commands):
        return subscriber
    command = Command(
        id=enrol.id,
        sequence=enrol.sequence,
        rule=enrol.rule,
        create_as=enrol.create_as,
        asked_ms=record.received_ms,
    )
    after = replace(subscriber, email=email, commands=(*subscriber.commands, command))
    return _wishing_anew(subscriber, after, record.source)


def _wishing_anew(before: Subscriber, after: Subscriber, source: Source) -> Subscriber:
    """A new wish gives what is parked another try, since it may be what a person changed to make it go."""
    return replace(
        after,
        revision=before.revision + 1,
        parked={},
        backfill=source in HISTORY and (before.backfill or not has_work(before)),
    )


def _in_flight(before: Subscriber | None, intent: Intent) -> Subscriber | None:
    if before is None or before.intent is not None or intent.revision != before.revision:
        return before
    return replace(before, intent=intent)


def _answered(before: Subscriber | None, outcome: Outcome) -> Subscriber | None:
    if before is None or before.intent is None or before.intent.id != outcome.intent:
        return before
    return folded_outcome(before, before.intent, outcome)


def _parked(before: Subscriber | None, parked: Parked) -> Subscriber | None:
    if before is None or parked.revision != before.revision:
        return before
    return replace(before, revision=before.revision + 1, parked=before.parked | parked.names)


def _unreadable(record: Record, error: Exception) -> Advanced[Subscriber]:
    letter = dead_letter(record, f"this is no message that Millrace reads in {record.topic}: {error}")
    return Advanced(record.key.decode(errors="replace"), None, (letter,))
