"""/v4/subscribers: the upsert, look-ups, updates, unsubscribing, and a subscriber's tags."""

from aiohttp import web
from msgspec import Struct

from streams.kit.simulator.account import SUBSCRIBER_STATES, Subscriber, SubscriberState
from streams.kit.simulator.answers import json_answer, no_content, subscriber_object
from streams.kit.simulator.paging import page_of
from streams.kit.simulator.refusal import Refusal
from streams.kit.simulator.routes.reading import EMAIL, STATE, body_as, named_by_id, number, valid_email
from streams.kit.simulator.state import KitState, Written


class UpsertBody(Struct, frozen=True):
    email_address: str | None = None
    first_name: str | None = None
    state: SubscriberState | None = None
    fields: dict[str, str] = {}


class UpdateBody(Struct, frozen=True):
    email_address: str | None = None
    first_name: str | None = None
    fields: dict[str, str] = {}


async def create(request: web.Request) -> web.Response:
    body = await body_as(request, UpsertBody)
    email = valid_email(body.email_address)
    written = request.app[STATE].upsert(email, body.first_name, body.state or "active", body.fields)
    return _written(request, written)


async def update(request: web.Request) -> web.Response:
    body = await body_as(request, UpdateBody)
    email = None if body.email_address is None else valid_email(body.email_address)
    written = request.app[STATE].update(number(request, "id"), email, body.first_name, body.fields)
    return _written(request, written)


async def show(request: web.Request) -> web.Response:
    row = named_by_id(request)
    fields = request.app[STATE].account.custom_fields
    return json_answer(200, {"subscriber": subscriber_object(row, fields, canceled_at=row.canceled_at)})


async def listed(request: web.Request) -> web.Response:
    """Of those with `status` (default `active`), all or the ones named, separated by commas."""
    state = request.app[STATE]
    status = request.query.get("status") or "active"
    if status not in {*SUBSCRIBER_STATES, "all"}:
        raise Refusal(422, "Status is invalid")
    emails = _wanted(request.query.get("email_address"))
    rows = {
        row_id: row
        for row_id, row in state.listed_subscribers.rows().items()
        if status in {"all", row.state} and (emails is None or row.email_address.casefold() in emails)
    }
    page, pagination = page_of(rows, request)
    return json_answer(200, {"subscribers": _objects(state, page), "pagination": pagination})


async def unsubscribe(request: web.Request) -> web.Response:
    request.app[STATE].unsubscribe(number(request, "id"))
    return no_content()


async def tags(request: web.Request) -> web.Response:
    state = request.app[STATE]
    row = state.listed_subscribers.rows().get(named_by_id(request).id)
    held = {} if row is None else {tag_id: (state.tag(tag_id), since) for tag_id, since in row.tags.items()}
    page, pagination = page_of(held, request)
    objects = [{"id": tag.id, "name": tag.name, "tagged_at": since} for tag, since in page]
    return json_answer(200, {"tags": objects, "pagination": pagination})


def _written(request: web.Request, written: Written) -> web.Response:
    status = 202 if written.late else 201 if written.created else 200
    body: dict[str, object] = {
        "subscriber": subscriber_object(written.subscriber, request.app[STATE].account.custom_fields)
    }
    if written.unknown:
        body["warnings"] = [f"Custom field '{key}' does not exist and was ignored" for key in written.unknown]
    return json_answer(status, body)


def _objects(state: KitState, rows: list[Subscriber]) -> list[dict[str, object]]:
    return [subscriber_object(row, state.account.custom_fields) for row in rows]


def _wanted(text: str | None) -> set[str] | None:
    if text is None:
        return None
    emails = [email.strip() for email in text.split(",")]
    if not all(EMAIL.fullmatch(email) for email in emails):
        raise Refusal(422, "Email address is invalid")
    return {email.casefold() for email in emails}


ROUTES = (
    web.post("/v4/subscribers", create),
    web.get("/v4/subscribers", listed, allow_head=False),
    web.get(r"/v4/subscribers/{id:\d+}", show, allow_head=False),
    web.put(r"/v4/subscribers/{id:\d+}", update),
    web.post(r"/v4/subscribers/{id:\d+}/unsubscribe", unsubscribe),
    web.get(r"/v4/subscribers/{id:\d+}/tags", tags, allow_head=False),
)
