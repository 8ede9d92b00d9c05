"""Holds requests and answers to Kit's OpenAPI document (tests/data/kit/openapi-v4.json, Kit's of July 2026).

In: a method, a path, and what was sent or answered. Out: every fault found, as values. OpenAPI 3.0's schemas are JSON
Schema draft 4 with `nullable`; beyond the document, a property that an object does not name is a fault, too: the
document leaves all objects open, so a misspelled name would pass.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft4Validator, ValidationError
from jsonschema.validators import extend
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

DOCUMENT = Path(__file__).parent.parent / "data" / "kit" / "openapi-v4.json"
BASE = "urn:kit"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Fault:
    """`call`: `GET /v4/tags/{tag_id}/subscribers`; `status` None: in the request; `pointer`: where; `rule`: broken."""

    call: str
    status: int | None
    pointer: str
    rule: str
    message: str


class KitOpenApi:
    def __init__(self, document: dict[str, Any]) -> None:
        self._paths: dict[str, Any] = document["paths"]
        resource = Resource.from_contents(document, default_specification=DRAFT4)
        self._registry: Registry[Any] = Registry().with_resource(BASE, resource)
        # Literal parts win: /v4/subscribers/filter before /v4/subscribers/{id}.
        self._templates = sorted(self._paths, key=lambda template: template.count("{"))

    def statuses(self, method: str, template: str) -> set[int]:
        return {int(status) for status in self._paths[template][method.lower()]["responses"]}

    def call_of(self, method: str, path: str) -> str | None:
        """`METHOD /template`, or None for a call that the document does not know."""
        template = self._template_of(method, path)
        return None if template is None else f"{method} {template}"

    def faults_of_request(self, method: str, path: str, query: Mapping[str, str], body: Any) -> list[Fault]:
        template = self._template_of(method, path)
        if template is None:
            return [Fault(f"{method} {path}", None, "", "path", "the document knows no such call")]
        operation = self._paths[template][method.lower()]
        found = [
            *self._faults_of_query(operation, query),
            *self._faults_of_path(operation, template, path),
            *self._faults_of_body(operation, template, method, body),
        ]
        return [Fault(f"{method} {template}", None, *fault) for fault in found]

    def faults_of_answer(self, method: str, path: str, status: int, body: Any) -> list[Fault]:
        template = self._template_of(method, path)
        if template is None:
            return [Fault(f"{method} {path}", status, "", "path", "the document knows no such call")]
        call = f"{method} {template}"
        declared = self._paths[template][method.lower()]["responses"].get(str(status))
        if declared is None:
            return [Fault(call, status, "", "status", f"{status} is not declared")]
        if "content" not in declared:
            return [] if body is None else [Fault(call, status, "", "content", "no body is declared")]
        pointer = ("paths", template, method.lower(), "responses", str(status), "content", JSON, "schema")
        return [Fault(call, status, *fault) for fault in self._faults_of_value(pointer, body)]

    def _template_of(self, method: str, path: str) -> str | None:
        return next(
            (
                template
                for template in self._templates
                if method.lower() in self._paths[template] and _pattern(template).fullmatch(path)
            ),
            None,
        )

    def _faults_of_query(self, operation: Any, query: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
        known = {given["name"]: given for given in operation.get("parameters", ()) if given["in"] == "query"}
        for name, text in query.items():
            if name not in known:
                yield f"?{name}", "parameter", "the document names no such parameter"
            else:
                for fault in self._validator(known[name]["schema"]).iter_errors(_cast(text, known[name]["schema"])):
                    yield f"?{name}", str(fault.validator), fault.message
        for name, given in known.items():
            if given.get("required") and name not in query:
                yield f"?{name}", "required", "is missing"

    def _faults_of_path(self, operation: Any, template: str, path: str) -> Iterator[tuple[str, str, str]]:
        matched = _pattern(template).fullmatch(path)
        assert matched is not None
        schemas = {given["name"]: given["schema"] for given in operation["parameters"] if given["in"] == "path"}
        for name, text in matched.groupdict().items():
            for fault in self._validator(schemas[name]).iter_errors(_cast(text, schemas[name])):
                yield f"{{{name}}}", str(fault.validator), fault.message

    def _faults_of_body(self, operation: Any, template: str, method: str, body: Any) -> Iterator[tuple[str, str, str]]:
        if "requestBody" not in operation:
            if body is not None:
                yield "", "content", "no body is declared"
        else:
            pointer = ("paths", template, method.lower(), "requestBody", "content", JSON, "schema")
            yield from self._faults_of_value(pointer, {} if body is None else body)

    def _faults_of_value(self, pointer: tuple[str, ...], value: Any) -> Iterator[tuple[str, str, str]]:
        escaped = "/".join(part.replace("~", "~0").replace("/", "~1") for part in pointer)
        for fault in self._validator({"$ref": f"{BASE}#/{escaped}"}).iter_errors(value):
            yield _where(fault), str(fault.validator), fault.message

    def _validator(self, schema: Any) -> Draft4Validator:
        return OpenApi30(schema, registry=self._registry)


@cache
def kit_openapi() -> KitOpenApi:
    return KitOpenApi(json.loads(DOCUMENT.read_text()))


def _type(validator: Any, types: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """OpenAPI 3.0's `nullable`, which draft 4 does not have."""
    if value is None and schema.get("nullable") is True:
        return
    yield from Draft4Validator.VALIDATORS["type"](validator, types, value, schema)


def _properties(validator: Any, properties: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """As draft 4; and names that the schema does not have, unless it says that or nothing about them."""
    yield from Draft4Validator.VALIDATORS["properties"](validator, properties, value, schema)
    if properties and "additionalProperties" not in schema and isinstance(value, dict):
        for name in value.keys() - properties.keys():
            yield ValidationError(f"{name!r} is not named by the document", path=[name], validator="unnamed")


OpenApi30: Any = extend(Draft4Validator, {"type": _type, "properties": _properties})


@cache
def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", template))


def _where(fault: ValidationError) -> str:
    return "".join(f"/{part}" for part in fault.absolute_path)


def _cast(text: str, schema: Mapping[str, Any]) -> Any:
    """The value that a text in a URL stands for; what cannot be cast stays text, so that its type is a fault."""
    if schema.get("type") == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if schema.get("type") in {"integer", "number"}:
        return int(text) if text.isdecimal() else text
    return text
