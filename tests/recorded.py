"""Stripe's recorded events (tests/data/stripe/webhook_events), issued again: unique event ids, test mode.

The recordings share one id for all events and all-zero ids for all objects. A `copy` is a whole set for buyers of its
own: every all-zero id gets the copy's number, the same one wherever it stands. Deterministic; for tests and benchmarks.
"""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "data" / "stripe" / "webhook_events"
_ZERO_ID = re.compile(r'(?<=_)(?:test_)?0{8,}(?=")')


def recorded_events(copy: int = 0) -> list[dict[str, Any]]:
    """One event for each recording, in the order of their file names. New dicts each time: they may be changed."""
    return [_issued(copy, number) for number in range(len(_recordings()))]


def recorded_event(event_type: str, copy: int = 0) -> dict[str, Any]:
    """The first of this type."""
    numbers = (number for number, (recorded_type, _) in enumerate(_recordings()) if recorded_type == event_type)
    return _issued(copy, next(numbers))


def _issued(copy: int, number: int) -> dict[str, Any]:
    _, text = _recordings()[number]
    event: dict[str, Any] = json.loads(_ZERO_ID.sub(lambda match: str(copy).rjust(len(match[0]), "0"), text))
    event |= {"id": f"evt_{copy:08d}_{number:04d}", "livemode": False}
    if "livemode" in event["data"]["object"]:
        event["data"]["object"]["livemode"] = False
    return event


@cache
def _recordings() -> tuple[tuple[str, str], ...]:
    """The type and the text of each."""
    texts = [path.read_text(encoding="utf-8") for path in sorted(FOLDER.glob("*.json"))]
    return tuple((json.loads(text)["type"], text) for text in texts)
