"""Histogram of durations, some of which are known only as an interval."""

from __future__ import annotations

from collections.abc import Collection

from undam.timing import Histogram


class IntervalHistogram:
    """Durations in ns: each is exact, or given by bounds and an estimate.

    ``expected``, ``lowest`` and ``highest`` contain one value for every duration. ``exact``
    contains only the exact durations.
    """

    __slots__ = ("_estimates", "_lower", "_upper", "exact")

    def __init__(self, *, bits: int) -> None:
        self.exact = Histogram(bits=bits)
        self._lower = Histogram(bits=bits)
        self._estimates = Histogram(bits=bits)
        self._upper = Histogram(bits=bits)

    def record_all(self, values: Collection[int]) -> None:
        """Record exact durations."""
        self.exact.record_all(values)

    def record_interval(self, lower: int, estimate: int, upper: int, n: int = 1) -> None:
        """Record ``n`` durations between ``lower`` and ``upper``."""
        self._lower.record(lower, n)
        self._estimates.record(estimate, n)
        self._upper.record(upper, n)

    def merge(self, other: IntervalHistogram) -> None:
        """Add the durations of ``other``."""
        for name in self.__slots__:
            getattr(self, name).merge(getattr(other, name))

    @property
    def intervals(self) -> int:
        """Number of durations that are not exact."""
        return self._estimates.count

    def expected(self) -> Histogram:
        """Return all durations; inexact durations are represented by their estimate."""
        return self._with(self._estimates)

    def lowest(self) -> Histogram:
        """Return all durations; inexact durations are represented by their lower bound."""
        return self._with(self._lower)

    def highest(self) -> Histogram:
        """Return all durations; inexact durations are represented by their upper bound."""
        return self._with(self._upper)

    def _with(self, others: Histogram) -> Histogram:
        if not others.count:
            return self.exact
        both = self.exact.coarser(self.exact.bits)
        both += others
        return both
