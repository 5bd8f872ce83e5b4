"""Durations of which some are known only within bounds: as told, and both extremes."""

from __future__ import annotations

from collections.abc import Collection

from undam.timing import Histogram


class IntervalHistogram:
    """Durations in ns; ``exact`` holds those that are known exactly.

    ``expected``, ``lowest`` and ``highest`` have one value each for every duration.
    """

    __slots__ = ("_high", "_low", "_mid", "exact")

    def __init__(self, *, bits: int) -> None:
        self.exact = Histogram(bits=bits)
        self._low = Histogram(bits=bits)
        self._mid = Histogram(bits=bits)
        self._high = Histogram(bits=bits)

    def record_all(self, values: Collection[int]) -> None:
        """Count durations that are known exactly."""
        self.exact.record_all(values)

    def record_between(self, low: int, mid: int, high: int, n: int = 1) -> None:
        """Count ``n`` durations from ``low`` to ``high``, told as ``mid``."""
        self._low.record(low, n)
        self._mid.record(mid, n)
        self._high.record(high, n)

    def merge(self, other: IntervalHistogram) -> None:
        """Add what ``other`` counted."""
        for name in self.__slots__:
            getattr(self, name).merge(getattr(other, name))

    @property
    def blurred(self) -> int:
        """How many are not known exactly."""
        return self._mid.count

    def expected(self) -> Histogram:
        """All, those within bounds as they are told."""
        return self._with(self._mid)

    def lowest(self) -> Histogram:
        """All, as short as they can have been."""
        return self._with(self._low)

    def highest(self) -> Histogram:
        """All, as long as they can have been."""
        return self._with(self._high)

    def _with(self, others: Histogram) -> Histogram:
        if not others.count:
            return self.exact
        both = self.exact.coarser(self.exact.bits)
        both += others
        return both
