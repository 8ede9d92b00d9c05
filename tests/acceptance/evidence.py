"""What a run must have left behind, whatever was killed: in Kit, in the log, and between the two.

Kit ends as the stories tell, and as after a run without kills. What was answered 200 is in the log. And once only:

- a command is answered `done` once in the log, and never asked again after that;
- what Kit sees of a subscriber is what its accepted intents ask, in their order: no intent is performed twice, by
  nobody, and none goes on after a later one has begun;
- Kit takes an enrolment once (201). It is asked again (200, no effect) only where the process that had asked before
  died, or a fault of Kit's swallowed the answer, before the outcome was in the log.
"""

import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson

from processors.ids import CommandId
from processors.messages import AddToSequence, Done, Intent, Outcome, RemoveTag, Request, decode_subscriber_message
from processors.record import Record, Topic
from processors.subscriber import Subscriber, advance
from streams.kit.simulator import FaultKind, KitSimulator
from streams.kit.simulator.journal import Entry
from streams.kit.wire import Call, call_for
from streams.log import Log
from streams.open_log import open_log
from streams.samples import expected
from streams.settings import Settings
from streams.topics import partitions_of
from tests.acceptance.stripe_player import CUSTOMERS

EVENT_TOPICS = (Topic.CUSTOMER_EVENTS, Topic.PAYMENT_EVENTS, Topic.CATALOGUE_EVENTS, Topic.STRIPE_OTHER)
LATE_SECONDS = 2.0
"""What a process had sent before it was killed, the simulator may read a little later."""
LOSING = frozenset(kind.value for kind in FaultKind) - {FaultKind.SLOW.value}
"""Faults under which the client gets no answer that says what Kit did."""
LISTS = frozenset({"/v4/tags", "/v4/custom_fields"})
"""POST there makes a name: no subscriber's request."""


class Holding(NamedTuple):
    state: str
    tags: tuple[str, ...]
    fields: dict[str, str]
    sequences: tuple[str, ...]


def kit_holds(kit: KitSimulator) -> dict[str, Holding]:
    """By email. Empty fields are as good as none: Kit cannot forget a field that was set once. Whoever holds nothing is
    left out: what was wished for a moment only may have been over before Kit was asked, or not.
    """
    holdings = {
        row.email_address.lower(): Holding(
            row.state,
            row.tags,
            {key: value for key, value in row.fields.items() if value},
            tuple(sorted(row.sequences)),
        )
        for row in kit.snapshot().subscribers
    }
    return {email: held for email, held in holdings.items() if held.tags or held.fields or held.sequences}


def assert_as_told(kit: KitSimulator, seeds: Iterable[int], customers: int = CUSTOMERS) -> None:
    held = {
        email: (frozenset(one.tags), frozenset(one.sequences))
        for email, one in kit_holds(kit).items()
        if one.tags or one.sequences
    }
    truth = {email: (told.tags, told.sequences) for seed in seeds for email, told in expected(seed, customers).items()}
    assert held == truth


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Log]:
    """The log as its processes left it, or beside them."""
    log = open_log(settings, read_only=True)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


async def records_of(log: Log, settings: Settings, topic: Topic) -> list[Record]:
    partitions = range(partitions_of(settings, topic))
    return [record for partition in partitions async for record in log.read(topic, partition)]


async def assert_nothing_lost(log: Log, settings: Settings, accepted: Iterable[str]) -> None:
    """Every event that was answered 200 is in the log, under its id."""
    in_log = {
        orjson.loads(record.value).get("id")
        for topic in EVENT_TOPICS
        for record in await records_of(log, settings, topic)
    }
    assert set(accepted) - in_log == set()


async def assert_once_only(log: Log, settings: Settings, kit: KitSimulator, deaths: Sequence[float]) -> None:
    told = _told(await records_of(log, settings, Topic.SUBSCRIBER_EVENTS))
    assert {command: times for command, times in told.done.items() if times > 1} == {}
    assert told.asked_after_done == []
    assert_performed_in_order(told.accepted, kit)
    assert_enrolled_again_only_after_a_lost_answer(kit.journal.entries, deaths)


