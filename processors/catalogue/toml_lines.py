"""Where each key and value of a TOML text stands: `tomllib` says what a file holds, but not in which line.

In goes a text that tomllib has already accepted, so that this reader only has to find the places and may take the
grammar for granted. Out come `Lines`, by which a fault names its line and the key as the user wrote it. Of the
libraries, tomlkit keeps no positions, spanned-toml is a fork of one release, tree-sitter-toml a compiled grammar: for
a walk of this size none is worth a dependency.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass

Path = tuple[str | int, ...]
"""Keys and, in arrays, positions from 0: `("offer", 1, "while", "active")`."""

DEPTH_MAX = 16
"""Deeper places are not kept (the catalogue's deepest has nine parts): a fault there names the line above it."""

_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*("(?:\\.|[^"\\])*"|'[^']*'|[A-Za-z0-9_-]+)[ \t]*""")
_STRING = re.compile(
    r'''"""(?:\\.|[^\\])*?"{3,5}'''  # up to two quotes more belong to the string
    r"""|'''.*?'{3,5}"""
    r'''|"(?:\\.|[^"\\])*"'''
    r"""|'[^']*'""",
    re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Lines:
    """Path → line, from 1."""

    lines: Mapping[Path, int]

    def of(self, path: Path) -> int:
        """The line of a path; of one that is not in the file, the line of what would hold it; else 1."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return 1

    def written(self, path: Path) -> bool:
        """Whether the user wrote this key."""
        return path in self.lines


NOWHERE = Lines({})
"""For data that comes from a record and not from a file."""


def key_of(path: Path) -> str:
    """`offer[2].while."a key"`: places in arrays counted from 1, keys quoted where TOML asks for it."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part + 1}]"
            continue
        name = part if _BARE_KEY.fullmatch(part) else '"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"'
        text += f".{name}" if text else name
    return text


def lines_of(text: str) -> Lines:
    """`text` must be valid TOML. Raises RecursionError for nesting that tomllib only just accepts."""
    return Lines(_Reader(text).read())


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._counted = 0  # lines are counted up to here
        self._lines: dict[Path, int] = {}
        self._tables_in: dict[Path, int] = {}  # array of tables → how many it has so far

    def read(self) -> dict[Path, int]:
        table: Path = ()
        self._skip_blank()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)
            self._skip_blank()
        return self._lines

    def _header(self) -> Path:
        brackets = 2 if self._text.startswith("[[", self._at) else 1
        self._at += brackets
        parts = self._key()
        self._at += brackets
        path = self._within((), parts[:-1])
        last = (*path, parts[-1])
        if brackets == 2:
            self._tables_in[last] = self._tables_in.get(last, 0) + 1
            self._note(last)
        path = self._within(path, parts[-1:])
        self._note(path)
        return path

    def _within(self, path: Path, parts: tuple[str, ...]) -> Path:
        """In a header a name of an array of tables means its latest table."""
        for part in parts:
            path = (*path, part)
            self._note(path)
            if path in self._tables_in:
                path = (*path, self._tables_in[path] - 1)
        return path

    def _pair(self, table: Path) -> None:
        path = table
        for part in self._key():
            path = (*path, part)
            self._note(path)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._value(path)

    def _value(self, path: Path) -> None:
        self._note(path)
        opening = self._text[self._at]
        if opening == "[":
            self._array(path)
        elif opening == "{":
            self._inline_table(path)
        else:
            pattern = _STRING if opening in "\"'" else _SCALAR
            self._take(pattern)

    def _array(self, path: Path) -> None:
        self._at += 1
        index = 0
        while not self._closes("]"):
            self._value((*path, index))
            index += 1

    def _inline_table(self, path: Path) -> None:
        self._at += 1
        while not self._closes("}"):
            self._pair(path)

    def _closes(self, bracket: str) -> bool:
        """Passes blanks and the comma between two values; True once the closing bracket is passed."""
        self._skip_blank()
        if self._text[self._at] == ",":
            self._at += 1
            self._skip_blank()
        if self._text[self._at] != bracket:
            return False
        self._at += 1
        return True

    def _key(self) -> tuple[str, ...]:
        parts = []
        while True:
            raw = self._take(_KEY).strip()
            parts.append(_unquoted(raw))
            if not self._text.startswith(".", self._at):
                return tuple(parts)
            self._at += 1

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self._text, self._at)
        assert match is not None, f"tomllib accepted what is not TOML, at {self._at}"
        self._at = match.end()
        return match[0]

    def _skip_blank(self) -> None:
        self._take(_BLANK)

    def _note(self, path: Path) -> None:
        """The first mention stays: `[offer.while]` after `[[offer]]` does not move the offer."""
        if 0 < len(path) <= DEPTH_MAX and path not in self._lines:
            self._line += self._text.count("\n", self._counted, self._at)
            self._counted = self._at
            self._lines[path] = self._line


def _unquoted(key: str) -> str:
    """A quoted key by tomllib's own rules of escaping."""
    if key[0] not in "\"'":
        return key
    (name,) = tomllib.loads(f"{key} = 0")
    return name
