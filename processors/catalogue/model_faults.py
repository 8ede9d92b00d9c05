"""From pydantic's findings to faults: the key as the user wrote it, its line, what was found and what is allowed."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from processors.catalogue.faults import Fault, nearest, shown
from processors.catalogue.tables import Document, Table
from processors.catalogue.toml_lines import Lines, Path, key_of
from processors.catalogue.words import FAULT

_TYPES = {
    "string_type": "text in quotes",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "an array, in [ ]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
"""pydantic's type errors → what is allowed, in TOML's words."""


def fault_of(error: ErrorDetails, raw: Mapping[str, Any], lines: Lines) -> Fault:
    path = _written_path(error["loc"], raw)
    kind = error["type"]
    if kind == "missing":
        return _missing(error["loc"], path, lines)
    if kind == "extra_forbidden":
        return _unknown(error["loc"], path, lines)
    if kind in {"union_tag_invalid", "union_tag_not_found"}:
        return _kind(path, error["input"], lines)
    problem, allowed, suggestion = _words(error)
    return Fault(lines.of(path), key_of(path), problem, allowed, suggestion)


def _words(error: ErrorDetails) -> tuple[str, str, str]:
    """What is wrong with a value: problem, what is allowed, suggestion."""
    kind, found, context = error["type"], error["input"], error.get("ctx", {})
    if kind == FAULT:
        return context["problem"], context["allowed"], context["suggestion"]
    if kind == "literal_error":
        choices = context["expected"].replace(" or ", ", ")
        words = [word.strip("'") for word in choices.split(", ")]
        return f"found {shown(found)}", choices, nearest(found, words) if isinstance(found, str) else ""
    if kind == "greater_than_equal":
        return f"found {shown(found)}", f"{context['ge']} or more", ""
    if kind == "less_than_equal":
        return f"found {shown(found)}", f"at most {context['le']}", ""
    return f"found {shown(found)}", _TYPES.get(kind, error["msg"]), ""


def _missing(loc: Sequence[str | int], path: Path, lines: Lines) -> Fault:
    field = _fields(_table_at(loc[:-1]))[str(loc[-1])]
    meaning = (field.description or "").removesuffix(".")
    return Fault(lines.of(path), key_of(path), "is missing", meaning[:1].lower() + meaning[1:])


def _unknown(loc: Sequence[str | int], path: Path, lines: Lines) -> Fault:
    table = _table_at(loc[:-1])
    names = list(_fields(table))
    name = str(loc[-1])
    problem = f"unknown {table.noun} {shown(name)}"
    return Fault(lines.of(path), key_of(path), problem, ", ".join(names), nearest(name, names))


def _kind(path: Path, found: Mapping[str, Any], lines: Lines) -> Fault:
    """A delivery's `kind`, which decides what else the table may hold."""
    path = (*path, "kind")
    allowed = ", ".join(repr(kind) for kind in KINDS)
    if "kind" not in found:
        return Fault(lines.of(path), key_of(path), "is missing", allowed)
    tag = found["kind"]
    return Fault(
        lines.of(path),
        key_of(path),
        f"found {shown(tag)}",
        allowed,
        nearest(tag, KINDS) if isinstance(tag, str) else "",
    )


def _written_path(loc: Sequence[str | int], raw: Mapping[str, Any]) -> Path:
    """Without what only pydantic knows of: a delivery's kind, the place of a rule that was written as one table."""
    if loc[:1] == ("delivery",):
        loc = (*loc[:2], *loc[3:])
    path: Path = ()
    node: Any = raw
    for part in loc:
        if isinstance(part, int):
            if isinstance(node, list):
                path, node = (*path, part), node[part]
        elif part != "[key]":
            path, node = (*path, part), node.get(part) if isinstance(node, Mapping) else None
    return path


def _table_at(loc: Sequence[str | int]) -> type[Table]:
    """The table that pydantic speaks of: loc goes through keys, places and, for a delivery, its kind."""
    tables: list[type[Table]] = [Document]
    for part in loc:
        if isinstance(part, int):
            continue
        if len(tables) > 1:
            tables = [table for table in tables if part in get_args(table.model_fields["kind"].annotation)]
        else:
            tables = _tables_in(_fields(tables[0])[part].annotation)
    return tables[0]


def _fields(table: type[Table]) -> dict[str, Any]:
    return {field.alias or name: field for name, field in table.model_fields.items()}


def _tables_in(annotation: Any) -> list[type[Table]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation] if issubclass(annotation, Table) else []
    return [table for part in get_args(annotation) for table in _tables_in(part)]


KINDS = tuple(
    kind
    for table in _tables_in(Document.model_fields["delivery"].annotation)
    for kind in get_args(table.model_fields["kind"].annotation)
)
"""Of deliveries."""
