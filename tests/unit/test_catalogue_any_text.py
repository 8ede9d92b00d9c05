"""Whatever text comes: it parses, or there are faults, each with a line and words. Nothing else is ever raised."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from processors.catalogue.document import Faults, Parsed, checked, parse, version_of

WORDS = st.sampled_from(
    [
        "while",
        "when",
        "offer",
        "milestone",
        "delivery",
        "reverse",
        "report",
        "account",
        "tiers",
        "order",
        "active",
        "purchased",
        "renewed",
        "tags",
        "fields",
        "name",
        "kind",
        "link",
        "code",
        "tier",
        "products",
        "metadata",
        "lifetime_value",
        "amount",
        "currency",
        "payments",
        "sync",
        "codes_file",
        "time",
        "enabled",
        "to_tier",
        "from_tier",
        "renewals_min",
        "renewals_max",
        "deliveries",
        "offers",
        "subject",
        "timezone",
        "x",
    ]
)
VALUES = st.recursive(
    st.sampled_from(
        [
            "1",
            "-1",
            "true",
            "nan",
            "1979-05-27",
            "08:00:00",
            "''",
            "'x'",
            "'{offer.name}'",
            "'{'",
            "'link'",
            "'5.00'",
            "0x" + "F" * 5000,
            "'../..'",
            "'UTC'",
            "'a\\b'",
            '"\\u0000"',
            "'usd'",
        ]
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(WORDS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{key} = {value}" for key, value in table.items()) + "}"
        ),
    ),
    max_leaves=6,
)
PATHS = st.lists(WORDS, min_size=1, max_size=4).map(".".join)
STATEMENTS = st.one_of(
    PATHS.map(lambda path: f"[{path}]"),
    PATHS.map(lambda path: f"[[{path}]]"),
    st.tuples(PATHS, VALUES).map(" = ".join),
)


def outcome(text: str) -> Parsed | Faults:
    """Any other exception fails the test."""
    try:
        return parse(text, codes=lambda file: None if file == "x" else file)
    except Faults as faults:
        return faults


def parses_or_says_why(text: str) -> None:
    result = outcome(text)
    if isinstance(result, Parsed):
        assert version_of(result.document) == result.version
        assert checked(result.document) == result.document
        return
    assert result.faults
    assert all(1 <= fault.line <= text.count("\n") + 1 for fault in result.faults)
    assert all(fault.problem for fault in result.faults)


@given(st.lists(STATEMENTS, max_size=8).map("\n".join))
@example("delivery = [{kind = []}]")
@example("delivery = [{kind = 0x" + "F" * 5000 + "}]")
@example("delivery.link = 1")
@example("offer = {name = 1}")
@example("while = [{active = {}}]")
@example("when = 1\n[[offer]]\nwhen = [[]]")
def test_whatever_toml_says_it_parses_or_there_are_faults(text: str):
    parses_or_says_why(text)


@given(st.text(max_size=80))
def test_whatever_text_comes_it_parses_or_there_are_faults(text: str):
    parses_or_says_why(text)


@given(st.data())
def test_a_damaged_example_parses_or_there_are_faults(pytestconfig: pytest.Config, data: st.DataObject):
    text = (pytestconfig.rootpath / "catalogue.example.toml").read_text()
    start = data.draw(st.integers(0, len(text)))
    end = min(len(text), start + data.draw(st.integers(0, 40)))
    damage = data.draw(st.one_of(st.just(""), st.text(max_size=5), VALUES, STATEMENTS, st.sampled_from("[]{}\"'=\n,#")))
    parses_or_says_why(text[:start] + damage + text[end:])
