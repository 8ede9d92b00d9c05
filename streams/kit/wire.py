"""Kit's API v4 without the network: which HTTP call makes a request of ours, and what an answer means.

In: `processors.messages.Request`, or what a list page needs; and an `Answer` or a `Lost` from client.py. Out: a `Call`
to make; a `Result`. All of it is pure, so that every call can be held to Kit's OpenAPI document. Called by client.py.
"""

import re
from dataclasses import dataclass, field
from typing import assert_never

import msgspec

from processors.messages import (
    UNREADABLE,
    AddTag,
    AddToSequence,
    Ambiguous,
    Done,
    NotMade,
    Rejected,
    RemoveTag,
    Request,
    Result,
    Upsert,
)

PAGE_ITEMS = 1000
"""Kit's maximum: the fewest requests for a list."""
WORDS_CHARS_MAX = 500
"""Kit's errors are a sentence; what is longer is a page of a proxy, of which the beginning tells enough."""


@dataclass(frozen=True, slots=True)
class Call:
    """One HTTP request below the base. `body` None: none is sent."""

    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    body: dict[str, object] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer, read to its end."""

    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """No whole answer came. `reason` is for people and names no email and no credential."""

    reason: str


class KitSubscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A subscriber as Kit shows it. `fields`: Kit's key → value, null where none is set."""

    id: int
    email_address: str
    state: str
    first_name: str | None = None
    fields: dict[str, str | None] = {}


class _Held(msgspec.Struct, frozen=True):
    id: int
    state: str


class _Seen(msgspec.Struct, frozen=True):
    """Of an answer just what a result needs: nothing else in it may make a request look as if it had been lost."""

    subscriber: _Held


class SubscriberAnswer(msgspec.Struct, frozen=True):
    """`warnings`: field keys that the account lacks; Kit ignored them and did the rest (docs/facts/kit.md §4)."""

    subscriber: KitSubscriber
    warnings: tuple[str, ...] = ()


class _Errors(msgspec.Struct, frozen=True):
    """The items are texts; for sequences each may be wrapped in an array (docs/facts/kit.md §1)."""

    errors: tuple[str | tuple[str, ...], ...]


def call_for(request: Request) -> Call:
    """The one HTTP call that makes this request."""
    match request:
        case Upsert(email=email, create_as=state, fields=fields):
            body: dict[str, object] = {"email_address": email, "state": state}
            return Call("POST", "/v4/subscribers", body=body | ({"fields": fields} if fields else {}))
        case AddTag(email=email, tag_id=tag_id):
            return Call("POST", f"/v4/tags/{tag_id}/subscribers", body={"email_address": email})
        case RemoveTag(subscriber_id=subscriber_id, tag_id=tag_id):
            return Call("DELETE", f"/v4/tags/{tag_id}/subscribers/{subscriber_id}")
        case AddToSequence(email=email, sequence_id=sequence_id):
            return Call("POST", f"/v4/sequences/{sequence_id}/subscribers", body={"email_address": email})
        case _:
            assert_never(request)


def list_call(path: str, after: str | None) -> Call:
    """One page of a list, from its beginning or after a cursor."""
    return Call("GET", path, query={"per_page": str(PAGE_ITEMS)} | ({"after": after} if after else {}))


def look_up_call(email: str) -> Call:
    """Without `status=all` Kit looks only among the active: cancelled people would look absent (docs/facts/kit.md
    §4).
    """
    return Call("GET", "/v4/subscribers", query={"email_address": email, "status": "all"})


def result_of(request: Request, answer: Answer | Lost) -> Result:
    """What an answer means for the request. Nothing here is tried again: the dispatcher plans anew."""
    match answer:
        case Lost(reason=reason):
            return Ambiguous(reason=reason)
        case Answer(status=status) if 200 <= status < 300:
            return _done(request, answer)
        case Answer(status=404) if isinstance(request, RemoveTag):
            # The tag or the subscriber is gone: what was wanted holds.
            return Done(status=404)
        case _:
            return _not_done(answer)


def is_refusal(status: int) -> bool:
    """408 is a proxy that ran out of patience, so it says as little as a 5xx."""
    return 400 <= status < 500 and status != 408


def unusable(status: int) -> str:
    if 300 <= status < 400:
        return f"Kit answered {status}, a redirect, which is not followed: check MILLRACE_KIT_API_BASE"
    return f"Kit answered {status}"


def kit_words(answer: Answer) -> str:
    """The texts of `errors`; of anything else than Kit's JSON, its beginning."""
    try:
        errors = msgspec.json.decode(answer.body, type=_Errors).errors
    except UNREADABLE:
        return answer.body.decode(errors="replace").strip()[:WORDS_CHARS_MAX]
    texts = [text for item in errors for text in ((item,) if isinstance(item, str) else item)]
    return "; ".join(texts)[:WORDS_CHARS_MAX]


def warnings_of(answer: Answer) -> tuple[str, ...]:
    """Of an answer that `result_of` called done."""
    try:
        return msgspec.json.decode(answer.body, type=SubscriberAnswer).warnings
    except UNREADABLE:
        return ()


def _not_done(answer: Answer) -> NotMade | Rejected | Ambiguous:
    if answer.status == 401:
        return NotMade(cause="unauthorised")
    if answer.status == 429:
        return NotMade(cause="rate_limited")
    if is_refusal(answer.status):
        return Rejected(status=answer.status, message=kit_words(answer))
    return Ambiguous(reason=unusable(answer.status))


def _done(request: Request, answer: Answer) -> Done | Ambiguous:
    if isinstance(request, RemoveTag):
        return Done(status=answer.status)
    try:
        subscriber = msgspec.json.decode(answer.body, type=_Seen).subscriber
    except UNREADABLE:
        return Ambiguous(reason=f"Kit answered {answer.status} with a body that names no subscriber")
    ignored = _ignored(request, warnings_of(answer)) if isinstance(request, Upsert) else ()
    return Done(status=answer.status, subscriber_id=subscriber.id, state=subscriber.state, ignored=ignored)


def _ignored(upsert: Upsert, warnings: tuple[str, ...]) -> tuple[str, ...]:
    """The keys that are named: Kit says no more about a warning than that it does so."""
    words = {word for warning in warnings for word in re.findall(r"\w+", warning)}
    return tuple(key for key in upsert.fields if key in words or key in warnings)
