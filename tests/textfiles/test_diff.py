"""Differences between texts: changed lines, changed regions and unified diffs."""

from __future__ import annotations

import pytest

from undam.textfiles.diff import MAX_LINES, changed_lines, file_diff, quoted_name, region
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source


def test_changed_lines_are_those_of_the_edits() -> None:
    source = Source("f", "one\ntwo\nthree\n")
    assert changed_lines(source, [Edit(4, 7, "2"), Edit(7, 7, "\nnew")]) == ["-two", "+2", "+new"]
    assert changed_lines(source, []) == []


def test_the_number_of_changed_lines_is_bounded() -> None:
    source = Source("f", "a\n" * 100)
    assert len(changed_lines(source, [Edit(0, 200, "b\n" * 100)])) == MAX_LINES


def test_a_region_ends_after_the_last_character() -> None:
    source = Source("f", "one\ntwo\n")
    assert region(source, Edit(1, 5, "")) == {
        "line": 1,
        "column": 2,
        "end_line": 2,
        "end_column": 2,
    }


def test_a_diff_has_relative_names_and_marks_a_missing_last_line_end() -> None:
    assert list(file_diff("/etc/f", "a\nb", "a\nc\n")) == [
        "--- a/etc/f\n",
        "+++ b/etc/f\n",
        "@@ -1,2 +1,2 @@\n",
        " a\n",
        "-b\n\\ No newline at end of file\n",
        "+c\n",
    ]


def test_a_diff_splits_lines_at_line_feeds_only() -> None:
    assert list(file_diff("f", "a\r\nb\x0cc\n", "a\r\nd\x0cc\n"))[-3:] == [
        " a\r\n",
        "-b\x0cc\n",
        "+d\x0cc\n",
    ]


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("a/nginx.conf", "a/nginx.conf"),
        ("a/x y.conf", "a/x y.conf\t"),
        ("a/x\n\x1b[31m", '"a/x\\n\\033[31m"'),
        ("a/ä", '"a/\\303\\244"'),
        ('a/"', '"a/\\""'),
    ],
)
def test_names_are_quoted_as_git_quotes_them(name: str, quoted: str) -> None:
    assert quoted_name(name) == quoted
