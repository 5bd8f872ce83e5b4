"""Chart scales: the position of each value, and the values at grid lines."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from undam.report.curve import nines

# If the largest value exceeds the typical value by this factor, a linear axis would show the
# typical value near zero.
LOG_RATIO = 12.0

PERCENTILES = (0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999)
"""Grid lines of a percentile axis."""


@dataclass(frozen=True, slots=True)
class Scale:
    """Map values in ``low`` to ``high`` to positions in ``start`` to ``end``; clip others."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        if self.log:
            part = math.log(inside / self.low) / math.log(self.high / self.low)
        else:
            part = (inside - self.low) / (self.high - self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> list[float]:
        """Return round values within the scale, for grid lines."""
        if self.log:
            return _log_ticks(self.low, self.high)
        step = _round_step((self.high - self.low) / wanted)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def linear(high: float, start: float, end: float) -> Scale:
    """Return a linear scale from zero to ``high``."""
    return Scale(0.0, high if high > 0 else 1.0, start, end)


def for_durations(values: Sequence[float], typical: float, start: float, end: float) -> Scale:
    """Return a scale from zero that is linear, or logarithmic if the tail is long.

    Args:
        values: durations in ascending order, not empty.
        typical: typical duration, such as the median.
    """
    high = values[-1]
    if typical > 0 and high / typical > LOG_RATIO:
        smallest = next(value for value in values if value > 0)
        # Without a minimum, a few gaps of some microseconds would take up half of the chart.
        low = max(smallest, typical / 100)
        return Scale(low * 0.9, high * 1.1, start, end, log=True)
    return linear(high * 1.08, start, end)


def percentile_position(q: float, count: int, start: float, end: float) -> float:
    """Return the position of quantile ``q`` on an axis that is linear in nines.

    Any quantile above 1 - 1/count is the maximum, at the end of the axis.
    """
    return start + (end - start) * nines(q, count) / max(math.log10(count), 1.0)


def percentile_ticks(count: int) -> list[float]:
    """Return the `PERCENTILES` that are distinct from the maximum of ``count`` values."""
    return [q for q in PERCENTILES if (1.0 - q) * count >= 1.0 - 1e-9]


def percentile_label(q: float) -> str:
    """Return the label for a quantile, such as ``p99.9`` for 0.999."""
    return f"p{round(q * 100, 4):g}"


def _round_step(least: float) -> float:
    """Return the smallest 1, 2 or 5 times a power of ten that is at least ``least``."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(power * part for part in (1, 2, 5, 10) if power * part >= least * (1 - 1e-9))


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    parts = (1, 2, 5) if math.log10(high / low) < 3 else (1,)
    values = [part * 10.0**power for power in powers for part in parts]
    return [value for value in values if low <= value <= high]
