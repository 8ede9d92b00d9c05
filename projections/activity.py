"""What has happened and what waits, counted: the numbers of `/ops/api/status` that come out of the log.

streams/ops/tail.py feeds it every record of customer.changes, subscriber.events, both tables' changelogs and the topics
that no agent reads, each once and in the order of its partition; status.py beside it reads the counts. Nothing
else is kept, so it is made anew from the log at every start.
"""

from collections import Counter
from dataclasses import dataclass, field

from processors.customer import AppliedCatalogue, decode_customers_state
from processors.ids import CATALOGUE_KEY, catalogue_key
from processors.messages import (
    UNREADABLE,
    BudgetSpent,
    NotMade,
    Outcome,
    SubscriberMessage,
    decode_change,
    decode_subscriber_message,
    was_made,
)
from processors.record import Record
from processors.subscriber import decode_subscriber, has_work


@dataclass(slots=True)
class Activity:
    """Running counts. `unread`: records by topic, where no agent reads it; without applied catalogues. `waiting`:
    subscriber key → when its work was first seen to wait, in ms. `reconsidering`: partitions whose customers
    still decide anew under a new catalogue; `catalogues_moved`: how often that has begun or ended in one.
    """

    dispositions: Counter[str] = field(default_factory=Counter)
    unread: Counter[str] = field(default_factory=Counter)
    requests_made: int = 0
    refused_429: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    reconsidering: set[int] = field(default_factory=set)
    catalogues_moved: int = 0

    def saw_change(self, record: Record) -> None:
        """A record of customer.changes."""
        try:
            change = decode_change(record.value)
        except UNREADABLE:
            return  # not ours: whoever wrote it, it counts nothing
        if change.event is not None:
            self.dispositions[change.disposition] += 1

    def saw_unread(self, record: Record) -> None:
        """A record of a topic that no agent reads. Offsets would not do: transactions leave marks between records."""
        if record.key != CATALOGUE_KEY.encode():
            self.unread[record.topic] += 1

    def saw_subscriber_event(self, record: Record) -> None:
        """A record of subscriber.events."""
        try:
            self._count_subscriber_message(decode_subscriber_message(record.value))
        except UNREADABLE:
            return  # the agent makes a dead letter of it

    def _count_subscriber_message(self, message: SubscriberMessage) -> None:
        match message:
            case Outcome():
                self.requests_made += sum(map(was_made, message.results))
                self.refused_429 += sum(
                    isinstance(result, NotMade) and result.cause == "rate_limited" for result in message.results
                )
            case BudgetSpent():
                self.requests_made += message.requests
            case _:
                pass

    def saw_subscriber(self, key: str, value: bytes, now_ms: int) -> None:
        """A record of the subscribers' changelog; an empty value is a deletion."""
        subscriber = decode_subscriber(value) if value else None
        if subscriber is not None and has_work(subscriber):
            self.waiting.setdefault(key, now_ms)
        else:
            self.waiting.pop(key, None)

    def saw_customer(self, record: Record) -> None:
        """A record of the customers' changelog. Only the applied catalogues among them count."""
        if record.key != catalogue_key(record.partition).encode():
            return
        self.catalogues_moved += 1
        state = decode_customers_state(record.value)
        if isinstance(state, AppliedCatalogue) and not state.settled:
            self.reconsidering.add(record.partition)
        else:
            self.reconsidering.discard(record.partition)

    def oldest_waiting_seconds(self, now_ms: int) -> float:
        return max(0.0, (now_ms - min(self.waiting.values())) / 1000) if self.waiting else 0.0
