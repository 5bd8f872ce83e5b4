"""Two runs side by side: ratios with an interval, and a verdict that knows what is noise.

The intervals hold together: if nothing differs, then in 98 of 100 comparisons no statistic of the
whole table is called different. docs/load-metrics.md describes the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, hypot, log, sqrt
from statistics import NormalDist
from typing import Any

from undam.metrics.comparison.notes import notes_on
from undam.metrics.comparison.resample import FEWEST_BLOCKS, rate_scatter, scatter_of
from undam.metrics.comparison.run_input import LATENCIES, SCHEMA, RunInput

COMPARED_STATISTICS = {"mean": None, "p50": 0.5, "p90": 0.9, "p99": 0.99}
"""The statistics of a latency that are judged."""

DEFAULT_THRESHOLD_PERCENT = 10.0

_RATES = {"requests_per_second": "answers", "events_per_second": "events"}
_DOUBT = 0.02
# One interval for each statistic of each latency, each rate, and the failures.
_INTERVALS = len(LATENCIES) * len(COMPARED_STATISTICS) + len(_RATES) + 1
# A server that was started anew differs by as much; nobody should act on less.
_SMALLEST_RATIO = 1.01
# Beyond a quantile there must be so many values for it to have a scatter.
_FEWEST_BEYOND = 10
# A nanosecond in ms; nothing smaller can be measured.
_LEAST = 1e-6
# The blocks' buckets are 0.4 % wide.
_BUCKET_SHARE = 2.0**-8


class Change(StrEnum):
    """What a comparison says of B, seen from A."""

    FASTER = "faster"
    SLOWER = "slower"
    MIXED = "faster and slower"
    """By different statistics of one metric."""
    MORE = "more"
    FEWER = "fewer"
    SAME = "no difference beyond the noise"
    UNKNOWN = "too little to tell"


@dataclass(frozen=True, slots=True)
class ComparedStatistic:
    """One statistic of one metric. ``ratio`` is B over A, within ``low`` and ``high``.

    Values are in ms, a second, or a share of requests; ``None`` where there is none.
    """

    metric: str
    statistic: str
    a: float | None
    b: float | None
    ratio: float | None
    low: float | None
    high: float | None
    change: Change

    @property
    def worse(self) -> float:
        """By which factor B is worse; below 1 it is better. 1 where nothing is known."""
        if not self.ratio:
            return 1.0
        return 1 / self.ratio if self.metric in _RATES else self.ratio


@dataclass(frozen=True, slots=True)
class Comparison:
    """All of it; ``notes`` say in words what makes the two runs differ beforehand."""

    a: RunInput
    b: RunInput
    rows: tuple[ComparedStatistic, ...]
    notes: tuple[str, ...]

    def change_of(self, metric: str) -> Change:
        """The verdict on a metric, from those of its statistics."""
        changes = {row.change for row in self.rows if row.metric == metric}
        if {Change.FASTER, Change.SLOWER} <= changes:
            return Change.MIXED
        told = [change for change in Change if change in changes]
        return told[0]

    @property
    def metrics(self) -> tuple[str, ...]:
        """In the order of the table."""
        return tuple(dict.fromkeys(row.metric for row in self.rows))

    def regressions(
        self, threshold_percent: float = DEFAULT_THRESHOLD_PERCENT
    ) -> list[ComparedStatistic]:
        """Statistics in which B is worse by more than the threshold and beyond the noise; more
        failures beyond the noise count whatever the threshold."""
        limit = 1 + threshold_percent / 100
        return [
            row
            for row in self.rows
            if row.change is Change.MORE or (row.change is Change.SLOWER and row.worse > limit)
        ]

    def to_json(self, threshold_percent: float = DEFAULT_THRESHOLD_PERCENT) -> dict[str, Any]:
        """As other programs read it."""
        return {
            "schema": SCHEMA,
            "command": "compare",
            "a": self.a.name,
            "b": self.b.name,
            "threshold_percent": threshold_percent,
            "metrics": [
                {
                    "metric": metric,
                    "verdict": self.change_of(metric).value,
                    "statistics": [_row_json(row) for row in self.rows if row.metric == metric],
                }
                for metric in self.metrics
            ],
            "regressions": [
                {"metric": row.metric, **_row_json(row)}
                for row in self.regressions(threshold_percent)
            ],
            "notes": list(self.notes),
        }


def compare(a: RunInput, b: RunInput, *, seed: int = 0) -> Comparison:
    """Compare run ``b`` with run ``a``, the base."""
    rows = [row for latency in LATENCIES for row in _latency(latency, a, b, seed)]
    rows += [_rate(rate, a, b, seed) for rate in _RATES]
    rows.append(_failures(a, b))
    return Comparison(a, b, tuple(rows), tuple(notes_on(a, b)))


def _latency(latency: str, a: RunInput, b: RunInput, seed: int) -> Iterator[ComparedStatistic]:
    qs = [q for q in COMPARED_STATISTICS.values() if q is not None]
    scatters = [
        scatter_of(side.blocks[latency], qs, seed=seed + place) for place, side in enumerate((a, b))
    ]
    blocks = min(sum(block.count > 0 for block in side.blocks[latency]) for side in (a, b))
    fewest = min(a.counts[latency], b.counts[latency])
    for statistic, q in COMPARED_STATISTICS.items():
        errors = [s.mean if q is None else s.quantiles[qs.index(q)] for s in scatters]
        if q is not None and fewest * (1 - q) < _FEWEST_BEYOND - 1e-9:
            errors = [None, None]
        values = [side.times[latency][statistic] for side in (a, b)]
        yield _judged(latency, statistic, values, errors, blocks)


def _rate(rate: str, a: RunInput, b: RunInput, seed: int) -> ComparedStatistic:
    errors = [_rate_error(rate, side, seed) for side in (a, b)]
    values: list[float | None] = [side.rates[rate] for side in (a, b)]
    row = _judged(rate, "overall", values, errors, min(a.requests, b.requests))
    turned = {Change.FASTER: Change.SLOWER, Change.SLOWER: Change.FASTER}
    return replace(row, change=turned.get(row.change, row.change))


def _rate_error(rate: str, side: RunInput, seed: int) -> float | None:
    """The standard error of the logarithm of a rate.

    In a closed loop the answers make the rate: it scatters as their mean time does, and by when
    the last of them happens to be over. Its slots start in waves, so counts by time say nothing.
    """
    typical, tail = side.times["e2e"]["p50"], side.times["e2e"]["p99"]
    if side.about.get("concurrency") is None or typical is None or tail is None:
        return rate_scatter(side.spans[_RATES[rate]])
    mean = scatter_of(side.blocks["e2e"], (), seed=seed).mean
    end = (tail - typical) / 2 / max(side.duration_ms, tail, _LEAST)
    return None if mean is None else hypot(mean, end)


def _judged(
    metric: str,
    statistic: str,
    values: list[float | None],
    errors: list[float | None],
    blocks: int,
) -> ComparedStatistic:
    """The ratio of two values whose logarithms have these standard errors."""
    a, b = values
    ratio = b / a if a is not None and b is not None and a >= _LEAST else None
    if not ratio or errors[0] is None or errors[1] is None or blocks < FEWEST_BLOCKS:
        return ComparedStatistic(metric, statistic, a, b, ratio, None, None, Change.UNKNOWN)
    within = _reach(blocks - 1) * sqrt(errors[0] ** 2 + errors[1] ** 2 + _BUCKET_SHARE**2 / 6)
    low, high = exp(log(ratio) - within), exp(log(ratio) + within)
    change = Change.SAME
    if low > 1 and ratio > _SMALLEST_RATIO:
        change = Change.SLOWER
    elif high < 1 and ratio < 1 / _SMALLEST_RATIO:
        change = Change.FASTER
    return ComparedStatistic(metric, statistic, a, b, ratio, low, high, change)


def _reach(freedom: int) -> float:
    """So many standard errors an interval reaches, that all of the table's hold together."""
    z = NormalDist().inv_cdf(1 - _DOUBT / _INTERVALS / 2)
    # Student's t for an error that is itself only known from so many blocks (Cornish and Fisher).
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + (z**3 + z) / (4 * freedom) + second


