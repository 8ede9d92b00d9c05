"""What is wrong with a catalogue, for the person who wrote it: line, key, what was found and what is allowed.

Made by document.py from the TOML reader's, the model's and the checks' findings; shown by whoever read the file.
"""

import datetime as dt
import difflib
from collections.abc import Iterable
from dataclasses import dataclass

SHOWN_CHARACTERS_MAX = 60
"""A longer value is cut in a message: the line number leads to the rest."""
INTEGER_SHOWN_MAX = 2**63
"""Beyond 64 bits a number is not shown: Python refuses to write very long ones."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`key` as the user wrote it (`offer[2].while.activ`, counted from 1); `problem` says what was found."""

    line: int
    key: str
    problem: str
    allowed: str = ""
    suggestion: str = ""

    def render(self, file: str) -> str:
        """`catalogue.toml:12: offer[2].while.activ: unknown state 'activ'; allowed: …; did you mean 'active'?`."""
        text = f"{file}:{self.line}: " + (f"{self.key}: " if self.key else "") + self.problem
        if self.allowed:
            text += f"; allowed: {self.allowed}"
        if self.suggestion:
            text += f"; did you mean '{self.suggestion}'?"
        return text


class Faults(Exception):  # noqa: N818 - it is what it holds
    """Everything that is wrong with a catalogue, in the order of the file. The only exception of this package."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda fault: (fault.line, fault.key)))
        super().__init__(self.render("catalogue"))

    def render(self, file: str) -> str:
        return "\n".join(fault.render(file) for fault in self.faults)


def nearest(word: str, allowed: Iterable[str]) -> str:
    """The allowed name that a typo most likely meant, or an empty string."""
    by_lower = {name.lower(): name for name in allowed}
    close = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else ""


def shown(value: object) -> str:  # noqa: PLR0911 - one line for each of TOML's types
    """A TOML value as a message shows it, with its kind where that is not plain from its look."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            cut = value if len(value) <= SHOWN_CHARACTERS_MAX else value[:SHOWN_CHARACTERS_MAX] + "…"
            return repr(cut)
        case int():
            return str(value) if abs(value) < INTEGER_SHOWN_MAX else "a number beyond 64 bits"
        case float():
            return f"{value} (a float)"
        case dt.date() | dt.time():
            return f"{value.isoformat()} (a date or time without quotes)"
        case list():
            return "an array"
        case dict():
            return "a table"
        case _:
            return "nothing" if value is None else type(value).__name__
