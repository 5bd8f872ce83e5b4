"""Sparklines: each event is drawn once, at its arrival time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.cli.ui.sparkline import ASCII, UNICODE, legend, sparkline

TIMES = st.lists(st.floats(-10, 2000, allow_nan=False), max_size=200)


@pytest.mark.parametrize("marks", [UNICODE, ASCII])
def test_marks_by_count(marks: str) -> None:
    for count, mark in [(0, 0), (1, 1), (2, 2), (4, 2), (5, 3), (15, 3), (16, 4), (999, 4)]:
        assert sparkline([5.0] * count, 10.0, 2, marks) == marks[0] + marks[mark]


def test_columns() -> None:
    assert sparkline([0, 24.9, 25, 99.9], 100, 4, ASCII) == ":. ."
    assert sparkline([100, 500], 100, 4, ASCII) == "   :"
    assert sparkline([-5], 100, 4, ASCII) == ".   "
    assert sparkline([3], 0, 4, ASCII) == ".   "
    assert sparkline([], 100, 4, ASCII) == "    "


@given(TIMES, st.floats(0, 1000), st.integers(1, 120))
def test_any_times_give_the_width_and_only_known_marks(
    times: list[float], end: float, width: int
) -> None:
    row = sparkline(times, end, width)
    assert len(row) == width
    assert set(row) <= set(UNICODE)
    drawn = sum(mark != " " for mark in row)
    assert min(1, len(times)) <= drawn <= len(times)
    assert sparkline(times[::-1], end, width) == row


@given(TIMES, st.integers(1, 60))
def test_more_events_never_lighten_a_column(times: list[float], width: int) -> None:
    one, two = sparkline(times, 1000, width), sparkline([*times, *times], 1000, width)
    assert all(UNICODE.index(b) >= UNICODE.index(a) for a, b in zip(one, two, strict=True))


def test_legend_names_every_mark_and_the_scale() -> None:
    said = legend(1200, 64, ASCII)
    assert said == "0 to 1.2 s, a column is 19 ms: . one event  : 2-4  o 5-15  # 16 and more"
    assert "a column is 4.8 ms" in legend(310, 64)
