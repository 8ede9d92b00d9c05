"""/v4/tags: the list, creating one, giving one to a subscriber and taking it away, by id and by email."""

from collections import Counter

from aiohttp import web
from msgspec import Struct

from streams.kit.simulator.account import Subscriber
from streams.kit.simulator.answers import json_answer, no_content, subscriber_object, tag_object
from streams.kit.simulator.paging import page_of
from streams.kit.simulator.routes.reading import STATE, body_as, named_by_email, named_by_id, number


class TagBody(Struct, frozen=True):
    name: str | None = None


async def listed(request: web.Request) -> web.Response:
    state = request.app[STATE]
    page, pagination = page_of(state.listed_tags.rows(), request)
    counts = Counter(tag_id for row in state.listed_subscribers.rows().values() for tag_id in row.tags)
    return json_answer(200, {"tags": [tag_object(tag, counts[tag.id]) for tag in page], "pagination": pagination})


async def create(request: web.Request) -> web.Response:
    body = await body_as(request, TagBody)
    tag, created = request.app[STATE].create_tag(body.name or "")
    return json_answer(201 if created else 200, {"tag": tag_object(tag)})


async def add_by_id(request: web.Request) -> web.Response:
    return _added(request, named_by_id(request))


async def add_by_email(request: web.Request) -> web.Response:
    row = await named_by_email(request, "Either subscriber id or email address is required to tag subscriber")
    return _added(request, row)


async def remove_by_id(request: web.Request) -> web.Response:
    request.app[STATE].remove_tag(number(request, "tag_id"), named_by_id(request))
    return no_content()


async def remove_by_email(request: web.Request) -> web.Response:
    """The email in the query, as the newer document says, or in a body, as Kit's own SDK does (docs/facts/kit.md
    §2).
    """
    text = "Either subscriber id or email address is required to remove tag from subscriber"
    request.app[STATE].remove_tag(number(request, "tag_id"), await named_by_email(request, text))
    return no_content()


def _added(request: web.Request, row: Subscriber) -> web.Response:
    state = request.app[STATE]
    tag_id = number(request, "tag_id")
    written = state.add_tag(tag_id, row)
    since = written.subscriber.tags[tag_id]
    shown = subscriber_object(written.subscriber, state.account.custom_fields, tagged_at=since)
    return json_answer(201 if written.created else 200, {"subscriber": shown})


ROUTES = (
    web.get("/v4/tags", listed, allow_head=False),
    web.post("/v4/tags", create),
    web.post(r"/v4/tags/{tag_id:\d+}/subscribers", add_by_email),
    web.post(r"/v4/tags/{tag_id:\d+}/subscribers/{id:\d+}", add_by_id),
    web.delete(r"/v4/tags/{tag_id:\d+}/subscribers", remove_by_email),
    web.delete(r"/v4/tags/{tag_id:\d+}/subscribers/{id:\d+}", remove_by_id),
)
