"""Nearest-rank quantiles."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.timing import median, quantile

_VALUES = st.lists(st.floats(allow_nan=False), min_size=1)
_REPORTED = ("0.5", "0.9", "0.95", "0.99", "0.999")
"""The quantiles of the reports."""


@pytest.mark.parametrize(
    ("q", "value"),
    [(0, 1), (0.01, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (0.99, 4), (1, 4)],
)
def test_of_four(q: float, value: float) -> None:
    assert quantile([1, 2, 3, 4], q) == value


def test_of_one() -> None:
    for q in (0, 0.5, 1):
        assert quantile([7], q) == 7


def test_of_none() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="no values"):
        median([])


@given(_VALUES, st.floats(0, 1))
def test_is_a_value_that_was_measured(values: list[float], q: float) -> None:
    assert quantile(sorted(values), q) in values


@given(_VALUES, st.floats(0, 1), st.floats(0, 1))
def test_never_falls_as_q_rises(values: list[float], one: float, other: float) -> None:
    ordered = sorted(values)
    assert quantile(ordered, min(one, other)) <= quantile(ordered, max(one, other))


@given(_VALUES)
def test_ends(values: list[float]) -> None:
    ordered = sorted(values)
    assert quantile(ordered, 0) == ordered[0]
    assert quantile(ordered, 1) == ordered[-1]


@given(st.sampled_from(_REPORTED), st.integers(1, 10**6))
def test_the_reported_ranks_are_exact(q: str, count: int) -> None:
    # A float like 0.95 is not the number it is written as, and must not cost a rank.
    assert quantile(range(1, count + 1), float(q)) == max(1, math.ceil(Fraction(q) * count))


@given(_VALUES)
def test_median_needs_no_order(values: list[float]) -> None:
    assert median(values) == sorted(values)[(len(values) - 1) // 2]
