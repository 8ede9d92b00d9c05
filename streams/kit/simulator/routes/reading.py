"""What every route needs from a request: the state, the body as a typed value, the subscriber it names."""

import re
from typing import TypeVar

import msgspec
from aiohttp import web

from streams.kit.simulator.account import Subscriber
from streams.kit.simulator.refusal import Refusal
from streams.kit.simulator.state import KitState

STATE = web.AppKey("state", KitState)
EMAIL = re.compile(r"[^@\s,]+@[^@\s,]+\.[^@\s,]+")
"""Enough to refuse what is none; what Kit itself accepts is not documented."""

B = TypeVar("B")


class EmailBody(msgspec.Struct, frozen=True):
    email_address: str | None = None


async def body_as(request: web.Request, shape: type[B]) -> B:
    """The JSON body; an absent one, or one not said to be JSON, is an empty object. Unknown keys are ignored."""
    body = await request.read() if request.content_type == "application/json" else b""
    try:
        return msgspec.json.decode(body or b"{}", type=shape)
    except msgspec.MsgspecError as error:
        raise Refusal(422, str(error)) from error


def number(request: web.Request, name: str) -> int:
    return int(request.match_info[name])


def valid_email(email: str | None) -> str:
    if email is None or EMAIL.fullmatch(email.strip()) is None:
        raise Refusal(422, "Email address is invalid")
    return email.strip()


async def named_by_email(request: web.Request, refusal_text: str) -> Subscriber:
    """The subscriber that the body or, for a DELETE, the query names by email; 422 without one, 404 for nobody."""
    email = (await body_as(request, EmailBody)).email_address or request.query.get("email_address")
    if not email:
        raise Refusal(422, refusal_text)
    return request.app[STATE].subscriber_by_email(email)


def named_by_id(request: web.Request) -> Subscriber:
    return request.app[STATE].subscriber(number(request, "id"))
