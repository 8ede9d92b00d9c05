"""What a benchmark prints: one JSON line per figure, with the baseline of the same run beside it."""

import json
import statistics
import sys
from collections.abc import Sequence


def spread(values: Sequence[float], digits: int = 2) -> dict[str, float]:
    """Median, least and most of several rounds: machines are shared, so one number says little."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def quantiles_ms(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    at = [ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000 for share in (0.5, 0.99)]
    return {"p50_ms": round(at[0], 2), "p99_ms": round(at[1], 2)}


def report(figure: str, **values: object) -> None:
    print(json.dumps({"figure": figure, **values}), flush=True)


def left_out(figure: str, reason: str) -> None:
    """A figure that this machine cannot give is named, not silently missing."""
    report(figure, left_out=reason)
    print(f"{figure}: left out: {reason}", file=sys.stderr)
