"""The outputs of a record of customer.events: what it meant (customer.changes), what it causes, why it is unreadable.

Called by step.py as the last of its steps.
"""

from enum import StrEnum

from processors.catalogue.rules import Catalogue
from processors.customer.decide import Decision
from processors.customer.objects import Event
from processors.customer.wishes import Wishes
from processors.dead_letter import dead_letter
from processors.ids import CustomerKey, subscriber_key
from processors.messages import CustomerChanged, Enrol
from processors.record import Output, Record, Topic


class Disposition(StrEnum):
    """What became of a record; the status counts them."""

    PROCESSED = "processed"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    UNREADABLE = "unreadable"


def outputs(
    key: CustomerKey, record: Record, decision: Decision, catalogue: Catalogue, event: Event | None
) -> tuple[Output, ...]:
    """The commands, each to its subscriber, then what they come from."""
    commands = (
        Output(Topic.SUBSCRIBER_EVENTS, subscriber_key(command.email), command) for command in decision.commands
    )
    wishes = decision.wishes
    message = CustomerChanged(
        customer=key,
        disposition=Disposition.PROCESSED,
        event=event.id if event else None,
        event_type=event.type if event else "",
        offset=record.offset,
        moments=decision.moments,
        commands=tuple(command.id for command in decision.commands if isinstance(command, Enrol)),
        tags=tuple(dict.fromkeys(tag.name for tag in wishes.tags)) if wishes is not None else None,
        fields=_winning_values(wishes) if wishes is not None else None,
        catalogue=catalogue.version,
    )
    return (*commands, Output(Topic.CUSTOMER_CHANGES, key, message))


def changed(key: CustomerKey, record: Record, disposition: Disposition, event: Event | None) -> Output:
    """Where nothing was decided."""
    message = CustomerChanged(
        customer=key,
        disposition=disposition,
        event=event.id if event else None,
        event_type=event.type if event else "",
        offset=record.offset,
    )
    return Output(Topic.CUSTOMER_CHANGES, key, message)


def unreadable(key: CustomerKey, record: Record, reason: str, event: Event | None = None) -> tuple[Output, ...]:
    """`event`: given where its envelope could be read, and only its object could not."""
    letter = dead_letter(record, f"{event.type}: {reason}" if event else reason)
    return letter, changed(key, record, Disposition.UNREADABLE, event)


def _winning_values(wishes: Wishes) -> dict[str, str]:
    """Of several values for one field the one that stands (docs/interfaces.md §6), as far as this customer alone
    tells.
    """
    ranked = sorted(wishes.fields, key=lambda wish: (wish.tier_rank, wish.period_end, wish.place))
    return {wish.name: wish.value for wish in ranked}
