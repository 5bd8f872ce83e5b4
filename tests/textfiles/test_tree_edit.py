"""Edits to YAML, JSON and TOML trees keep the style of the surrounding text."""

from __future__ import annotations

import pytest

from undam.textfiles.edits import Edit, apply_edits
from undam.textfiles.source import Source
from undam.textfiles.toml_reader import read_toml
from undam.textfiles.tree import Entry, Node
from undam.textfiles.tree_edit import Value, insert_entry, insert_item, remove_item, replace_value
from undam.textfiles.yaml_reader import read_yaml


def read(text: str) -> tuple[Source, Node]:
    source = Source("f", text)
    if text.startswith(("[", "x =", "x.")):
        return source, read_toml(source)
    return source, read_yaml(source).roots[0]


def entry_of(tree: Node, name: str = "x") -> Entry:
    entry = tree.entry(name)
    assert entry is not None
    return entry


def applied(text: str, edit: Edit | None) -> str | None:
    return apply_edits(text, [edit]) if edit else None


def inserted(text: str, value: Value = "0s", key: str = "new") -> str | None:
    source, tree = read(text)
    return applied(text, insert_entry(source, entry_of(tree).value, key, value))


NESTED: Value = {"@type": "a.b/C", "on": True}


@pytest.mark.parametrize(
    ("text", "value", "after"),
    [
        ("x:\n  a: 1 # c\n  b: 2\n", "0s", "x:\n  a: 1 # c\n  new: 0s\n  b: 2\n"),
        ("x:\n  a: 1", "0s", "x:\n  a: 1\n  new: 0s"),
        ("x:\r\n  a: 1\r\n", "0s", "x:\r\n  a: 1\r\n  new: 0s\r\n"),
        ("x:\n  a: |\n    t\n  b: {c: 1}\n", "0s", "x:\n  a: |\n    t\n  b: {c: 1}\n  new: 0s\n"),
        ("x:\n  a:\n    c: 1\n", "0s", "x:\n  new: 0s\n  a:\n    c: 1\n"),
        ("x:\n  a: {c: 1,\n    d: 2}\n", True, "x:\n  new: true\n  a: {c: 1,\n    d: 2}\n"),
        (
            "x:\n  a: 1\n",
            NESTED,
            'x:\n  a: 1\n  new:\n    "@type": a.b/C\n    "on": true\n'.replace('"on"', "on"),
        ),
        ("x:\n  a: 1\n", ("b c", "d"), 'x:\n  a: 1\n  new:\n    - "b c"\n    - d\n'),
        ("x: {a: 1}\n", "0s", "x: {a: 1, new: 0s}\n"),
        ("x: {a: 1,}\n", "0s", "x: {a: 1, new: 0s,}\n"),
        ("x: {}\n", ("a", "b"), "x: {new: [a, b]}\n"),
        ('{"x": {"a": 1}}', "0s", '{"x": {"a": 1, "new": "0s"}}'),
        ('{"x": {"a": 1}}', NESTED, '{"x": {"a": 1, "new": {"@type": "a.b/C", "on": true}}}'),
        ('{"x": {\n  "a": 1\n}}', "0s", '{"x": {\n  "a": 1,\n  "new": "0s"\n}}'),
        ("x: {a: 1}\n", NESTED, 'x: {a: 1, new: {"@type": a.b/C, on: true}}\n'),
        ("[x] # c\n  a = 1\n", "0s", '[x] # c\n  new = "0s"\n  a = 1\n'),
        (" [x]\n", ("a", "b"), ' [x]\n new = ["a", "b"]\n'),
        ("x = {a = 1}\n", NESTED, 'x = {a = 1, new = { "@type" = "a.b/C", on = true }}\n'),
        ("x = {}\n", "0s", 'x = {new = "0s"}\n'),
    ],
)
def test_an_entry_is_inserted(text: str, value: Value, after: str) -> None:
    source = Source("f", text)
    tree = read_toml(source) if text.startswith(" [x]") else read(text)[1]
    assert applied(text, insert_entry(source, entry_of(tree).value, "new", value)) == after


