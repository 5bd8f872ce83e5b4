"""The gaps of one stream, taken in bundles. Pure: no clock.

Work is per bundle, not per gap: sorting some hundred floats in C costs less than one call for each.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence

# Exact below 6400 gaps. Of more, the p99 is the least of the longest 64: no less than the true one.
_LONGEST = 64
# So many are gathered before the longest of them are found.
_GATHERED = 2 * _LONGEST


class GapStats:
    """How long a stream was silent between two reads: the longest times, and what p99 needs."""

    __slots__ = ("_floor_s", "_longest", "_sum_s", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum_s = 0.0
        self._longest = array("f")  # Seven digits, in half the memory.
        self._floor_s = 0.0
        """As many as are kept are no shorter."""

    def add(self, gaps: Sequence[float]) -> list[float]:
        """Take further gaps (s); returns them sorted."""
        found = sorted(gaps)
        self.count += len(found)
        self._sum_s += sum(found)
        self._longest.fromlist(
            found[max(bisect_right(found, self._floor_s), len(found) - _LONGEST) :]
        )
        if len(self._longest) > _GATHERED:
            self._longest = array("f", sorted(self._longest)[-_LONGEST:])
            self._floor_s = self._longest[0]
        return found

    @property
    def p99_s(self) -> float | None:
        """The 99th percentile by nearest rank; ``None`` of no gaps."""
        if not self.count:
            return None
        above = self.count // 100  # as many may be longer
        ordered = sorted(self._longest)[-_LONGEST:]
        return ordered[max(0, len(ordered) - 1 - above)]

    @property
    def mean_s(self) -> float | None:
        """``None`` of no gaps."""
        return self._sum_s / self.count if self.count else None
