"""Limits on the work that external input can cause."""

from __future__ import annotations

import pytest

from undam.work_budget import (
    MAX_BODY_BYTES,
    MAX_ITEMS,
    PIECE_BYTES,
    WorkBudget,
    WorkLimitError,
    body_bytes_of,
    items_of,
    pieces,
)


def test_items_are_limited() -> None:
    budget = WorkBudget(3)
    budget.spend(2)
    budget.spend(1)
    with pytest.raises(WorkLimitError, match="too many events"):
        budget.spend(1)


def test_time_is_limited() -> None:
    over = iter([False, True])
    budget = WorkBudget(3, lambda: next(over))
    budget.spend(1)
    with pytest.raises(WorkLimitError, match="--timeout"):
        budget.spend(0)


@pytest.mark.parametrize("size", [0, 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES])
def test_pieces_are_small_and_complete(size: int) -> None:
    data = bytes(size)
    found = list(pieces(data))
    assert b"".join(found) == data
    assert all(len(piece) <= PIECE_BYTES for piece in found)


def test_the_parts_of_a_run_share_its_limits() -> None:
    assert (body_bytes_of(1), items_of(1)) == (MAX_BODY_BYTES, MAX_ITEMS)
    assert (body_bytes_of(4), items_of(4)) == (MAX_BODY_BYTES // 4, MAX_ITEMS // 4)
    assert body_bytes_of(1000) == 1 << 19
    assert items_of(1000) == 2000
