"""How YAML, JSON and TOML become trees: values, places, aliases, merges, bounds."""

from __future__ import annotations

import json
import time
import tomllib
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import ConfigSyntaxError
from undam.textfiles.source import Source
from undam.textfiles.toml_reader import _TomlReader, read_toml
from undam.textfiles.tree import Node, items_of, walk
from undam.textfiles.yaml_reader import YamlDocuments, read_yaml


def documents(text: str) -> YamlDocuments:
    return read_yaml(Source("f.yaml", text))


def root(text: str) -> Node:
    (only,) = documents(text).roots
    return only


def toml(text: str) -> Node:
    return read_toml(Source("f.toml", text))


def plain(node: Node | None) -> Any:
    """Texts alone."""
    if node is None:
        return None
    if node.kind == "map":
        return {entry.key.text: plain(entry.value) for entry in node.entries}
    return [plain(item) for item in node.items] if node.kind == "list" else node.text


def spans(text: str, tree: Node) -> dict[str, str]:
    """What stands at the place of each scalar value, by its key."""
    return {
        entry.key.text: text[entry.value.start : entry.value.end]
        for node in walk(tree)
        for entry in node.entries
        if entry.value.kind == "scalar"
    }


class TestYaml:
    def test_blocks_flows_and_quotes(self) -> None:
        text = "a:\n  - b: 'x'  # c\n    c: {d: \"y\", e: [1, 2]}\nf: |\n  long\n  text\ng:\n"
        assert plain(root(text)) == {
            "a": [{"b": "x", "c": {"d": "y", "e": ["1", "2"]}}],
            "f": "long\ntext\n",
            "g": "",
        }
        assert spans(text, root(text))["b"] == "'x'"
        assert spans(text, root(text))["d"] == '"y"'

    def test_json_with_tabs_and_escapes(self) -> None:
        text = '{\n\t"a": "x\\/y",\n\t"b": [1, {"c": null}]\n}'
        assert plain(root(text)) == {"a": "x/y", "b": ["1", {"c": "null"}]}

    @pytest.mark.parametrize("text", ["\ufeffé: ü\n😀: x\n", "é: ü\r\n😀: x\r\n"])
    def test_places_count_characters(self, text: str) -> None:
        assert spans(text, root(text)) == {"é": "ü", "😀": "x"}

    def test_documents(self) -> None:
        assert documents("").roots == ()
        assert [plain(one) for one in documents("a: 1\n---\nb: 2\n").roots] == [
            {"a": "1"},
            {"b": "2"},
        ]

    def test_a_block_ends_with_its_last_value(self) -> None:
        text = "a:\n  b: 1\n\n# c\nd: &x [1]\ne:\n  f: *x  # g\n"
        tree = root(text)
        block, aliased = tree.get("a"), tree.get("e")
        assert block is not None
        assert aliased is not None
        assert text[block.start : block.end] == "b: 1"
        assert text[aliased.start : aliased.end] == "f: *x"

    def test_aliases_repeat_the_node_itself(self) -> None:
        tree = root("a: &x {b: &y 1}\nc: *x\nd: *y\n")
        assert tree.get("a") is tree.get("c")
        shared = [node.text for node in walk(tree) if node.aliased and node.kind == "scalar"]
        assert shared == ["1"]

    def test_merges_give_way_to_own_keys(self) -> None:
        tree = root("a: &x {b: 1, c: 2}\nd: &y {c: 3, e: 4}\nf:\n  <<: [*x, *y]\n  b: 5\n")
        assert plain(tree.get("f")) == {"c": "2", "e": "4", "b": "5"}
        assert plain(root("a:\n  <<: {b: 1}\n  '<<': 2\n")) == {"a": {"b": "1", "<<": "2"}}

    def test_a_key_that_stands_twice_is_told(self) -> None:
        found = documents("a: 1\nb: 2\na: 3\n")
        assert found.roots[0].get("a") is found.roots[0].entries[-1].value
        assert [(one.line, "'a'" in one.what) for one in found.unread] == [(3, True)]

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
    def test_what_cannot_be_read_has_a_place(self, text: str, line: int, words: str) -> None:
        with pytest.raises(ConfigSyntaxError, match=words) as caught:
            documents(text)
        assert caught.value.line == line

    def test_a_bomb_of_aliases_costs_no_more_than_its_length(self) -> None:
        levels = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 60)]
        text = "\n".join(["a0: &a0 [x]", *levels])
        began = time.perf_counter()
        tree = root(text)
        assert sum(1 for _ in walk(tree)) < 200
        assert len(list(items_of(tree.get("a59")))) == 1
        assert time.perf_counter() - began < 5

    def test_a_chain_of_merges_is_bounded(self) -> None:
        maps = [f"m{n}: &m{n}\n  <<: *m{n - 1}\n  k{n}: 1" for n in range(1, 1000)]
        with pytest.raises(ConfigSyntaxError, match="merges"):
            documents("\n".join(["m0: &m0 {k0: 1}", *maps]))

    @given(
        st.recursive(
            st.text("ab:#'\"\\{}[],&*!é \n", max_size=5) | st.integers() | st.booleans(),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-"), inner),
            max_leaves=8,
        ),
        st.booleans(),
    )
    def test_what_others_write_is_read(self, value: Any, block: bool) -> None:
        text = yaml.safe_dump(value) if block else json.dumps(value, indent="\t")
        assert plain(root(text)) == _texts(value, lower=True)


def _texts(value: Any, *, lower: bool) -> Any:
    if isinstance(value, dict):
        return {key: _texts(inner, lower=lower) for key, inner in value.items()}
    if isinstance(value, list):
        return [_texts(inner, lower=lower) for inner in value]
    return str(value).lower() if isinstance(value, bool) else str(value)


class TestToml:
    def test_tables_lists_and_dots(self) -> None:
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
    def test_what_cannot_be_read_has_a_place(self, text: str, line: int, words: str) -> None:
        with pytest.raises(ConfigSyntaxError, match=words) as caught:
            toml(text)
        assert caught.value.line == line

    def test_a_text_that_only_tomllib_took_is_refused(self) -> None:
        with pytest.raises(ConfigSyntaxError, match="cannot be read"):
            _TomlReader(Source("f.toml", "= 1")).read()

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
    def test_what_tomllib_reads_is_read_the_same(self, table: dict[str, Any], inline: bool) -> None:
        pairs = [f"{_quoted(key)} = {_quoted(value)}" for key, value in table.items()]
        text = f"x = {{{', '.join(pairs)}}}\n" if inline else "\n".join(["[x]", *pairs])
        assert plain(toml(text)) == _texts(tomllib.loads(text), lower=False)


def _quoted(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_quoted, value)) + "]"
    return json.dumps(value, ensure_ascii=False)
