"""The JSON that the simulated Kit answers with: one function for each of Kit's objects, and the answers at the door."""

from collections.abc import Mapping

import msgspec
from aiohttp import web

from streams.kit.simulator.account import CustomField, Sequence, Subscriber, Tag
from streams.kit.simulator.refusal import Refusal


def json_answer(status: int, body: object) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json", charset="utf-8")


def no_content() -> web.Response:
    return web.Response(status=204)


def refused(refusal: Refusal) -> web.Response:
    return json_answer(refusal.status, {"errors": refusal.errors})


def unauthorised() -> web.Response:
    """Also what a lapsed plan looks like, and a call that wants OAuth (docs/facts/kit.md §1)."""
    return json_answer(401, {"errors": ["The access token is invalid"]})


def retry_later() -> web.Response:
    """Plain text, and no Retry-After (docs/facts/kit.md §1)."""
    return web.Response(status=429, text="Retry later")


def subscriber_object(row: Subscriber, fields: Mapping[int, CustomField], **more: str | None) -> dict[str, object]:
    """Every field of the account is shown, null where the subscriber has no value."""
    return {
        "id": row.id,
        "first_name": row.first_name,
        "email_address": row.email_address,
        "state": row.state,
        "created_at": row.created_at,
        **more,
        "fields": {field.key: row.fields.get(field.key) for field in fields.values()},
    }


def tag_object(tag: Tag, subscriber_count: int | None = None) -> dict[str, object]:
    counted = {} if subscriber_count is None else {"subscriber_count": subscriber_count}
    return {"id": tag.id, "name": tag.name, "created_at": tag.created_at, **counted}


def field_object(field: CustomField) -> dict[str, object]:
    return {"id": field.id, "name": f"ck_field_{field.id}_{field.key}", "key": field.key, "label": field.label}


def sequence_object(sequence: Sequence) -> dict[str, object]:
    return {
        "id": sequence.id,
        "name": sequence.name,
        "hold": False,
        "repeat": sequence.repeat,
        "created_at": sequence.created_at,
        "active": sequence.active,
    }
