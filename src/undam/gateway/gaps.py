"""The gaps of one stream, taken in bundles. Pure: no clock.

Work is per bundle, not per gap: sorting some hundred floats in C costs less than one call for each.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from operator import sub

# Exact up to 6400 gaps. Of more, the p99 is that of the longest 64: no smaller than the true one.
_LONGEST = 64


class Gaps:
    """How long a stream was silent between two reads: the longest times, and what p99 needs."""

    __slots__ = ("_longest", "count", "first_s", "last_s")

    def __init__(self) -> None:
        self.first_s: float | None = None
        self.last_s = 0.0
        self.count = 0
        self._longest = array("d")

    def add(self, stamps: Sequence[float]) -> list[float]:
        """The gaps that these moments, in order, make with each other and with the last ones
        before them; sorted."""
        if not stamps:
            return []
        if self.first_s is None:
            self.first_s = stamps[0]
            found = list(map(sub, stamps[1:], stamps))
        else:
            found = [stamps[0] - self.last_s, *map(sub, stamps[1:], stamps)]
        self.last_s = stamps[-1]
        self.count += len(found)
        found.sort()
        self._longest = array("d", sorted([*self._longest, *found[-_LONGEST:]])[-_LONGEST:])
        return found

    @property
    def p99_s(self) -> float | None:
        """The 99th percentile by nearest rank; ``None`` of no gaps."""
        if not self.count:
            return None
        above = self.count // 100  # as many may be longer
        return self._longest[max(0, len(self._longest) - 1 - above)]

    @property
    def mean_s(self) -> float | None:
        """From the first read to the last, over the gaps; ``None`` of no gaps."""
        if self.first_s is None or not self.count:
            return None
        return (self.last_s - self.first_s) / self.count
