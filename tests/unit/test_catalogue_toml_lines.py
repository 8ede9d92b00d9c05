"""The locator of toml_lines.py: every key and value of a TOML text has its line, whatever stands around it."""

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.catalogue.toml_lines import DEPTH_MAX, Lines, key_of, lines_of


def line_of(text: str, *path: str | int) -> int:
    tomllib.loads(text)  # the locator's promise is for valid TOML only
    lines = lines_of(text)
    assert lines.written(path), f"{path} not among {list(lines.lines)}"
    return lines.of(path)


def test_a_table_and_its_keys_have_their_lines():
    text = "\n[account]\n\nname = 'x'\n"
    assert line_of(text, "account") == 2
    assert line_of(text, "account", "name") == 4


def test_a_subtable_belongs_to_the_latest_table_of_an_array():
    text = "[[offer]]\nname = 'a'\n[offer.while.active]\ntags = []\n[[offer]]\n[offer.while.active]\ntags = []\n"
    assert line_of(text, "offer", 0, "while", "active", "tags") == 4
    assert line_of(text, "offer", 1) == 5
    assert line_of(text, "offer", 1, "while", "active", "tags") == 7


def test_an_array_of_tables_within_an_array_of_tables_counts_anew_in_each():
    text = "[[offer]]\n[[offer.when.renewed]]\nx = 1\n[[offer.when.renewed]]\nx = 2\n"
    text += "[[offer]]\n[[offer.when.renewed]]\nx = 3"
    assert line_of(text, "offer", 0, "when", "renewed", 1, "x") == 5
    assert line_of(text, "offer", 1, "when", "renewed", 0, "x") == 8


def test_dotted_keys_name_every_table_on_the_way():
    text = 'a . "b c".d = 1\na."b c".e = 2\n'
    assert line_of(text, "a", "b c", "d") == 1
    assert line_of(text, "a", "b c", "e") == 2
    assert line_of(text, "a") == 1


def test_inline_tables_and_arrays_of_them():
    text = 'a = { x = 1, y = { z = "}" } }\nb = [\n  { k = 1 },\n  # { k = 2 },\n  { k = 3 }, # end ]\n]\nc = 1\n'
    assert line_of(text, "a", "y", "z") == 1
    assert line_of(text, "b", 0, "k") == 3
    assert line_of(text, "b", 1, "k") == 5
    assert line_of(text, "c") == 7


def test_brackets_in_comments_and_strings_fool_nobody():
    text = (
        '# [[offer]]\na = "[x]  # no comment"\n'
        "b = '''\n[[offer]]\nb = 2\n''''\n"
        'c = """\n[d]\\"""\nc = 3"""""\n'
        "[d] # ] [[\n\"]\" = ['[', \"]\\\"]\", '''\n]''']\nlast = 1"
    )
    assert line_of(text, "b") == 3
    assert line_of(text, "c") == 7
    assert line_of(text, "d") == 10
    assert line_of(text, "d", "]", 2) == 11
    assert line_of(text, "d", "last") == 13
    assert not lines_of(text).written(("offer",))


def test_escapes_in_quoted_keys_are_read_as_toml_reads_them():
    text = '"\\u0061\\"]" = 1\n\'\\n\' = 2\n'
    assert line_of(text, 'a"]') == 1
    assert line_of(text, "\\n") == 2


def test_windows_line_ends_dates_and_numbers():
    text = "a = 1979-05-27 07:32:00 # x\r\nb = [1e3,\r\n 0x_, ]\r\n".replace("0x_", "0xFF") + "c = -inf\r\n"
    assert line_of(text, "b", 1) == 3
    assert line_of(text, "c") == 4


def test_a_key_that_is_not_there_has_the_line_of_what_would_hold_it():
    lines = lines_of("\n\n[a]\nb = 1\n")
    assert lines.of(("a", "missing", "deeper")) == 3
    assert lines.of(("missing",)) == 1
    assert Lines({}).of(()) == 1


