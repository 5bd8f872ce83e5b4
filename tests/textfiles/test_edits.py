"""Applying and selecting edits, and editing whole lines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.textfiles.edits import (
    Edit,
    apply_edits,
    choose_edits,
    delete_line,
    insert_line_after,
    line_ending,
)
from undam.textfiles.source import Source


def test_equal_edits_apply_once_and_of_two_overlapping_the_first() -> None:
    edits = [Edit(4, 7, "2"), Edit(0, 0, "> "), Edit(4, 7, "2"), Edit(5, 6, "lost")]
    assert apply_edits("one two", edits) == "> one 2"


def test_a_group_of_edits_is_chosen_whole_or_not_at_all() -> None:
    first = [Edit(2, 4, "x"), Edit(8, 8, "y")]
    overlaps_the_end = [Edit(0, 0, "a"), Edit(3, 5, "b")]
    overlaps_the_start = [Edit(1, 3, "c")]
    shares_an_edit = [Edit(8, 8, "y"), Edit(9, 10, "z")]
    adjacent = [Edit(4, 4, "d"), Edit(8, 8, "w")]
    groups = [first, overlaps_the_end, overlaps_the_start, shares_an_edit, adjacent]
    assert choose_edits(groups) == sorted({*first, *shares_an_edit, *adjacent})


_EDITS = st.builds(
    lambda at, length, text: Edit(at, at + length, text),
    st.integers(0, 12),
    st.integers(0, 5),
    st.sampled_from("xyz"),
)


@pytest.mark.seconds
@given(st.lists(_EDITS, max_size=8))
def test_single_edits_are_chosen_unless_they_overlap_a_chosen_one(edits: list[Edit]) -> None:
    expected: list[Edit] = []
    for new in edits:
        if not any(new.start < old.end and old.start < new.end for old in expected):
            expected.append(new)
    assert choose_edits([edit] for edit in edits) == sorted(set(expected))


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("  a\nb\n", "  a\n  new\nb\n"),
        ("  a\r\nb\r\n", "  a\r\n  new\r\nb\r\n"),
        ("  a", "  a\n  new"),
    ],
)
def test_an_inserted_line_has_the_indent_and_line_ending_of_its_neighbours(
    text: str, after: str
) -> None:
    source = Source("f", text)
    assert apply_edits(text, [insert_line_after(source, 2, "new")]) == after


def test_the_indent_of_an_inserted_line_can_be_set() -> None:
    source = Source("f", "  a\n")
    assert apply_edits(source.text, [insert_line_after(source, 0, "new", "\t")]) == "  a\n\tnew\n"


def test_a_line_is_deleted_with_its_line_ending() -> None:
    source = Source("f", "a\nb\nc")
    assert apply_edits(source.text, [delete_line(source, 2)]) == "a\nc"


@pytest.mark.parametrize(("text", "ending"), [("a\r\nb\n", "\r\n"), ("\n", "\n"), ("a", "\n")])
def test_the_line_ending_is_that_of_the_first_line(text: str, ending: str) -> None:
    assert line_ending(Source("f", text)) == ending
