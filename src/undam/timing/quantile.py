"""Exact nearest-rank quantiles of a list: each quantile is a measured value."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def quantile(ordered: Sequence[float], q: float) -> float:
    """Return the nearest-rank ``q``-quantile of ``ordered``, a non-empty, ascending list."""
    if not ordered:
        raise ValueError("no values")
    # In floating-point arithmetic, 0.07 * 100 is slightly above 7; it must not become rank 8.
    rank = ceil(q * len(ordered) - 1e-9)
    return ordered[min(max(1, rank), len(ordered)) - 1]


def median(values: Sequence[float]) -> float:
    """Return the lower median of ``values``, a non-empty sequence in any order."""
    return quantile(sorted(values), 0.5)
