"""What a record of customer.events is: a Stripe event, one of our own messages, or unreadable. Called by step.py.

Stripe's bytes are in the log exactly as they were signed; our own messages are told from them by their `type`.
"""

from dataclasses import dataclass

import msgspec

from processors import messages
from processors.customer.objects import Event
from processors.messages import CustomerMessage

OURS = frozenset({"catalogue_applied", "customers_reconsidered", "reconsider"})
"""The `type` of each of `messages.CustomerMessage`; Stripe's types all have a dot."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`reason` is a sentence for people; it names the path in the value where there is one."""

    reason: str


class _Typed(msgspec.Struct, frozen=True):
    type: str


_event = msgspec.json.Decoder(Event)
_typed = msgspec.json.Decoder(_Typed)


def opened(value: bytes) -> Event | CustomerMessage | Unreadable:
    try:
        return _event.decode(value)
    except FAULTS as error:
        return _ours(value) or Unreadable(reason_of(error))


FAULTS = (msgspec.DecodeError, RecursionError)
"""All that reading bytes can raise: no JSON, a wrong type (ValidationError), nested too deeply."""


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
        if _typed.decode(value).type not in OURS:
            return None
        ours: CustomerMessage = messages.decode_customer_message(value)
    except FAULTS as error:
        return Unreadable(reason_of(error))
    return ours
