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
"""Quantiles of the reports."""


@pytest.mark.parametrize(
    ("q", "value"),
    [(0, 1), (0.01, 1), (0.25, 1), (0.26, 2), (0.5, 2), (0.51, 3), (0.99, 4), (1, 4)],
)
def test_quantile_of_four_values(q: float, value: float) -> None:
    assert quantile([1, 2, 3, 4], q) == value


def test_quantile_of_one_value() -> None:
    for q in (0, 0.5, 1):
        assert quantile([7], q) == 7


def test_no_values_raise() -> None:
    with pytest.raises(ValueError, match="no values"):
        quantile([], 0.5)
    with pytest.raises(ValueError, match="no values"):
        median([])


@given(_VALUES, st.floats(0, 1))
def test_quantile_is_one_of_the_values(values: list[float], q: float) -> None:
    assert quantile(sorted(values), q) in values


@given(_VALUES, st.floats(0, 1), st.floats(0, 1))
def test_quantile_is_monotonic(values: list[float], one: float, other: float) -> None:
    ordered = sorted(values)
    assert quantile(ordered, min(one, other)) <= quantile(ordered, max(one, other))


@given(_VALUES)
def test_quantile_0_and_1_are_minimum_and_maximum(values: list[float]) -> None:
    ordered = sorted(values)
    assert quantile(ordered, 0) == ordered[0]
    assert quantile(ordered, 1) == ordered[-1]


@given(st.sampled_from(_REPORTED), st.integers(1, 10**6))
def test_ranks_of_reported_quantiles_are_exact(q: str, count: int) -> None:
    # Floats such as 0.95 are inexact, but this must not change the rank.
    assert quantile(range(1, count + 1), float(q)) == max(1, math.ceil(Fraction(q) * count))


@given(_VALUES)
def test_median_of_unsorted_values(values: list[float]) -> None:
    assert median(values) == sorted(values)[(len(values) - 1) // 2]
