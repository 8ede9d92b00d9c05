"""What log lines may not hold."""

import json
import logging

import pytest
import structlog

from streams.logging_setup import configure_logging, masked


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()


def test_no_email_leaves_in_full_and_no_secret_at_all():
    line = masked(
        "jane.doe+x@example.com paid with sk_live_abcdef123456, signed whsec_0123456789, kit_0123456789abcdef"
    )
    assert line == "j…@example.com paid with sk_live_…, signed whsec_…, kit_…"


def test_names_of_our_own_stay():
    assert masked("action=kit_missing_names") == "action=kit_missing_names"


def test_a_json_line_is_masked_wherever_it_comes_from(capsys):
    configure_logging("json")
    structlog.get_logger("streams").info("sent", action="send", to=["a.b@example.org"])
    try:
        raise ValueError("no such person: jane@example.org")
    except ValueError:
        logging.getLogger("some.library").exception("failed for jane@example.org")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert [line["level"] for line in lines] == ["info", "error"]
    assert not any("jane@" in str(line) or "a.b@" in str(line) for line in lines)
    assert lines[0]["to"] == "['a…@example.org']"
