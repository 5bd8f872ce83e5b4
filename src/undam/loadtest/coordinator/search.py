"""The highest rate that still meets some objectives, in a bounded number of runs. No I/O."""

from __future__ import annotations

import math

RESOLUTION = 1.1
"""The search ends when the lowest rate that missed is at most so many times the highest that met:
a shorter step would mostly measure the luck of a run."""

MOST_STEPS = 14
# Below so small a part of the first rate the objective is out of reach rather than the rate too
# high, and runs of a fixed number of requests would take for ever.
_LOWEST_PART = 1 / 64


class RateSearch:
    """Doubles or halves until one rate met and one missed, then goes between them.

    Attributes:
        rate: to try next; ``None`` when it is over.
        met, missed: the highest that met, the lowest that missed; ``None`` where there is none.
    """

    def __init__(self, first: float) -> None:
        self.rate: float | None = first
        self._lowest = first * _LOWEST_PART
        self.met: float | None = None
        self.missed: float | None = None
        self.steps = 0

    def took(self, met: bool) -> None:
        """Tell how ``rate`` went. A rate above one that missed is never tried, so noise cannot
        lead the search astray, only end it lower."""
        assert self.rate is not None
        self.steps += 1
        if met:
            self.met = self.rate
        else:
            self.missed = self.rate
        self.rate = self._next() if self.steps < MOST_STEPS else None

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
    """To three digits, so that a report can name it."""
    return float(f"{rate:.3g}")
