"""Source texts: positions, lines and errors."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from undam.textfiles.source import Source


@given(st.text(alphabet="ab\n\r", max_size=30), st.integers(0, 40))
def test_position_counts_line_feeds_before_the_offset(text: str, offset: int) -> None:
    line, column = Source("f", text).position(offset)
    before = text[:offset]
    assert (line, column) == (before.count("\n") + 1, len(before) - before.rfind("\n"))


def test_lines_exclude_their_line_ends() -> None:
    source = Source("f", "one\r\n  two\n")
    assert [source.line(number) for number in range(5)] == ["", "one", "  two", "", ""]
    assert source.line_span(6) == (5, 11)
    assert source.line_span(11) == (11, 11)
    assert source.indent_at(9) == "  "


def test_an_error_has_path_line_and_column() -> None:
    error = Source("f.conf", "a\nbc").error("no", 3)
    assert (error.path, error.line, error.column) == ("f.conf", 2, 2)
    assert str(error) == "f.conf:2:2: no"
