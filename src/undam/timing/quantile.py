"""Exact quantiles of a list. Nearest rank: a quantile is always a value that was measured."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil


def quantile(ordered: Sequence[float], q: float) -> float:
    """The nearest-rank ``q``-quantile of ``ordered``, which is ascending and not empty."""
    if not ordered:
        raise ValueError("no values")
    # 0.07 x 100 is a hair over 7 in binary, and must not become rank 8.
    rank = ceil(q * len(ordered) - 1e-9)
    return ordered[min(max(1, rank), len(ordered)) - 1]


def median(values: Sequence[float]) -> float:
    """The lower median of ``values``, which need no order and are not empty."""
    return quantile(sorted(values), 0.5)
