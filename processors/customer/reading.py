"""What a record of customer.events is: a Stripe event, one of our own messages, or unreadable. Called by step.py.

Stripe's bytes are in the log exactly as they were signed; our own messages are told from them by their `type`.
"""

from dataclasses import dataclass

import msgspec

from processors import messages
from processors.customer.objects import Event, EventData
from processors.ids import EventId
from processors.messages import UNREADABLE, CustomerMessage

OURS = frozenset({"catalogue_applied", "customers_reconsidered", "reconsider"})
"""The `type` of each of `messages.CustomerMessage`; Stripe's types all have a dot."""

SNAPSHOT = "event"
"""`object` of an event that carries its object; thin ones say `v2.core.event` or another."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`reason` is a sentence for people; it names the path in the value where there is one."""

    reason: str


class _Thin(msgspec.Struct, frozen=True):
    """An event that only names its object (https://docs.stripe.com/event-destinations#thin-events)."""

    id: EventId
    type: str
    object: str


_event = msgspec.json.Decoder(Event)
_thin = msgspec.json.Decoder(_Thin)


def read_value(value: bytes) -> Event | CustomerMessage | Unreadable:
    try:
        return _event.decode(value)
    except UNREADABLE as error:
        return _ours(value) or _without_object(value) or Unreadable(reason_of(error))


def reason_of(fault: Exception) -> str:
    match fault:
        case msgspec.ValidationError():
            return str(fault)
        case RecursionError():
            return "The value is nested too deeply."
        case _:
            return f"The value is no JSON: {fault}"


def _ours(value: bytes) -> CustomerMessage | Unreadable | None:
    """Tried second: of a million records hardly one is ours. None: it says it is something else, or nothing."""
    try:
        if messages.type_of(value) not in OURS:
            return None
        ours: CustomerMessage = messages.decode_customer_message(value)
    except UNREADABLE as error:
        return Unreadable(reason_of(error))
    return ours


def _without_object(value: bytes) -> Event | None:
    """A thin event as one that is not read: there is nothing in it. None: it is none either."""
    try:
        thin = _thin.decode(value)
    except UNREADABLE:
        return None
    if thin.object == SNAPSHOT:
        return None
    return Event(id=thin.id, type=thin.type, created=0, data=EventData(object=msgspec.Raw(b"null")))
