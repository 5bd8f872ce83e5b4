"""Statistics of one stream's gaps, updated in batches. No I/O and no clock.

Sorting a batch of some hundred floats in C is faster than one Python call per gap.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence

# Number of longest gaps kept. The p99 is exact up to 6400 gaps. Beyond that it is the shortest of
# the kept gaps, which is an upper bound.
_KEPT = 64
# Number of gaps that are collected before the longest ones are selected.
_COLLECTED = 2 * _KEPT


class GapStats:
    """Number, sum and longest values of the gaps between the reads of a stream."""

    __slots__ = ("_longest", "_min_kept_s", "_sum_s", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum_s = 0.0
        # Single precision is accurate to seven digits and takes half as much memory.
        self._longest = array("f")
        # A gap shorter than this is not one of the longest gaps.
        self._min_kept_s = 0.0

    def add(self, gaps: Sequence[float]) -> list[float]:
        """Add gaps, in seconds, and return them sorted."""
        ordered = sorted(gaps)
        self.count += len(ordered)
        self._sum_s += sum(ordered)
        self._longest.fromlist(
            ordered[max(bisect_right(ordered, self._min_kept_s), len(ordered) - _KEPT) :]
        )
        if len(self._longest) > _COLLECTED:
            self._longest = array("f", sorted(self._longest)[-_KEPT:])
            self._min_kept_s = self._longest[0]
        return ordered

    @property
    def p99_s(self) -> float | None:
        """Nearest-rank 99th percentile of the gaps, in seconds; ``None`` without gaps."""
        if not self.count:
            return None
        longer = self.count // 100  # Number of gaps that may exceed the p99.
        ordered = sorted(self._longest)[-_KEPT:]
        return ordered[max(0, len(ordered) - 1 - longer)]

    @property
    def mean_s(self) -> float | None:
        """Mean gap in seconds; ``None`` without gaps."""
        return self._sum_s / self.count if self.count else None
