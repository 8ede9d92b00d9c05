"""What a test needs beyond Python: asked for through `skip_without`, so that every missing part is named and counted.

tests/conftest.py prints the summary at the end of a run: each missing part once, with what would bring it and how many
tests went without it.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import NoReturn

import pytest

_MISSING = re.compile(r"missing part: (?P<part>[^;]+); (?P<remedy>.+)", re.DOTALL)


def skip_without(part: str, remedy: str) -> NoReturn:
    """Skips the test: `part` (Kafka, Go, …) is not on this machine; `remedy` says what would bring it."""
    pytest.skip(f"missing part: {part}; {remedy}")


def summary_of_missing(skip_reasons: Iterable[str]) -> list[str]:
    """One line for each missing part among the reasons of all skipped tests."""
    found = [match for reason in skip_reasons if (match := _MISSING.search(reason))]
    counts = Counter(match["part"] for match in found)
    remedies = {match["part"]: match["remedy"] for match in found}
    return [f"{part} is missing: {count} skipped; {remedies[part]}" for part, count in sorted(counts.items())]
