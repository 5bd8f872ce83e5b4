"""The search for the highest rate ends close below the limit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.loadtest.coordinator.search import MAX_STEPS, RESOLUTION, RateSearch


def finished_search(first: float, limit: float) -> RateSearch:
    search = RateSearch(first)
    while search.rate is not None:
        search.record(search.rate <= limit)
    return search


@given(first=st.floats(1, 1000), factor=st.floats(1 / 20, 50))
def test_search_ends_close_below_the_limit(first: float, factor: float) -> None:
    limit = first * factor
    search = finished_search(first, limit)
    assert search.steps <= MAX_STEPS
    assert search.met is not None
    assert search.missed is not None
    assert search.met <= limit < search.missed
    assert search.missed / search.met <= RESOLUTION * 1.01


def test_search_ends_if_every_rate_meets_or_every_rate_misses() -> None:
    assert finished_search(1, 1e12).missed is None
    all_missed = finished_search(1, 0)
    assert all_missed.met is None
    assert all_missed.missed == pytest.approx(1 / 32, rel=0.01)