def assert_performed_in_order(accepted: Iterable[Intent], kit: KitSimulator) -> None:
    """What Kit saw of a subscriber is what its accepted intents ask, in their order, with gaps: no intent is performed
    twice, and none goes on after a later one has begun.
    """
    emails = {row.id: row.email_address for row in kit.snapshot().subscribers}
    intended: dict[str, list[_Asked]] = defaultdict(list)
    for intent in accepted:
        for request in intent.requests:
            intended[_email_of(request, emails)].append(_of_call(call_for(request)))
    made: dict[str, list[_Asked]] = defaultdict(list)
    for entry in filter(_is_performed, kit.journal.entries):
        made[_email_in(entry, emails)].append(_of_entry(entry))
    for email, asked in made.items():
        left = iter(intended[email])
        strange = [request for request in asked if request not in left]  # `in` goes on where the last one was found
        assert strange == [], f"{email}: beyond what its intents ask, or after a later one; in order: {asked}"


def assert_enrolled_again_only_after_a_lost_answer(entries: Iterable[Entry], deaths: Sequence[float]) -> None:
    made: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if _is_performed(entry) and entry.path.startswith("/v4/sequences/"):
            made[entry.path, entry.body["email_address"]].append(entry)
    for enrolment, asked in made.items():
        taken = [entry for entry in asked if entry.applied and entry.status == 201]
        assert len(taken) <= 1, enrolment
        for former, later in pairwise(asked):
            died = any(former.received - LATE_SECONDS <= death <= later.received for death in deaths)
            assert died or former.fault in LOSING, f"asked again without need: {enrolment}"


class _Told(NamedTuple):
    accepted: list[Intent]
    done: Counter[CommandId]
    asked_after_done: list[CommandId]


def _told(records: Iterable[Record]) -> _Told:
    """Folds the subscribers' log as the agent does: which intents it accepted, what they were answered."""
    told = _Told([], Counter(), [])
    states: dict[str, Subscriber] = {}
    for record in records:
        key = record.key.decode()
        before = states.get(key)
        after = advance(states, record).state
        if after is not None:
            states[key] = after
        match decode_subscriber_message(record.value):
            case Intent() as intent if after is not None and after.intent == intent and not _in_flight(before):
                told.accepted.append(intent)
                told.asked_after_done.extend(c for c in _commands(intent) if told.done[c])
            case Outcome() as outcome if before is not None and before.intent is not None:
                told.done.update(_done(before.intent, outcome))
            case _:
                pass
    return told


def _in_flight(state: Subscriber | None) -> bool:
    return state is not None and state.intent is not None


def _commands(intent: Intent) -> list[CommandId]:
    return [request.command for request in intent.requests if isinstance(request, AddToSequence)]


def _done(intent: Intent, outcome: Outcome) -> list[CommandId]:
    if outcome.intent != intent.id:
        return []  # a repeat of an outcome that is folded already
    return [
        request.command
        for request, result in zip(intent.requests, outcome.results, strict=True)
        if isinstance(request, AddToSequence) and isinstance(result, Done)
    ]


_Asked = tuple[str, str, str]
"""Method, path, body."""


def _email_of(request: Request, emails: Mapping[int, str]) -> str:
    return emails[request.subscriber_id] if isinstance(request, RemoveTag) else request.email


def _email_in(entry: Entry, emails: Mapping[int, str]) -> str:
    if entry.method == "DELETE":
        return emails[int(entry.path.rsplit("/", 1)[1])]
    email: str = entry.body["email_address"]
    return email


def _is_performed(entry: Entry) -> bool:
    return entry.method != "GET" and entry.path not in LISTS


def _of_entry(entry: Entry) -> _Asked:
    return entry.method, entry.path, _text(entry.body)


def _of_call(call: Call) -> _Asked:
    return call.method, call.path, _text(call.body)


def _text(body: Any) -> str:
    return json.dumps(body or {}, sort_keys=True)
