"""The part of a Stripe event that tells where it goes: raw bytes in, a typed envelope or a refusal out.

Called by streams/edge/routing.py. Only a handful of fields is decoded, the rest is skipped at C speed. Fields of the
object that differ between versions of the API are left as they are (`Any`): an event of a type nobody reads must not
be refused because one of them looks unusual.
"""

from typing import Any, Final

import msgspec

from processors.messages import UNREADABLE
from streams.edge.nesting import DEPTH_MAX, is_deeper_than

SNAPSHOT: Final = "event"
"""`object` of an event that carries its object; thin ones say `v2.core.event` or another."""


class StripeObject(msgspec.Struct, frozen=True, gc=False):
    """`data.object`. Ids may be given as text or as the expanded object with an `id`."""

    id: Any = None
    object: Any = None
    customer: Any = None
    customer_account: Any = None
    customer_details: Any = None
    payment_intent: Any = None
    charge: Any = None
    payment: Any = None


class Data(msgspec.Struct, frozen=True, gc=False):
    object: StripeObject


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """An event with its object, as webhooks send it unless asked for thin ones."""

    id: str
    type: str
    data: Data
    object: str = SNAPSHOT
    livemode: Any = None
    account: Any = None
    context: Any = None


class ThinEnvelope(msgspec.Struct, frozen=True, gc=False):
    """An event that only names its object (https://docs.stripe.com/event-destinations#thin-events)."""

    id: str
    type: str
    object: str
    livemode: Any = None
    context: Any = None
    related_object: Any = None


class NoEvent(msgspec.Struct, frozen=True, gc=False):
    """These bytes are no event of Stripe's. `reason` is for people."""

    reason: str


_decode_envelope = msgspec.json.Decoder(Envelope).decode
_decode_thin = msgspec.json.Decoder(ThinEnvelope).decode


def read_envelope(body: bytes) -> Envelope | ThinEnvelope | NoEvent:
    """Raises nothing, whatever the bytes are. Of keys that come twice the last one counts, as in every reader of ours.

    The bytes are checked to be UTF-8 because the decoder does not look into the strings that it skips.
    """
    if not body.isascii() and not _is_utf8(body):
        return NoEvent("the body is not UTF-8")
    if is_deeper_than(body):
        return NoEvent(f"the body is nested deeper than {DEPTH_MAX}")
    try:
        envelope = _decode_envelope(body)
    except UNREADABLE as error:
        return _read_thin(body, error)
    if not envelope.id or not envelope.type:
        return NoEvent("the event's id or type is empty")
    return envelope if envelope.object == SNAPSHOT else _read_thin(body, None)


def _read_thin(body: bytes, error: Exception | None) -> ThinEnvelope | NoEvent:
    try:
        thin = _decode_thin(body)
    except UNREADABLE as also:
        return NoEvent(f"the body is no Stripe event: {error or also}")
    if thin.object == SNAPSHOT or not thin.id or not thin.type:
        return NoEvent(f"the body is no Stripe event: {error or 'its id or type is empty'}")
    return thin


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True
