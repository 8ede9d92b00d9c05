"""What the simulated Kit holds, for people and tests: `GET /simulator/state` and `KitSimulator.snapshot`."""

import msgspec

from streams.kit.simulator.account import Account, Subscriber
from streams.kit.simulator.journal import Journal


class HeldSubscriber(msgspec.Struct, frozen=True, kw_only=True):
    """`tags`: names, sorted; `fields`: key → value; `sequences`: name → how many requests to add were accepted."""

    id: int
    email_address: str
    state: str
    first_name: str | None
    tags: tuple[str, ...]
    fields: dict[str, str]
    sequences: dict[str, int]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """`subscribers` by email; `custom_fields`: label → key; `requests` since the start, `refused_429` among them."""

    subscribers: tuple[HeldSubscriber, ...]
    tags: tuple[str, ...]
    custom_fields: dict[str, str]
    sequences: tuple[str, ...]
    requests: int
    refused_429: int

    def by_email(self, email: str) -> HeldSubscriber | None:
        return next((held for held in self.subscribers if held.email_address == email), None)


def snapshot_of(account: Account, journal: Journal) -> Snapshot:
    held = (_held(account, row) for row in account.subscribers.values())
    return Snapshot(
        subscribers=tuple(sorted(held, key=lambda row: row.email_address)),
        tags=tuple(sorted(tag.name for tag in account.tags.values())),
        custom_fields={field.label: field.key for field in account.custom_fields.values()},
        sequences=tuple(sequence.name for sequence in account.sequences.values()),
        requests=journal.requests,
        refused_429=journal.refused_429,
    )


def _held(account: Account, row: Subscriber) -> HeldSubscriber:
    return HeldSubscriber(
        id=row.id,
        email_address=row.email_address,
        state=row.state,
        first_name=row.first_name,
        tags=tuple(sorted(account.tags[tag_id].name for tag_id in row.tags)),
        fields=dict(row.fields),
        sequences={account.sequences[key].name: enrolment.adds for key, enrolment in row.sequences.items()},
    )
