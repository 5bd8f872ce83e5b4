"""Reading TOML as trees: tables, inline values, positions and limits."""

from __future__ import annotations

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.plain_trees import as_texts, plain, spans
from undam.errors import ConfigSyntaxError
from undam.textfiles.source import Source
from undam.textfiles.toml_reader import _TomlReader, read_toml
from undam.textfiles.tree import Node


def toml(text: str) -> Node:
    return read_toml(Source("f.toml", text))


def test_tables_arrays_and_dotted_keys() -> None:
    text = (
        "# c\r\na = 1 # c\nb.'c d'.e = \"x\\ty\"\n[ t . \"u\" ]\nv = [1, [2, 'z'], # c\n  3,]\n"
        '[[t.list]]\nn = {p = 1, q.r = true}\n[[t.list]]\n[t.list.sub]\nk = """m\nn"""\n'
        "[t]\nw = '''o'''\nempty = {}\nnone = []\nat = 1979-05-27 07:32:00\n"
    )
    assert plain(toml(text)) == {
        "a": "1",
        "b": {"c d": {"e": "x\ty"}},
        "t": {
            "u": {"v": ["1", ["2", "z"], "3"]},
            "list": [{"n": {"p": "1", "q": {"r": "true"}}}, {"sub": {"k": "m\nn"}}],
            "w": "o",
            "empty": {},
            "none": [],
            "at": "1979-05-27 07:32:00",
        },
    }
    found = spans(text, toml(text))
    assert (found["a"], found["e"], found["r"]) == ("1", '"x\\ty"', "true")


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a = 1\nb = \n", 2, "not TOML"),
        ("a = 1\na = 2\n", 2, "not TOML"),
        ('a = "', 1, "not TOML"),
        ("a = " + "[" * 100 + "]" * 100, 1, "levels deep"),
        ("a = " + "[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_an_error_has_its_position(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=words) as caught:
        toml(text)
    assert caught.value.line == line


def test_a_text_that_the_reader_cannot_parse_is_an_error() -> None:
    with pytest.raises(ConfigSyntaxError, match="cannot be read"):
        _TomlReader(Source("f.toml", "= 1")).read()


@pytest.mark.seconds
@given(
    st.dictionaries(
        st.text("ab.\"' é", max_size=4),
        st.one_of(
            st.text("ab'\"\\#\n\t[]é", max_size=6),
            st.integers(),
            st.lists(st.text("a]#,\"'", max_size=4), max_size=3),
        ),
        max_size=4,
    ),
    st.booleans(),
)
def test_values_equal_those_of_tomllib(table: dict[str, Any], inline: bool) -> None:
    pairs = [f"{_quoted(key)} = {_quoted(value)}" for key, value in table.items()]
    text = f"x = {{{', '.join(pairs)}}}\n" if inline else "\n".join(["[x]", *pairs])
    assert plain(toml(text)) == as_texts(tomllib.loads(text), lower=False)


def _quoted(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
