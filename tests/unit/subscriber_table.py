"""A table of one subscriber and the records that it takes, for tests of the subscribers core; and short messages."""

from collections.abc import Callable, Sequence
from itertools import count

from processors.messages import (
    Align,
    DeadLetter,
    Enrol,
    FieldWish,
    Intent,
    Outcome,
    Request,
    Result,
    SubscriberMessage,
    TagWish,
    encode,
)
from processors.record import Record, Source, Topic
from processors.subscriber import Names, Subscriber, advance, decode_subscriber, encode_subscriber, plan

KEY = "8f1"
EMAIL = "jane@example.com"


class SubscriberTable:
    """Every state goes through its bytes, as it does between two transactions of the worker.

    `now_ms`: the time that records are received and outcomes finished at.
    """

    def __init__(self) -> None:
        self.now_ms = 1_800_000_000_000
        self.bytes: dict[str, bytes] = {}
        self.letters: list[DeadLetter] = []
        self._offsets = count()
        self._intents = count(1)

    def get(self, key: str) -> Subscriber | None:
        return decode_subscriber(self.bytes[key]) if key in self.bytes else None

    @property
    def state(self) -> Subscriber:
        return decode_subscriber(self.bytes[KEY])

    def take(self, message: SubscriberMessage | bytes, source: Source = Source.WEBHOOK, key: bytes = b"8f1") -> None:
        value = message if isinstance(message, bytes) else encode(message)
        record = Record(Topic.SUBSCRIBER_EVENTS, 0, next(self._offsets), key, value, source, received_ms=self.now_ms)
        advanced = advance(self, record)
        self.letters += [output.message for output in advanced.outputs if isinstance(output.message, DeadLetter)]
        if advanced.state is not None:
            self.bytes[advanced.key] = encode_subscriber(advanced.state)

    def intend(self, names: Names, requests: Sequence[Request] | None = None) -> Intent:
        """The intent of what is planned now (or of these requests), folded."""
        chosen = plan(self.state, names).requests if requests is None else tuple(requests)
        intent = Intent(
            id=f"i{next(self._intents)}", revision=self.state.revision, lane="lane", requests=chosen, planned_ms=1
        )
        self.take(intent)
        return intent

    def settle(self, names: Names, answer: Callable[[Request], Result], rounds_max: int = 12) -> list[Request]:
        """Plans, asks and folds until nothing is planned; returns what was asked."""
        asked: list[Request] = []
        for _ in range(rounds_max):
            intent = self.intend(names)
            results = tuple(answer(request) for request in intent.requests)
            self.take(Outcome(intent=intent.id, results=results, finished_ms=self.now_ms))
            if not intent.requests:
                return asked
            asked += intent.requests
        raise AssertionError(f"not settled after {rounds_max} rounds: {asked}")


def align(
    *tags: str | TagWish,
    version: int = 1,
    customer: str = "cus_1",
    fields: dict[str, str] | Sequence[FieldWish] = (),
    create_as: str = "active",
    create_missing: bool = True,
) -> Align:
    wishes = (
        [FieldWish(name=name, value=value, rule="offer 'Pro' while.active") for name, value in fields.items()]
        if isinstance(fields, dict)
        else fields
    )
    return Align(
        customer=customer,
        email=EMAIL,
        version=version,
        tags=tuple(tag if isinstance(tag, TagWish) else TagWish(name=tag, rule="while.active") for tag in tags),
        fields=tuple(wishes),
        create_as=create_as,
        create_missing=create_missing,
        catalogue="c1",
    )


def enrol(
    id_: str = "enrol:in_1", sequence: str = "Welcome", customer: str = "cus_1", create_as: str = "active"
) -> Enrol:
    return Enrol(
        id=id_,
        customer=customer,
        email=EMAIL,
        sequence=sequence,
        rule="when.purchased",
        create_as=create_as,
        catalogue="c1",
    )
