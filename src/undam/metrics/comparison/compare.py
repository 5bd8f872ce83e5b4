"""Comparison of two runs: ratios with confidence intervals, and verdicts.

The intervals are simultaneous: if the runs do not differ, then in 98 of 100 comparisons no
statistic in the whole table is reported as different. docs/load-metrics.md describes the
method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from math import exp, hypot, log, sqrt
from statistics import NormalDist
from typing import Any

from undam.metrics.comparison.independence import MIN_BATCHES
from undam.metrics.comparison.notes import notes_on
from undam.metrics.comparison.resample import rate_scatter, scatter_of
from undam.metrics.comparison.run_input import LATENCIES, SCHEMA, RunInput

COMPARED_STATISTICS = {"mean": None, "p50": 0.5, "p90": 0.9, "p99": 0.99}
"""Compared statistics of each latency, with their quantile."""

DEFAULT_THRESHOLD_PERCENT = 10.0

_RATES = {"requests_per_second": "answers", "events_per_second": "events"}
_ERROR_RATE = 0.02
# Number of intervals: one per statistic of each latency, one per rate, and one for the failures.
_INTERVALS = len(LATENCIES) * len(COMPARED_STATISTICS) + len(_RATES) + 1
# Restarting a server causes differences of up to this size.
_MIN_RATIO = 1.01
# If fewer values are beyond a quantile, the scatter of the quantile is unknown.
_MIN_BEYOND = 10
# One nanosecond in ms: the resolution of the measurement.
_RESOLUTION_MS = 1e-6
# Relative width of the buckets in the histograms of blocks: 0.4 %.
_BUCKET_SHARE = 2.0**-8


class Change(StrEnum):
    """Verdict on run B, compared with run A."""

    FASTER = "faster"
    SLOWER = "slower"
    MIXED = "faster and slower"
    """Different statistics of one metric have different verdicts."""
    MORE = "more"
    FEWER = "fewer"
    SAME = "no difference beyond the noise"
    UNKNOWN = "too little to tell"


@dataclass(frozen=True, slots=True)
class ComparedStatistic:
    """One statistic of one metric, in both runs.

    Values are in ms, per second, or a share of requests; ``None`` if there is no value.

    Attributes:
        ratio: B divided by A.
        low: lower end of the confidence interval of the ratio.
        high: upper end of the confidence interval of the ratio.
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
        """Factor by which run B is worse than A; below 1 if B is better, 1 if unknown."""
        if not self.ratio:
            return 1.0
        return 1 / self.ratio if self.metric in _RATES else self.ratio


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of two runs; ``notes`` lists the differences in their conditions."""

    a: RunInput
    b: RunInput
    rows: tuple[ComparedStatistic, ...]
    notes: tuple[str, ...]

    def change_of(self, metric: str) -> Change:
        """Return the verdict on a metric, derived from the verdicts on its statistics."""
        changes = {row.change for row in self.rows if row.metric == metric}
        if {Change.FASTER, Change.SLOWER} <= changes:
            return Change.MIXED
        return next(change for change in Change if change in changes)

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics, in the order in which the table lists them."""
        return tuple(dict.fromkeys(row.metric for row in self.rows))

    def regressions(
        self, threshold_percent: float = DEFAULT_THRESHOLD_PERCENT
    ) -> list[ComparedStatistic]:
        """Return the statistics in which B is worse by more than the threshold and noise.

        More failures than the noise explains are a regression at any threshold.
        """
        limit = 1 + threshold_percent / 100
        return [
            row
            for row in self.rows
            if row.change is Change.MORE or (row.change is Change.SLOWER and row.worse > limit)
        ]

    def to_json(self, threshold_percent: float = DEFAULT_THRESHOLD_PERCENT) -> dict[str, Any]:
        """Return the comparison as JSON."""
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
    """Compare run ``b`` with run ``a``, which is the baseline."""
    rows = [row for latency in LATENCIES for row in _latency(latency, a, b, seed)]
    rows += [_rate(rate, a, b, seed) for rate in _RATES]
    rows.append(_failures(a, b))
    return Comparison(a, b, tuple(rows), tuple(notes_on(a, b)))


