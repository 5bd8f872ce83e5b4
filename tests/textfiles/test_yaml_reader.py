"""Reading YAML and JSON as trees: values, positions, aliases, merge keys and limits."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from support.plain_trees import as_texts, plain, spans
from undam.errors import ConfigSyntaxError
from undam.textfiles.source import Source
from undam.textfiles.tree import Node, items_of, walk
from undam.textfiles.yaml_reader import YamlDocuments, read_yaml


def documents(text: str) -> YamlDocuments:
    return read_yaml(Source("f.yaml", text))


def root(text: str) -> Node:
    (only,) = documents(text).roots
    return only


def test_block_flow_and_quoted_values() -> None:
    text = "a:\n  - b: 'x'  # c\n    c: {d: \"y\", e: [1, 2]}\nf: |\n  long\n  text\ng:\n"
    assert plain(root(text)) == {
        "a": [{"b": "x", "c": {"d": "y", "e": ["1", "2"]}}],
        "f": "long\ntext\n",
        "g": "",
    }
    assert spans(text, root(text))["b"] == "'x'"
    assert spans(text, root(text))["d"] == '"y"'


def test_json_may_be_indented_with_tabs() -> None:
    text = '{\n\t"a": "x\\/y",\n\t"b": [1, {"c": null}]\n}'
    assert plain(root(text)) == {"a": "x/y", "b": ["1", {"c": "null"}]}


@pytest.mark.parametrize("text", ["\ufeffé: ü\n😀: x\n", "é: ü\r\n😀: x\r\n"])
def test_positions_count_characters_not_bytes(text: str) -> None:
    assert spans(text, root(text)) == {"é": "ü", "😀": "x"}


def test_a_text_has_any_number_of_documents() -> None:
    assert documents("").roots == ()
    assert [plain(one) for one in documents("a: 1\n---\nb: 2\n").roots] == [
        {"a": "1"},
        {"b": "2"},
    ]


def test_a_block_ends_with_its_last_value() -> None:
    text = "a:\n  b: 1\n\n# c\nd: &x [1]\ne:\n  f: *x  # g\n"
    tree = root(text)
    block, aliased = tree.get("a"), tree.get("e")
    assert block is not None
    assert aliased is not None
    assert text[block.start : block.end] == "b: 1"
    assert text[aliased.start : aliased.end] == "f: *x"


def test_an_alias_refers_to_the_same_node() -> None:
    tree = root("a: &x {b: &y 1}\nc: *x\nd: *y\n")
    assert tree.get("a") is tree.get("c")
    shared = [node.text for node in walk(tree) if node.aliased and node.kind == "scalar"]
    assert shared == ["1"]


def test_own_keys_take_precedence_over_merged_ones() -> None:
    tree = root("a: &x {b: 1, c: 2}\nd: &y {c: 3, e: 4}\nf:\n  <<: [*x, *y]\n  b: 5\n")
    assert plain(tree.get("f")) == {"c": "2", "e": "4", "b": "5"}
    assert plain(root("a:\n  <<: {b: 1}\n  '<<': 2\n")) == {"a": {"b": "1", "<<": "2"}}


def test_a_duplicate_key_is_reported() -> None:
    found = documents("a: 1\nb: 2\na: 3\n")
    assert found.roots[0].get("a") is found.roots[0].entries[-1].value
    (duplicate,) = found.unread
    assert duplicate.line == 3
    assert duplicate.what == "the key 'a' is duplicated; only the last one is used"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: [1", 1, "not YAML"),
        ("a: 1\n b: 2", 2, "mapping values"),
        ("a: \x07", 1, "control characters"),
        ("a: \ud800", 1, "surrogate"),
        ("a: *x", 1, "no anchor"),
        ("a: &x\n  b: *x", 2, "contains itself"),
        ("a: 1\n---\nb: &x 1\n---\nc: *x", 5, "no anchor"),
        ("%YAML 9.9\n---\na", 1, "not YAML"),
        ("\n" + "[" * 300 + "]" * 300, 2, "levels deep"),
    ],
)
def test_an_error_has_its_position(text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=words) as caught:
        documents(text)
    assert caught.value.line == line


def test_nested_aliases_do_not_multiply_nodes() -> None:
    levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
    text = "\n".join(["a0: &a0 [x]", *levels])
    tree = root(text)
    assert sum(1 for _ in walk(tree)) < 200
    assert len(list(items_of(tree.get("a59")))) == 1


def test_the_number_of_merged_keys_is_bounded() -> None:
    maps = [f"m{n}: &m{n}\n  <<: *m{n - 1}\n  k{n}: 1" for n in range(1, 1000)]
    with pytest.raises(ConfigSyntaxError, match="merges"):
        documents("\n".join(["m0: &m0 {k0: 1}", *maps]))


@pytest.mark.seconds
@given(
    st.recursive(
        st.text("ab:#'\"\\{}[],&*!é \n", max_size=5) | st.integers() | st.booleans(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-"), inner),
        max_leaves=8,
    ),
    st.booleans(),
)
def test_output_of_other_writers_is_read(value: Any, block: bool) -> None:
    text = yaml.safe_dump(value) if block else json.dumps(value, indent="\t")
    assert plain(root(text)) == as_texts(value, lower=True)
