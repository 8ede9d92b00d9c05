"""Many rows in one INSERT: each statement gives up the interpreter's lock once, and has to queue for it again.

With `executemany` the writer would queue once a row, behind a busy event loop. batches.py and latest.py call it.
"""

import sqlite3
from collections.abc import Sequence
from functools import cache
from itertools import chain

ROWS_PER_STATEMENT = 64
"""Enough to spare the lock; the prepared statements of all sizes up to this stay in the connection's cache."""


def insert(connection: sqlite3.Connection, verb: str, columns: str, rows: Sequence[tuple[object, ...]]) -> None:
    """`verb` and `columns` as in `INSERT INTO table` and `a, b`: our own words, never anybody's data."""
    for first in range(0, len(rows), ROWS_PER_STATEMENT):
        some = rows[first : first + ROWS_PER_STATEMENT]
        connection.execute(_statement(verb, columns, len(some)), tuple(chain.from_iterable(some)))


@cache
def _statement(verb: str, columns: str, rows: int) -> str:
    row = "(" + ", ".join("?" * (columns.count(",") + 1)) + ")"
    return f"{verb} ({columns}) VALUES {', '.join([row] * rows)}"
