"""/v4/sequences: the list, adding a subscriber by id and by email, and who has been added. No call takes one out."""

from aiohttp import web

from streams.kit.simulator.account import SUBSCRIBER_STATES, Subscriber
from streams.kit.simulator.answers import json_answer, sequence_object, subscriber_object
from streams.kit.simulator.paging import page_of
from streams.kit.simulator.refusal import Refusal
from streams.kit.simulator.routes.reading import STATE, named_by_email, named_by_id, number


async def listed(request: web.Request) -> web.Response:
    page, pagination = page_of(request.app[STATE].account.sequences, request)
    return json_answer(200, {"sequences": [sequence_object(row) for row in page], "pagination": pagination})


async def add_by_id(request: web.Request) -> web.Response:
    return _added(request, named_by_id(request))


async def add_by_email(request: web.Request) -> web.Response:
    text = "Either subscriber id or email address is required to add subscriber to sequence"
    return _added(request, await named_by_email(request, text))


async def subscribers(request: web.Request) -> web.Response:
    """Those with `status` (default `active`) who have been added."""
    state = request.app[STATE]
    sequence_id = state.sequence(number(request, "sequence_id")).id
    status = request.query.get("status") or "active"
    if status not in {*SUBSCRIBER_STATES, "all"}:
        raise Refusal(422, "Status is invalid")
    rows = {
        row_id: row
        for row_id, row in state.listed_subscribers.rows().items()
        if sequence_id in row.sequences and status in {"all", row.state}
    }
    page, pagination = page_of(rows, request)
    fields = state.account.custom_fields
    shown = [subscriber_object(row, fields, added_at=row.sequences[sequence_id].added_at) for row in page]
    return json_answer(200, {"subscribers": shown, "pagination": pagination})


def _added(request: web.Request, row: Subscriber) -> web.Response:
    state = request.app[STATE]
    sequence_id = number(request, "sequence_id")
    written = state.add_to_sequence(sequence_id, row)
    since = written.subscriber.sequences[sequence_id].added_at
    shown = subscriber_object(written.subscriber, state.account.custom_fields, added_at=since)
    return json_answer(201 if written.created else 200, {"subscriber": shown})


ROUTES = (
    web.get("/v4/sequences", listed, allow_head=False),
    web.post(r"/v4/sequences/{sequence_id:\d+}/subscribers", add_by_email),
    web.post(r"/v4/sequences/{sequence_id:\d+}/subscribers/{id:\d+}", add_by_id),
    web.get(r"/v4/sequences/{sequence_id:\d+}/subscribers", subscribers, allow_head=False),
)
