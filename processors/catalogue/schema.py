"""The catalogue's JSON Schema, for editors: completion and squiggles while one types. Printed by `millrace schema`."""

from typing import Any

from processors.catalogue.tables import Document

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Of the file as TOML editors see it. It knows shapes; what names lead to only `millrace check` knows."""
    schema = Document.model_json_schema(by_alias=True)
    return {"$schema": DIALECT, "title": "Millrace catalogue", **{k: v for k, v in schema.items() if k != "title"}}