def _latency(latency: str, a: RunInput, b: RunInput, seed: int) -> Iterator[ComparedStatistic]:
    qs = [q for q in COMPARED_STATISTICS.values() if q is not None]
    scatters = [
        scatter_of(side.blocks[latency], qs, seed=seed + place) for place, side in enumerate((a, b))
    ]
    batches = min(scatter.batches for scatter in scatters)
    fewest = min(a.counts[latency], b.counts[latency])
    for statistic, q in COMPARED_STATISTICS.items():
        errors = [s.mean if q is None else s.quantiles[qs.index(q)] for s in scatters]
        if q is not None and fewest * (1 - q) < _MIN_BEYOND - 1e-9:
            errors = [None, None]
        values = [side.times[latency][statistic] for side in (a, b)]
        yield _verdict(latency, statistic, values, errors, batches)


def _rate(rate: str, a: RunInput, b: RunInput, seed: int) -> ComparedStatistic:
    errors = [_rate_error(rate, side, seed) for side in (a, b)]
    values: list[float | None] = [side.rates[rate] for side in (a, b)]
    batches = min(len(side.spans[_RATES[rate]]) for side in (a, b))
    row = _verdict(rate, "overall", values, errors, batches)
    inverse = {Change.FASTER: Change.SLOWER, Change.SLOWER: Change.FASTER}
    return replace(row, change=inverse.get(row.change, row.change))


def _rate_error(rate: str, side: RunInput, seed: int) -> float | None:
    """Return the standard error of the logarithm of a rate.

    In a closed loop the response times determine the rate. The rate varies as their mean does, and
    with the end of the last response. Requests start in waves, so counts per span of time are not
    independent and cannot be used.
    """
    typical, tail = side.times["e2e"]["p50"], side.times["e2e"]["p99"]
    if side.about.get("concurrency") is None or typical is None or tail is None:
        return rate_scatter(side.spans[_RATES[rate]])
    mean = scatter_of(side.blocks["e2e"], (), seed=seed).mean
    end = (tail - typical) / 2 / max(side.duration_ms, tail, _RESOLUTION_MS)
    return None if mean is None else hypot(mean, end)


def _verdict(
    metric: str,
    statistic: str,
    values: list[float | None],
    errors: list[float | None],
    batches: int,
) -> ComparedStatistic:
    """Return the verdict on two values, given the standard errors of their logarithms."""
    a, b = values
    ratio = b / a if a is not None and b is not None and a >= _RESOLUTION_MS else None
    if not ratio or errors[0] is None or errors[1] is None or batches < MIN_BATCHES:
        return ComparedStatistic(metric, statistic, a, b, ratio, None, None, Change.UNKNOWN)
    within = _reach(batches - 1) * sqrt(errors[0] ** 2 + errors[1] ** 2 + _BUCKET_SHARE**2 / 6)
    low, high = exp(log(ratio) - within), exp(log(ratio) + within)
    change = Change.SAME
    if low > 1 and ratio > _MIN_RATIO:
        change = Change.SLOWER
    elif high < 1 and ratio < 1 / _MIN_RATIO:
        change = Change.FASTER
    return ComparedStatistic(metric, statistic, a, b, ratio, low, high, change)


def _reach(freedom: int) -> float:
    """Return half the width of a simultaneous interval, in standard errors."""
    z = NormalDist().inv_cdf(1 - _ERROR_RATE / _INTERVALS / 2)
    # The quantile of Student's t is approximated by a Cornish-Fisher expansion.
    second = (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
    return z + (z**3 + z) / (4 * freedom) + second


def _failures(a: RunInput, b: RunInput) -> ComparedStatistic:
    """Compare the shares of requests without a complete response."""
    if not a.requests or not b.requests:
        return ComparedStatistic("failures", "share", None, None, None, None, None, Change.UNKNOWN)
    shares = [side.failed / side.requests for side in (a, b)]
    # Half a failure is added to each side, so that zero failures have a statistical error
    # (Agresti).
    soft = [(side.failed + 0.5) / (side.requests + 1) for side in (a, b)]
    spread = sqrt(
        sum(p * (1 - p) / (side.requests + 1) for p, side in zip(soft, (a, b), strict=True))
    )
    within = NormalDist().inv_cdf(1 - _ERROR_RATE / _INTERVALS / 2) * spread
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