def test_depth_is_bounded_and_the_nearest_table_answers():
    text = "\n" + ".".join("a" * (DEPTH_MAX + 5)) + " = 1"
    lines = lines_of(text)
    assert len(lines.lines) == DEPTH_MAX
    assert lines.of(("a",) * (DEPTH_MAX + 5)) == 2


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (("offer", 1, "while", "activ"), "offer[2].while.activ"),
        (("while", "active", "fields", "my key"), 'while.active.fields."my key"'),
        (("a", 'b"\\'), 'a."b\\"\\\\"'),
        (("tiers", "order", 0), "tiers.order[1]"),
        ((), ""),
    ],
)
def test_a_key_is_shown_as_one_writes_it(path: Any, key: str):
    assert key_of(path) == key


# --- any document, in any spelling: each leaf is a string that is there once, so its line can be told ---------------

names = st.sampled_from(["a", "b", "c-d", "e f", "g.h", "[i]", '"', "#", "=", "", "ü"])
comments = st.sampled_from(["", " # x", ' # "[[a]]', " # '''", " # }]"])
leaf = object()
trees = st.dictionaries(
    names,
    st.recursive(
        st.just(leaf),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
        max_leaves=8,
    ),
    max_size=4,
)


class Writer:
    """Writes a tree as TOML, asking `draw` wherever there is more than one way."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.leaves = 0

    def leaf(self) -> str:
        self.leaves += 1
        mark = f"<{self.leaves}>"
        forms = (f'"{mark}]"', f"'{mark}#'", f'"""{mark}\n[x]\n"x""""', f"'''{mark}\n}}'''", f'"""{mark}\\""""')
        return self.draw(st.sampled_from(forms))

    def key(self, name: str) -> str:
        escaped = name.replace('"', '\\"')
        forms = [f'"{escaped}"', f"'{name}'"] + ([name] if name in {"a", "b", "c-d"} else [])
        return self.draw(st.sampled_from(forms))

    def value(self, tree: Any) -> str:
        if isinstance(tree, dict):
            return "{" + ", ".join(f"{self.key(k)} = {self.value(v)}" for k, v in tree.items()) + "}"
        if isinstance(tree, list):
            gap = self.draw(st.sampled_from(["", " ", "\n", "\n\t# ]\n"]))
            return "[" + gap + ",".join(self.value(item) + gap for item in tree) + "]"
        return self.leaf()

    def table(self, tree: dict[str, Any], header: str) -> str:
        """Values first: what follows a header belongs to it."""
        text, later = "", []
        for name, value in tree.items():
            form = self.draw(st.sampled_from(["inline", "own", "dotted"]))
            if form == "own" and isinstance(value, dict):
                later.append((name, "[", [value]))
            elif form == "own" and isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
                later.append((name, "[[", value))
            elif form == "dotted" and isinstance(value, dict) and value:
                text += self.dotted(name, value)
            else:
                text += f"{self.key(name)} = {self.value(value)}{self.draw(comments)}\n"
        for name, bracket, values in later:
            path = f"{header}.{self.key(name)}" if header else self.key(name)
            for value in values:
                text += f"{bracket}{path}{']' * len(bracket)}{self.draw(comments)}\n{self.table(value, path)}"
        return text

    def dotted(self, name: str, tree: dict[str, Any]) -> str:
        return "".join(f"{self.key(name)} . {self.key(k)} = {self.value(v)}\n" for k, v in tree.items())


def leaves(tree: Any, path: tuple[str | int, ...] = ()) -> Any:
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from leaves(value, (*path, name))
    elif isinstance(tree, list):
        for index, value in enumerate(tree):
            yield from leaves(value, (*path, index))
    else:
        yield path, tree


@given(trees, st.data())
def test_the_line_of_every_value_is_where_the_value_stands(tree: dict[str, Any], data: st.DataObject):
    text = Writer(data.draw).table(tree, "")
    raw = tomllib.loads(text)
    lines = lines_of(text)
    for path, value in leaves(raw):
        mark = value[: value.index(">") + 1]
        assert mark in text.split("\n")[lines.of(path) - 1]
        assert lines.written(path)
