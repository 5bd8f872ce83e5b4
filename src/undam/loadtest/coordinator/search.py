"""Search for the highest rate that meets the objectives, in a bounded number of runs. No I/O."""

from __future__ import annotations

import math

RESOLUTION = 1.1
"""The search ends when the lowest rate that missed is at most this multiple of the highest rate
that met. Smaller steps would mostly measure the variation between runs."""

MAX_STEPS = 14
# If even this fraction of the first rate misses, no rate is likely to meet the objective. Lower
# rates would also take very long with a fixed number of requests.
_LOWEST_FRACTION = 1 / 64


class RateSearch:
    """Double or halve the rate until one met and one missed, then bisect geometrically.

    Attributes:
        rate: the rate to run next; ``None`` when the search is over.
        met: the highest rate that met the objectives; ``None`` if there is none.
        missed: the lowest rate that missed them; ``None`` if there is none.
    """

    def __init__(self, first: float) -> None:
        self.rate: float | None = first
        self._lowest = first * _LOWEST_FRACTION
        self.met: float | None = None
        self.missed: float | None = None
        self.steps = 0

    def record(self, met: bool) -> None:
        """Record the outcome of the run at ``rate``.

        A rate above one that missed is never tried, so noise can only end the search at a lower
        rate.
        """
        assert self.rate is not None
        self.steps += 1
        if met:
            self.met = self.rate
        else:
            self.missed = self.rate
        self.rate = self._next() if self.steps < MAX_STEPS else None

    def _next(self) -> float | None:
        if self.met is None:
            assert self.missed is not None
            return _round(self.missed / 2) if self.missed / 2 >= self._lowest else None
        if self.missed is None:
            return _round(self.met * 2)
        between = _round(math.sqrt(self.met * self.missed))
        if self.missed / self.met <= RESOLUTION or not self.met < between < self.missed:
            return None
        return between


def _round(rate: float) -> float:
    """Round to three significant digits, so that reports can name the rate."""
    return float(f"{rate:.3g}")
