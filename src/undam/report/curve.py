"""A distribution as the summary tells it: by its histogram, or by its percentiles alone."""

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

# 0.1 %, as the histograms of the summary.
_BITS = 11

_KNOTS = (("min", 0.0), ("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p99.9", 0.999))


class Curve(Protocol):
    """Durations in milliseconds."""

    @property
    def count(self) -> int:
        """How many there are, at least one."""

    def at(self, qs: Sequence[float]) -> list[float]:
        """Their quantiles; ``qs`` from 0 to 1."""


@dataclass(frozen=True, slots=True)
class HistogramCurve:
    """All of them, in a histogram of nanoseconds."""

    histogram: Histogram

    @property
    def count(self) -> int:
        """How many there are."""
        return self.histogram.count

    def at(self, qs: Sequence[float]) -> list[float]:
        """Their quantiles, within the width of a bucket."""
        return [value / 1e6 for value in self.histogram.quantiles(*qs)]


@dataclass(frozen=True, slots=True)
class PercentileCurve:
    """Only some percentiles are known; between them it goes straight, by nines."""

    count: int
    row: Mapping[str, Any]

    def at(self, qs: Sequence[float]) -> list[float]:
        """Their quantiles, as near as that tells."""
        knots = [(nines(q, self.count), float(self.row[name])) for name, q in _KNOTS]
        knots.append((nines(1.0, self.count), float(self.row["max"])))
        return [_between(sorted(knots), nines(q, self.count)) for q in qs]


def curve_of(summary: Mapping[str, Any], name: str) -> Curve | None:
    """The distribution of ``name`` ("ttft", "itl", …); ``None`` where nothing was measured."""
    row = summary.get(f"{name}_ms") or {}
    if not row.get("count"):
        return None
    kept = (summary.get("histograms") or {}).get(name)
    if kept is None:
        return PercentileCurve(row["count"], row)
    return HistogramCurve(Histogram.from_sparse(kept))


def bounds_of(requests: Iterable[RequestResult]) -> tuple[Curve, Curve] | None:
    """Their gaps as short, and as long, as they can have been; ``None`` where all are exact."""
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
    """How far ``q`` stands to the right: 1 for 0.9, 2 for 0.99, and so on to the last value."""
    return -math.log10(max(1.0 - q, 1.0 / count))


def _between(knots: Sequence[tuple[float, float]], place: float) -> float:
    """The value at ``place``, which is between the first and the last of ``knots``."""
    pairs = (pair for pair in pairwise(knots) if place <= pair[1][0])
    (left, low), (right, high) = next(pairs)
    part = (place - left) / (right - left) if right > left else 1.0
    return low + (high - low) * part
