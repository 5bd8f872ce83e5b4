"""Exact quantiles of a list by nearest rank: a quantile is always a measured value."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the nearest-rank ``q``-quantile of ``ordered``, which is ascending and not empty."""
    if not ordered:
        raise ValueError("no values")
    # In floating point 0.07 * 100 is slightly above 7 and must not become rank 8.
    rank = ceil(q * len(ordered) - 1e-9)
    return ordered[min(max(1, rank), len(ordered)) - 1]


def median(values: Sequence[float]) -> float:
    """Return the lower median of ``values``, which may be in any order but not empty."""
    return quantile(sorted(values), 0.5)