def _failures(a: RunInput, b: RunInput) -> ComparedStatistic:
    """Shares of requests that did not come to a complete answer."""
    if not a.requests or not b.requests:
        return ComparedStatistic("failures", "share", None, None, None, None, None, Change.UNKNOWN)
    shares = [side.failed / side.requests for side in (a, b)]
    # Half a failure more on either side, so that none at all has a scatter, too (Agresti).
    soft = [(side.failed + 0.5) / (side.requests + 1) for side in (a, b)]
    spread = sqrt(
        sum(p * (1 - p) / (side.requests + 1) for p, side in zip(soft, (a, b), strict=True))
    )
    within = NormalDist().inv_cdf(1 - _DOUBT / _INTERVALS / 2) * spread
    change, off = Change.SAME, shares[1] - shares[0]
    if abs(off) > within:
        change = Change.MORE if off > 0 else Change.FEWER
    ratio = shares[1] / shares[0] if shares[0] else None
    return ComparedStatistic("failures", "share", shares[0], shares[1], ratio, None, None, change)


def _row_json(row: ComparedStatistic) -> dict[str, Any]:
    rounded = {
        name: None if value is None else round(value, 6)
        for name, value in (("a", row.a), ("b", row.b), ("ratio", row.ratio),
                            ("low", row.low), ("high", row.high))
    }  # fmt: skip
    return {"statistic": row.statistic, **rounded, "verdict": row.change.value}
