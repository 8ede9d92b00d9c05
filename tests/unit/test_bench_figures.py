"""What benchmarks print: medians, quantiles, and a line for what could not be measured."""

import json

import pytest

from bench.figures import left_out, quantiles_ms, report, spread
from bench.requests import kind_of
from streams.kit.simulator.journal import Entry


def test_a_spread_has_the_median_and_the_ends_of_unordered_rounds():
    assert spread([3.0, 1.0, 2.004]) == {"median": 2.0, "min": 1.0, "max": 3.0}


def test_quantiles_are_taken_from_unordered_seconds_and_said_in_milliseconds():
    seconds = [number / 1000 for number in range(100, 0, -1)]
    assert quantiles_ms(seconds) == {"p50_ms": 51.0, "p99_ms": 100.0}


def test_the_p99_of_few_values_is_the_highest_of_them():
    assert quantiles_ms([0.002, 0.001]) == {"p50_ms": 2.0, "p99_ms": 2.0}


def test_a_figure_is_one_line_of_json(capsys: pytest.CaptureFixture[str]):
    report("speed", ratio=spread([1.0]))
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"figure": "speed", "ratio": {"median": 1.0, "min": 1.0, "max": 1.0}}


def test_what_is_left_out_is_said_to_programs_and_to_people(capsys: pytest.CaptureFixture[str]):
    left_out("speed", "no Go")
    said = capsys.readouterr()
    assert json.loads(said.out) == {"figure": "speed", "left_out": "no Go"}
    assert "speed: left out: no Go" in said.err


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v4/subscribers", "upsert"),
        ("GET", "/v4/subscribers", "look-up"),
        ("GET", "/v4/subscribers/7/tags", "look-up"),
        ("PUT", "/v4/subscribers/7", "update"),
        ("POST", "/v4/tags/1/subscribers/7", "tag"),
        ("DELETE", "/v4/tags/1/subscribers/7", "untag"),
        ("POST", "/v4/sequences/1/subscribers/7", "sequence"),
        ("POST", "/v4/tags", "names"),
        ("GET", "/v4/sequences", "names"),
        ("POST", "/v4/broadcasts", "POST /v4/broadcasts"),
    ],
)
def test_every_request_to_kit_is_counted_by_its_kind(method: str, path: str, kind: str):
    entry = Entry(method=method, path=path, query={}, body=None, status=200, received=0.0)
    assert kind_of(entry) == kind
