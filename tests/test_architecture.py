"""The walls of the house: which way imports go, what the core may not touch, and what the docs must not forget."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from streams.settings import Settings, variable

ROOT = Path(__file__).parent.parent
ROOMS = ("processors", "projections", "streams")  # imports go from the right to the left only

IMPURE = frozenset(
    {"faust", "aiohttp", "aiokafka", "asyncio", "time", "random", "os", "logging", "socket", "structlog", "sqlite3"}
)
CLOCKS = re.compile(r"\b(datetime\.now|datetime\.today|datetime\.utcnow|date\.today|time\.time|uuid\.uuid[14]|open)\(")
LEFTOVERS = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b|mock\.patch|unittest\.mock|assert True\b|NotImplementedError")
MACHINE_PATHS = re.compile(r"/(work|farm|root|home)/[a-z.]")


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def committed_texts() -> Iterator[Path]:
    kinds = {".py", ".md", ".toml", ".yml", ".yaml", ".sh", ".cfg"}
    skipped = {".venv", "data", ".git", "millrace-data", ".hypothesis"}
    for path in ROOT.rglob("*"):
        if path.suffix in kinds and not skipped & set(path.relative_to(ROOT).parts):
            yield path
    yield from (ROOT / name for name in ("Makefile", ".ci/run", "Dockerfile") if (ROOT / name).exists())


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module)
    return names


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", python_files(*ROOMS), ids=name_of)
def test_imports_go_one_way(path: Path):
    room = ROOMS.index(path.relative_to(ROOT).parts[0])
    assert not tops(path) & {*ROOMS[room + 1 :], "tests", "bench"}


@pytest.mark.parametrize("path", python_files("processors", "projections"), ids=name_of)
def test_the_core_and_its_folds_touch_nothing_outside(path: Path):
    assert not tops(path) & IMPURE
    assert not CLOCKS.search(path.read_text())
    assert not any(isinstance(node, ast.AsyncFunctionDef | ast.Await) for node in ast.walk(ast.parse(path.read_text())))


@pytest.mark.parametrize("path", python_files("processors", "projections"), ids=name_of)
def test_the_core_depends_on_few_libraries(path: Path):
    allowed = {*sys.stdlib_module_names, "msgspec", "orjson", "pydantic", "pydantic_core", *ROOMS}
    assert tops(path) <= allowed


@pytest.mark.parametrize("path", python_files(*ROOMS, "tests", "bench"), ids=name_of)
def test_files_and_functions_stay_short(path: Path):
    text = path.read_text()
    assert text.count("\n") <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            assert node.end_lineno - node.lineno < 60, node.name


@pytest.mark.parametrize("path", python_files(*ROOMS), ids=name_of)
def test_every_module_says_what_it_is_for(path: Path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_nothing_unfinished_and_no_machine_is_named():
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in committed_texts()
        if path not in {Path(__file__), ROOT / "docs" / "style.md"}  # they say the words to forbid them
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if LEFTOVERS.search(line) or MACHINE_PATHS.search(line)
    ]
    assert found == []


def test_a_suppressed_rule_is_named():
    bare = re.compile(r"# noqa(?!:)|# type: ignore(?!\[)")
    found = [name_of(p) for p in python_files(*ROOMS, "tests", "bench") if bare.search(p.read_text())]
    assert found in ([], [name_of(Path(__file__))])


NAMED_FILE = re.compile(r"\b((?:streams|processors|projections|tests|bench|docs)/[\w./-]*\w\.(?:py|md))\b")
NAMED_SECTION = re.compile(r"docs/(\w+(?:/\w+)?)\.md §§?(\d+)")


def test_every_file_and_section_that_is_named_exists():
    missing: set[str] = set()
    for path in committed_texts():
        text = path.read_text()
        missing |= {f"{name_of(path)}: {named}" for named in NAMED_FILE.findall(text) if not (ROOT / named).exists()}
        for page, section in NAMED_SECTION.findall(text):
            if f"\n## {section}. " not in (ROOT / "docs" / f"{page}.md").read_text():
                missing.add(f"{name_of(path)}: docs/{page}.md §{section}")
    assert missing == set()


def test_every_setting_is_documented_as_it_is_described():
    docs = (ROOT / "docs" / "settings.md").read_text()
    missing = [
        variable(name)
        for name, field in Settings.model_fields.items()
        if f"`{variable(name)}`" not in docs or (field.description or "") not in docs
    ]
    assert missing == []


def test_docs_name_no_setting_that_does_not_exist():
    known = {variable(name) for name in Settings.model_fields}
    known |= {name + "_FILE" for name in known}
    for path in committed_texts():
        if path.suffix != ".py":
            named = set(re.findall(r"\bMILLRACE_[A-Z_]*[A-Z]\b", path.read_text()))
            assert {n for n in named - known if not n.startswith("MILLRACE_TEST_")} == set(), name_of(path)


def test_every_command_and_every_option_is_documented():
    from typer.main import get_command  # noqa: PLC0415 - the whole shell is this test's matter alone

    from streams.cli import app  # noqa: PLC0415

    lines = (ROOT / "docs" / "commands.md").read_text().splitlines()
    commands = get_command(app).commands
    assert commands
    for name, command in commands.items():
        said = " ".join(line for line in lines if f"`millrace {name}" in line)
        options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
        assert said, name
        assert {option for option in options if option not in said} == set(), name


def test_every_benchmark_that_is_run_exists():
    from bench.__main__ import BENCHES  # noqa: PLC0415 - this test's matter alone

    assert {path.stem for path in (ROOT / "bench").glob("*.py")} >= set(BENCHES)


def test_the_wheel_holds_the_three_rooms():
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert sorted(wheel["packages"]) == sorted(ROOMS)
    dockerfile = (ROOT / "Dockerfile").read_text()
    for name in wheel["force-include"]:
        assert (ROOT / name).exists()
        assert name.split("/")[0] in dockerfile
