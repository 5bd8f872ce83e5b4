"""The search for the highest rate ends, close to the truth, and on its lower side."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.loadtest.coordinator.search import MOST_STEPS, RESOLUTION, RateSearch


def search(first: float, limit: float) -> RateSearch:
    found = RateSearch(first)
    while found.rate is not None:
        found.took(found.rate <= limit)
    return found


@given(first=st.floats(1, 1000), factor=st.floats(1 / 20, 50))
def test_it_ends_close_below_the_limit(first: float, factor: float) -> None:
    limit = first * factor
    found = search(first, limit)
    assert found.steps <= MOST_STEPS
    assert found.met is not None
    assert found.missed is not None
    assert found.met <= limit < found.missed
    assert found.missed / found.met <= RESOLUTION * 1.01


def test_without_a_limit_or_without_a_rate_it_says_so() -> None:
    assert search(1, 1e12).missed is None
    nothing = search(1, 0)
    assert nothing.met is None
    assert nothing.missed == pytest.approx(1 / 32, rel=0.01)
