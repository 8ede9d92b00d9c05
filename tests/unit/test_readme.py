"""The README's way of an event: each step is where the table says, and the test it names exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(
    r"^\| (?P<step>[^|]+) \| `(?P<file>[\w/]+\.py):(?P<name>\w+)` \| [^|]+→[^|]+ \| `(?P<test>[\w/.]+)` \|$"
)
STEPS_MIN = 8


def rows() -> list[re.Match[str]]:
    return [match for line in (ROOT / "README.md").read_text().splitlines() if (match := ROW.match(line))]


def test_the_table_has_the_whole_way():
    steps = [row["file"] for row in rows()]
    assert len(steps) >= STEPS_MIN
    assert steps[0].startswith("streams/edge/")
    assert any(step.startswith("processors/") for step in steps)
    assert any(step.startswith("streams/kit/") for step in steps)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row["step"])
def test_each_step_is_where_the_table_says(row: re.Match[str]):
    tree = ast.parse((ROOT / row["file"]).read_text())
    defined = {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    }
    assert row["name"] in defined
    tests = ast.parse((ROOT / row["test"]).read_text())
    assert any(getattr(node, "name", "").startswith("test_") for node in tests.body)
