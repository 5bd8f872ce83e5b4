"""Distributions in a summary, from a histogram or, without one, from percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

from undam.metrics.gaps import extract_gaps
from undam.metrics.interval_histogram import IntervalHistogram
from undam.record import Outcome, RequestResult
from undam.timing import Histogram

# Resolution of 0.1 %, as in the histograms of the summary.
_BITS = 11

_KNOWN = (("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))


class Curve(Protocol):
    """Distribution of durations in milliseconds."""

    @property
    def count(self) -> int:
        """Number of durations; at least one."""

    def at(self, qs: Sequence[float]) -> list[float]:
        """Return the quantiles at ``qs``, which are from 0 to 1."""


@dataclass(frozen=True, slots=True)
class HistogramCurve:
    """Distribution from a histogram of values in nanoseconds."""

    histogram: Histogram

    @property
    def count(self) -> int:
        """Number of durations."""
        return self.histogram.count

    def at(self, qs: Sequence[float]) -> list[float]:
        """Return the quantiles at ``qs``, exact to the width of a bucket."""
        return [value / 1e6 for value in self.histogram.quantiles(*qs)]


@dataclass(frozen=True, slots=True)
class PercentileCurve:
    """Distribution from known percentiles, interpolated on an axis that is linear in nines."""

    count: int
    row: Mapping[str, Any]

    def at(self, qs: Sequence[float]) -> list[float]:
        """Return interpolated quantiles."""
        points = [(nines(q, self.count), float(self.row[name])) for name, q in _KNOWN]
        points.append((nines(1.0, self.count), float(self.row["max"])))
        return [_interpolate(sorted(points), nines(q, self.count)) for q in qs]


def curve_of(summary: Mapping[str, Any], name: str) -> Curve | None:
    """Return the distribution of ``name`` ("ttft", "itl", …), or ``None`` if it has no values."""
    row = summary.get(f"{name}_ms") or {}
    if not row.get("count"):
        return None
    histogram = (summary.get("histograms") or {}).get(name)
    if histogram is None:
        return PercentileCurve(row["count"], row)
    return HistogramCurve(Histogram.from_sparse(histogram))


def bounds_of(requests: Iterable[RequestResult]) -> tuple[Curve, Curve] | None:
    """Return lower and upper bounds for the requests' gaps, or ``None`` if all gaps are exact."""
    gaps = IntervalHistogram(bits=_BITS)
    for one in requests:
        if one.reads and one.outcome is not Outcome.ERROR:
            found = extract_gaps(one)
            gaps.record_all(found.exact)
            for interval in found.intervals:
                gaps.record_interval(*interval)
    return (
        (HistogramCurve(gaps.lowest()), HistogramCurve(gaps.highest())) if gaps.intervals else None
    )


def nines(q: float, count: int) -> float:
    """Return the number of nines in ``q`` (1 for 0.9, 2 for 0.99), limited by ``count``."""
    return -math.log10(max(1.0 - q, 1.0 / count))


def _interpolate(points: Sequence[tuple[float, float]], position: float) -> float:
    """Return the interpolated value at ``position``, which is within the range of ``points``."""
    pairs = (pair for pair in pairwise(points) if position <= pair[1][0])
    (left, low), (right, high) = next(pairs)
    part = (position - left) / (right - left) if right > left else 1.0
    return low + (high - low) * part
