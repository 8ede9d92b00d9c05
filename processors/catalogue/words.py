"""The kinds of values a catalogue holds: names, ids, urls, amounts, times, each with what it may be.

Used by tables.py as the types of keys. A value that does not fit raises `wrong(…)`, which model_faults.py turns
into a fault.
"""

import re
from functools import lru_cache
from importlib import resources
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, GetJsonSchemaHandler, PlainValidator, WithJsonSchema
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError
from pydantic_core.core_schema import CoreSchema

from processors.catalogue.faults import nearest, shown

FAULT = "catalogue"
"""The type of every error raised here, by which model_faults.py knows that its context holds the words of a fault."""

_CLOCK = re.compile(r"([01]\d|2[0-3]):[0-5]\d")
_CURRENCY = re.compile(r"[a-z]{3}")
_AMOUNT = re.compile(r"\d{1,12}(\.\d{1,3})?")
_REFERENCE = 'a name in quotes, or an id: "customer", 1234567'


def wrong(problem: str, allowed: str, suggestion: str = "") -> PydanticCustomError:
    context: dict[str, Any] = {"problem": problem, "allowed": allowed, "suggestion": suggestion}
    return PydanticCustomError(FAULT, "{problem}; allowed: {allowed}", context)


def _name(value: str) -> str:
    if not value.strip():
        raise wrong("it is empty", "a name")
    return value


def _reference(value: object) -> str | int:
    if isinstance(value, str) and value.strip():
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**63:
        return value
    raise wrong("it is empty" if isinstance(value, str) else f"found {shown(value)}", _REFERENCE)


def _url(value: str) -> str:
    try:
        parts = urlsplit(value)
        good = parts.scheme in {"http", "https"} and bool(parts.hostname)
    except ValueError:
        good = False
    if not good or any(character.isspace() for character in value):
        raise wrong(f"found {shown(value)}", "a whole address, https://…")
    return value


@lru_cache(maxsize=1)
def _timezones() -> frozenset[str]:
    """As the package tzdata lists them: the same on every machine, whatever its own /usr/share/zoneinfo holds."""
    return frozenset(resources.files("tzdata").joinpath("zones").read_text(encoding="utf-8").split())


def _timezone(value: str) -> str:
    if value not in _timezones():
        allowed = "a name of the IANA time zone database, as America/New_York"
        raise wrong(f"unknown time zone {shown(value)}", allowed, nearest(value, sorted(_timezones())))
    return value


def _clock(value: str) -> str:
    if not _CLOCK.fullmatch(value):
        raise wrong(f"found {shown(value)}", 'hours and minutes in quotes, "08:00"')
    return value


def _currency(value: str) -> str:
    if not _CURRENCY.fullmatch(value):
        lower = value.lower()
        allowed = 'a currency as Stripe writes it: three small letters, "usd"'
        raise wrong(f"found {shown(value)}", allowed, lower if _CURRENCY.fullmatch(lower) else "")
    return value


def _amount(value: object) -> str:
    if not isinstance(value, str) or not _AMOUNT.fullmatch(value) or not value.strip("0."):
        raise wrong(f"found {shown(value)}", 'a plain decimal above 0 in quotes, "500.00"')
    return value


def _as_list(value: object) -> object:
    """One table is written `[when.renewed]`, several `[[when.renewed]]`; both mean a list."""
    return [value] if isinstance(value, dict) else value


class _OrOneItem:
    """Tells editors what `_as_list` allows."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        array = handler(schema)
        return {"anyOf": [array["items"], array]}


Name = Annotated[str, AfterValidator(_name), WithJsonSchema({"type": "string", "pattern": r"\S"})]
Reference = Annotated[
    str | int,
    PlainValidator(_reference),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"\S"}, {"type": "integer", "minimum": 1}]}),
]
"""A tag or sequence: by its name, without regard to case, or by Kit's id, which is written as a number."""
Url = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "format": "uri"})]
Timezone = Annotated[str, AfterValidator(_timezone)]
ClockTime = Annotated[
    str, AfterValidator(_clock), WithJsonSchema({"type": "string", "pattern": f"^({_CLOCK.pattern})$"})
]
Currency = Annotated[
    str, AfterValidator(_currency), WithJsonSchema({"type": "string", "pattern": f"^{_CURRENCY.pattern}$"})
]
Amount = Annotated[str, PlainValidator(_amount), WithJsonSchema({"type": "string", "pattern": f"^{_AMOUNT.pattern}$"})]
ONE_OR_MORE = (BeforeValidator(_as_list), _OrOneItem())
"""Annotations for a list that may be written as one table."""
