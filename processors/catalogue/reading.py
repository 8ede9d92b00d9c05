"""Ways through a catalogue that was parsed but may be wrong: what has the wrong shape is passed over, the model tells.

Used by checks.py and notes.py, so that they can judge a file at once with the model, and so that a path is always the
one that the user wrote. Works on the raw data of a file as on the document of a record.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from processors.catalogue.toml_lines import DEPTH_MAX, Path

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """One `while.*`, `when.*` or `[[milestone]]` table. `word`: its state or moment; `offer`: the one it stands in."""

    path: Path
    kind: Literal["while", "when", "milestone"]
    word: str
    table: Raw
    offer: Raw | None = None


def rules_of(raw: Raw) -> Iterator[Rule]:
    scopes: list[tuple[Path, Raw, Raw | None]] = [((), raw, None)]
    scopes += [(path, offer, offer) for path, offer in tables(raw, (), "offer")]
    for path, scope, offer in scopes:
        for word, at, table in _worded(scope, path, "while"):
            yield Rule(at, "while", word, table, offer)
        for word, at, table in _worded(scope, path, "when"):
            yield Rule(at, "when", word, table, offer)
    for path, table in tables(raw, (), "milestone"):
        yield Rule(path, "milestone", "", table)


def _worded(scope: Raw, path: Path, kind: str) -> Iterator[tuple[str, Path, Raw]]:
    for at, words in tables(scope, path, kind):
        for word in words:
            for table_path, table in tables(words, at, word):
                yield word, table_path, table


def tables(node: Raw, path: Path, key: str) -> Iterator[tuple[Path, Raw]]:
    """The table, or the tables of the array, under a key."""
    value = node.get(key)
    if isinstance(value, dict):
        yield (*path, key), value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, dict):
                yield (*path, key, index), item


def table(node: Raw, key: str) -> Raw:
    value = node.get(key)
    return value if isinstance(value, dict) else {}


def texts(node: Raw, path: Path, key: str) -> Iterator[tuple[Path, str]]:
    """The strings of the array under a key, or the string there."""
    value = node.get(key)
    if isinstance(value, str):
        yield (*path, key), value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            if isinstance(item, str):
                yield (*path, key, index), item


def entries(node: Raw, path: Path, key: str) -> Iterator[tuple[Path, str]]:
    """The values of the table of strings under a key."""
    for name, value in table(node, key).items():
        if isinstance(value, str):
            yield (*path, key, name), value


def text(node: Raw, key: str) -> str:
    value = node.get(key)
    return value if isinstance(value, str) else ""


def number(node: Raw, key: str) -> int | None:
    value = node.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def integers_beyond(raw: Raw, largest: int) -> Iterator[Path]:
    """Where whole numbers are further from 0. Without recursion: this comes before anything bounds the depth."""
    waiting: list[tuple[Path, Any]] = [((), raw)]
    while waiting:
        path, value = waiting.pop()
        if isinstance(value, int) and abs(value) > largest:
            yield path
        elif isinstance(value, dict | list) and len(path) <= DEPTH_MAX:
            inner = value.items() if isinstance(value, dict) else enumerate(value)
            waiting += (((*path, key), item) for key, item in inner)
