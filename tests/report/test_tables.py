"""Rows that appear in the tables of a page only for some runs."""

from __future__ import annotations

import pytest

from undam.report.tables import _content


@pytest.mark.parametrize(
    ("counts", "rows"),
    [
        ({}, []),
        ({"checked": 0, "damaged": 0}, []),
        (
            {"checked": 3, "damaged": 1},
            [("responses with numbered events", 3), ("responses with damaged content", 1)],
        ),
    ],
)
def test_damaged_content_has_rows_if_any_was_compared(
    counts: dict[str, int], rows: list[tuple[str, int]]
) -> None:
    assert list(_content(counts)) == rows
