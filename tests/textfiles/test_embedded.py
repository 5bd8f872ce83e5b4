"""Texts that are embedded in other texts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from undam.textfiles.embedded import (
    EmbeddedText,
    heredocs,
    markdown_fences,
    quoted_writes,
    yaml_blocks,
)

Finder = Callable[[str], Iterator[EmbeddedText]]


def found(finder: Finder, text: str) -> list[tuple[str, str]]:
    return [(one.name, text[one.start : one.end]) for one in finder(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: |\n  b\n  c\nd: e\n", [("a", "  b\n  c\n")]),
        ("a:\n  'x.conf': |-  # why\n    b\n\n    c\n  d: e", [("x.conf", "    b\n\n    c\n")]),
        ("- a: |\n    b", [("a", "    b")]),
        ("a: |", []),
        ("a: |\nb: c\n", []),
        ("a: >\n  folded\n", []),
        ("a: |\r\n  b\r\n", [("a", "  b\r\n")]),
        ("a: |\n  b\nc: |\n  d\n", [("a", "  b\n"), ("c", "  d\n")]),
    ],
)
def test_block_scalars(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(yaml_blocks, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cat > /etc/a.conf <<EOT\nb\nEOT\n", [("/etc/a.conf", "b\n")]),
        ("cat <<'EOT' > a.conf\nb\nEOT", [("a.conf", "b\n")]),
        ("tee -a /a/b <<-EOT\n\tb\n\tEOT\n", [("/a/b", "\tb\n")]),
        ("COPY <<EOT /etc/x.conf\nb\nEOT\n", [("/etc/x.conf", "b\n")]),
        ("run <<EOT\nb\nEOT\n", [("", "b\n")]),
        ("cat <<EOT\nnever closed\ncat > x <<E\nb\nE\n", [("x", "b\n")]),
        ("# cat <<EOT\nb\nEOT\n", []),
    ],
)
def test_here_documents(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(heredocs, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\n~~~nginx title\nb\n~~~\n", [("nginx", "b\n")]),
        ("~~~\nb\n~~~", [("", "b\n")]),
        ("~~~~yaml\n~~~\nb\n~~~~\n~~~caddy\nc\n~~~\n", [("yaml", "~~~\nb\n"), ("caddy", "c\n")]),
        ("~~~nginx\nb\n", []),
    ],
)
def test_code_fences(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(markdown_fences, text.replace("~", "`")) == [
        (name, body.replace("~", "`")) for name, body in expected
    ]


@pytest.mark.parametrize(
    ("finder", "text"),
    [(yaml_blocks, "a: |\n  b\n"), (heredocs, "x <<E\nb\nE\n"), (markdown_fences, "```\nb\n```\n")],
)
def test_the_number_of_texts_is_bounded(finder: Finder, text: str) -> None:
    assert len(found(finder, text * 300)) == 200


def test_block_scalars_in_lists_end_before_the_next_key_of_their_mapping() -> None:
    text = "a:\n- content: |\n    x\n  owner: y\n- - |\n   z\n- &b !!str |\n  w\n|\n  v\n"
    assert found(yaml_blocks, text) == [("content", "    x\n"), ("", "   z\n"), ("", "  w\n")]


def test_the_closing_word_of_a_here_document_in_terraform_may_be_indented() -> None:
    text = 'a = {\n  "x.conf" = <<-EOT\n    b\n    EOT\n  c = f(<<EOF\nd\n  EOF\n  )\n}\n'
    expected = [("x.conf", "    b\n"), ("", "d\n")]
    assert found(partial(heredocs, is_indented=True), text) == expected
    assert found(heredocs, text) == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("echo 'a\nb' > /x.conf", [("/x.conf", "a\nb")]),
        ("printf -v 'a\n' | sudo tee -a \"/y\"", [("/y", "a\n")]),
        ("echo 'a' > /x", []), ("echo 'a\nb'", []),
    ],
)  # fmt: skip
def test_quoted_texts_that_a_script_writes(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(quoted_writes, text) == expected
