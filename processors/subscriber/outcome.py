"""What the results of an intent's requests mean for what Kit is known to hold. Called by step.py.

Done       it holds, or the command is over and goes into the ledger
Rejected   parked with Kit's words; the rest goes on
Ambiguous  nobody knows: what the request touched is unknown, and planned again
NotMade    planned again
Withheld   the command is over
"""

from typing import assert_never

from msgspec.structs import replace

from processors.id_set import added
from processors.ids import CommandId
from processors.messages import (
    AddTag,
    AddToSequence,
    Ambiguous,
    Done,
    Intent,
    NotMade,
    Outcome,
    Rejected,
    RemoveTag,
    Request,
    Result,
    Upsert,
    Withheld,
)
from processors.subscriber.plan import PARKED_AS_A_WHOLE, parked_key
from processors.subscriber.state import Holding, Known, Subscriber

NO_RESULT = Ambiguous(reason="the outcome has no result for this request")


def folded_outcome(before: Subscriber, intent: Intent, outcome: Outcome) -> Subscriber:
    after = before
    asked = len(intent.requests)
    results = (outcome.results + (NO_RESULT,) * asked)[:asked]
    for request, result in zip(intent.requests, results, strict=True):
        after = _folded(after, request, result)
    return replace(
        after,
        intent=None,
        revision=before.revision + 1,
        attempts=_attempts(before.attempts, results),
        retry_ms=outcome.retry_ms,
        told_ms=_told_ms(before, results, outcome.finished_ms),
    )


def _attempts(before: int, results: tuple[Result, ...]) -> int:
    """What was not made says nothing about this subscriber."""
    if any(isinstance(result, Ambiguous) for result in results):
        return before + 1
    return before if all(isinstance(result, NotMade) for result in results) else 0


def _told_ms(before: Subscriber, results: tuple[Result, ...], finished_ms: int) -> int:
    """Never before what was asked earlier in the log: a worker's late clock must not make it ask for ever."""
    if not any(isinstance(result, Done) and result.state is not None for result in results):
        return before.told_ms
    return max(finished_ms, *(command.asked_ms for command in before.commands), 1)


def _folded(before: Subscriber, request: Request, result: Result) -> Subscriber:
    match result:
        case Done():
            return _done(before, request, result)
        case Rejected():
            return _rejected(before, request, result)
        case Ambiguous():
            return _unknown(before, request)
        case NotMade():
            return before
        case Withheld():
            return _over(before, request.command) if isinstance(request, AddToSequence) else before
        case _:
            assert_never(result)


def _done(before: Subscriber, request: Request, result: Done) -> Subscriber:
    known = replace(
        before.known,
        id=result.subscriber_id if result.subscriber_id is not None else before.known.id,
        state=result.state if result.state is not None else before.known.state,
    )
    match request:
        case Upsert():
            fields = known.fields | request.labels | dict.fromkeys(result.ignored)
            # An empty value is what a field has that we never set: nothing is left to take back.
            known = replace(known, fields={name: value for name, value in fields.items() if value != ""})
            return replace(before, known=known, parked=before.parked | _ignored_again(before, result))
        case AddTag():
            return replace(before, known=_tag(known, request.name, Holding.HELD), absent=False)
        case RemoveTag():
            return replace(before, known=_tag(known, request.name, None))
        case AddToSequence():
            return _over(replace(before, known=known, absent=False), request.command)
        case _:
            assert_never(request)


def _ignored_again(before: Subscriber, result: Done) -> dict[str, str]:
    """A field that Kit ignores is planned again, with a key that is looked up anew; then it is parked."""
    words = "Kit has ignored it: it has no field of this key"
    known = before.known.fields
    return {parked_key("field", label): words for label in result.ignored if label in known and known[label] is None}


def _rejected(before: Subscriber, request: Request, result: Rejected) -> Subscriber:
    words = f"Kit answered {result.status}: {result.message}"
    match request:
        case Upsert():
            names = [parked_key("field", label) for label in request.labels] or [PARKED_AS_A_WHOLE]
        case RemoveTag() if result.status == 404:
            return replace(before, known=_tag(before.known, request.name, None))
        case AddTag() | AddToSequence() if result.status == 404 and not before.absent:
            # Its id was fresh, so it is the subscriber that Kit lacks: someone deleted it. It is made anew, once.
            return replace(before, known=Known(), absent=True)
        case AddTag() | RemoveTag():
            names = [parked_key("tag", request.name)]
        case AddToSequence():
            names = [parked_key("sequence", each.sequence) for each in before.commands if each.id == request.command]
        case _:
            assert_never(request)
    return replace(before, parked=before.parked | dict.fromkeys(names, words))


def _unknown(before: Subscriber, request: Request) -> Subscriber:
    match request:
        case Upsert():
            fields = before.known.fields | dict.fromkeys(request.labels, None)
            return replace(before, known=replace(before.known, fields=fields))
        case AddTag() | RemoveTag():
            return replace(before, known=_tag(before.known, request.name, Holding.UNKNOWN))
        case AddToSequence():
            return before  # still pending; Kit answers 200 where it has been added already
        case _:
            assert_never(request)


def _over(before: Subscriber, command: CommandId) -> Subscriber:
    left = tuple(each for each in before.commands if each.id != command)
    return replace(before, commands=left, done=added(before.done, command))


def _tag(known: Known, name: str, holding: Holding | None) -> Known:
    folded = name.casefold()
    tags = {other: held for other, held in known.tags.items() if other != folded}
    return replace(known, tags=tags if holding is None else tags | {folded: holding})
