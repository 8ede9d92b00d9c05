"""/v4/custom_fields: the list, and creating one."""

from aiohttp import web
from msgspec import Struct

from streams.kit.simulator.answers import field_object, json_answer
from streams.kit.simulator.paging import page_of
from streams.kit.simulator.routes.reading import STATE, body_as


class FieldBody(Struct, frozen=True):
    label: str | None = None


async def listed(request: web.Request) -> web.Response:
    page, pagination = page_of(request.app[STATE].listed_fields.rows(), request)
    return json_answer(200, {"custom_fields": [field_object(field) for field in page], "pagination": pagination})


async def create(request: web.Request) -> web.Response:
    body = await body_as(request, FieldBody)
    field, created = request.app[STATE].create_field(body.label or "")
    return json_answer(201 if created else 200, {"custom_field": field_object(field)})


ROUTES = (
    web.get("/v4/custom_fields", listed, allow_head=False),
    web.post("/v4/custom_fields", create),
)
