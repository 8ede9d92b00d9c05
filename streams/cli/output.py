"""How the command line speaks: tables or one JSON document on stdout, everything else on stderr."""

import sys
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

WIDTH_IN_FILES = 150
"""A table that goes to a file or a pipe has no terminal to fit into."""

screen = Console(width=None if sys.stdout.isatty() else WIDTH_IN_FILES)
notices = Console(stderr=True, highlight=False)


def print_json(document: Any) -> None:
    """One JSON document, nothing else on stdout."""
    screen.file.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")
    screen.file.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str | None = None) -> None:
    table = Table(title=title, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    screen.print(table)


def say(text: str) -> None:
    """For people, on stderr; no markup is read from it."""
    notices.print(text, markup=False, soft_wrap=True)