@pytest.mark.parametrize(
    "text",
    [
        "x: 1\n",
        "y: &y {a: 1}\nx: *y\n",
        "x.y = 1\n",
        "x: { }\n",
        "x:\n  &k a: 1\n",
        "y: &y {a: 1}\nx: {<<: *y, b: 2}\n",
        "x:\n  <<: {a: 1}\n",
        "x:\n  ? a\n  : b\n",
        "y: &y 1\nx: {a: *y}\n",
    ],
)
def test_an_entry_is_not_inserted_if_other_values_would_change(text: str) -> None:
    assert inserted(text) is None


@pytest.mark.parametrize("odd", ["é", "\n", "\u2028", "\x7f", "😀"])
def test_only_values_that_need_no_escapes_are_inserted(odd: str) -> None:
    for value in (odd, (odd,), {odd: "x"}, {"x": {"y": odd}}):
        assert inserted("x: {a: 1}\n", value) is None
    assert inserted("x: {a: 1}\n", "x", odd) is None


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("x: 1 # c\n", "x: 9 # c\n"),
        ("x: '1'\n", "x: '9'\n"),
        ('{"x": "1"}', '{"x": "9"}'),
        ("x = 1\n", "x = 9\n"),
        ("x: |\n  1\n", None),
        ("x: !!int 1\n", None),
        ("x: &a 1\n", None),
        ("y: &a 1\nx: *a\n", None),
        ("x:\n", None),
        ("x: [1]\n", None),
    ],
)
def test_a_value_is_replaced(text: str, after: str | None) -> None:
    source, tree = read(text)
    assert applied(text, replace_value(source, entry_of(tree).value, "9")) == after
    assert replace_value(source, None, "9") is None


@pytest.mark.parametrize(
    ("text", "at", "after"),
    [
        ("x: [a, b, c]\n", 1, "x: [a, c]\n"),
        ("x: [a, b]\n", 0, "x: [b]\n"),
        ("x: [a]\ny: 1\n", 0, "y: 1\n"),
        ("x:\n- a\n- b # c\n- d\n", 1, "x:\n- a\n- d\n"),
        ("x:\n  - a\ny: 1\n", 0, "y: 1\n"),
        ('x = [\n "a", # c\n "b",\n]\n', 1, 'x = [\n "a",\n]\n'),
        ("z: {x: [a]}\n", 0, None),
        ("x: [a] # c\n", 0, ""),
        ("x:\n- - a\n  - b\n- c\n", 0, "x:\n- c\n"),
        ("y: &y [a, b]\nx: *y\n", 0, None),
    ],
)
def test_an_item_is_removed(text: str, at: int, after: str | None) -> None:
    source, tree = read(text)
    inner = tree.get("z") or tree
    entry = entry_of(inner)
    assert applied(text, remove_item(source, entry, entry.value.items[at])) == after


def test_only_an_item_of_the_list_is_removed() -> None:
    source, tree = read("x: [a]\n")
    assert remove_item(source, entry_of(tree), tree) is None


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("x: [a]\n", "x: [a, t/e]\n"),
        ("x: ['a']\n", "x: ['a', 't/e']\n"),
        ('x = ["a"]\n', 'x = ["a", "t/e"]\n'),
        ('x = [\n  "a",\n]\n', 'x = [\n  "a",\n  "t/e",\n]\n'),
        ("x:\n  - a # c\n", "x:\n  - a # c\n  - t/e\n"),
        ("x: []\n", None),
        ("x: 1\n", None),
        ("x: [[a]]\n", None),
        ("x:\n- |\n  a\n", None),
        ("x:\n- - a\n", None),
        ("x:\n  -\n    a\n", None),
    ],
)
def test_an_item_is_inserted(text: str, after: str | None) -> None:
    source, tree = read(text)
    assert applied(text, insert_item(source, entry_of(tree).value, "t/e")) == after
