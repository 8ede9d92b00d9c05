"""How deep JSON is nested, judged exactly without parsing it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.edge.nesting import DEPTH_MAX, is_deeper_than

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('[]{}"\\/né'),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text('[]{}"\\', max_size=4), inside, max_size=3),
    max_leaves=30,
)


def depth_of(value) -> int:
    """The same by recursion, as one would say it."""
    if isinstance(value, dict):
        return 1 + max(map(depth_of, value.values()), default=0)
    if isinstance(value, list):
        return 1 + max(map(depth_of, value), default=0)
    return 0


def nested(depth: int) -> bytes:
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


def test_the_limit_itself_is_allowed_and_one_more_is_not():
    assert not is_deeper_than(nested(DEPTH_MAX))
    assert is_deeper_than(nested(DEPTH_MAX + 1))


def test_many_brackets_side_by_side_are_not_deep():
    assert not is_deeper_than(b"[" + b",".join([b"[{}]"] * 10_000) + b"]")


def test_brackets_in_strings_do_not_count():
    assert not is_deeper_than(json.dumps({"text": "[" * 200 + '"' + "{" * 200 + "\\"}).encode())
    assert not is_deeper_than(b'{"a":"' + b"]" * 100 + b'","b":"' + b"[" * 100 + b'\\\\"}')
    assert is_deeper_than(b'{"a":"' + b"]" * 100 + b'\\"","b":' + nested(DEPTH_MAX) + b"}")


@given(value=ANY_JSON, ascii_only=st.booleans())
def test_it_is_exact_for_every_document(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    depth = depth_of(value)
    for limit in range(max(depth - 2, 0), depth + 2):
        assert is_deeper_than(body, limit) == (depth > limit)


@given(body=st.binary() | st.text('[]{}"\\ a').map(str.encode))
def test_no_bytes_make_it_raise(body):
    is_deeper_than(body, 2)


@pytest.mark.parametrize("body", [b"[" * 100_000, b"]" * 100_000, b"][" * 100_000, b'"' * 100_001, nested(50_000)])
def test_what_would_exhaust_a_parser_gets_a_verdict(body):
    assert is_deeper_than(body) in (True, False)
