"""Kit's lists: newest first, cut into pages with opaque cursors (docs/facts/kit.md §1).

A cursor is base64 of `[id]`, with its `=`, so that a client which does not encode it in a URL is found out.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from aiohttp import web

from streams.kit.simulator.refusal import Refusal

PER_PAGE = 500
PER_PAGE_MAX = 1000

R = TypeVar("R")


def page_of(rows: Mapping[int, R], request: web.Request) -> tuple[list[R], dict[str, object]]:
    """The rows of the page that the query asks for, and Kit's `pagination` object."""
    per_page = _per_page(request.query.get("per_page"))
    ids = sorted(rows, reverse=True)
    first, last = 0, len(ids)
    if after := request.query.get("after"):
        below = _id_of(after)
        first = next((place for place, row_id in enumerate(ids) if row_id < below), last)
        last = min(last, first + per_page)
    elif before := request.query.get("before"):
        above = _id_of(before)
        last = next((place for place, row_id in enumerate(ids) if row_id <= above), last)
        first = max(0, last - per_page)
    else:
        last = min(last, per_page)
    shown = ids[first:last]
    pagination: dict[str, object] = {
        "has_previous_page": first > 0,
        "has_next_page": last < len(ids),
        # Null for an empty page: recorded live, against the OpenAPI document (docs/facts/kit.md §3, RB's cassettes).
        "start_cursor": _cursor(shown[0]) if shown else None,
        "end_cursor": _cursor(shown[-1]) if shown else None,
        "per_page": per_page,
    }
    if request.query.get("include_total_count") == "true":
        pagination["total_count"] = len(ids)
    return [rows[row_id] for row_id in shown], pagination


def _per_page(text: str | None) -> int:
    if not text:
        return PER_PAGE
    if not text.isdecimal() or not int(text):
        raise Refusal(422, "Per page is invalid")
    return min(int(text), PER_PAGE_MAX)


def _cursor(row_id: int) -> str:
    return base64.b64encode(msgspec.json.encode([row_id])).decode()


def _id_of(cursor: str) -> int:
    try:
        return msgspec.json.decode(base64.b64decode(cursor, validate=True), type=tuple[int])[0]
    except (binascii.Error, ValueError) as error:
        raise Refusal(422, "Cursor is invalid") from error
