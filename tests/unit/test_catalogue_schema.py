"""The JSON Schema that editors use agrees with what is accepted."""

import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from processors.catalogue.document import parse
from processors.catalogue.schema import json_schema

EXAMPLE = (Path(__file__).parents[2] / "catalogue.example.toml").read_text()


def schema_errors(text: str) -> list[str]:
    validator = jsonschema.Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(tomllib.loads(text))]


def test_it_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(json_schema())


def test_it_accepts_the_example_and_the_document_made_of_it():
    assert schema_errors(EXAMPLE) == []
    jsonschema.Draft202012Validator(json_schema()).validate(parse(EXAMPLE).document)


@pytest.mark.parametrize(
    "text",
    [
        "[while.activ]",
        "[while.active]\ntags = [true]",
        "[while.active]\ntags = [0]",
        "[when.purchased]\nsequence = ['x']",
        "[[when.renewed]]\nrenewals_min = 0",
        "[[offer]]\nproducts = ['p']",
        "[[delivery]]\nname = 'x'\nkind = 'lnk'",
        "[[delivery]]\nname = 'x'\nkind = 'code'\nurl = 'https://x.test'",
        "[report]\ntime = '8'",
        "[report]\nday = 29",
    ],
)
def test_it_refuses_what_is_refused(text: str):
    assert schema_errors(text)


def test_one_rule_or_several_are_the_same_to_it():
    assert schema_errors("[when.renewed]\ntags = ['x', 12]") == []
    assert schema_errors("[[when.renewed]]\ntags = ['x']\n[[when.renewed]]\ntags = ['y']") == []


def test_every_key_is_described():
    def undescribed(schema: dict[str, Any]) -> list[str]:
        return [
            f"{name}.{key}"
            for name, table in schema["$defs"].items()
            for key, about in table["properties"].items()
            if "description" not in about and "const" not in about
        ]

    assert undescribed(json_schema()) == []
