"""Measured values for objectives; every percentile includes failed requests. No I/O.

A failed request has no latency, but its reader did not get an answer. For an objective it is
therefore slower than any limit. Otherwise a server that refuses requests would improve its
percentiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil

from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import COUNTS, TIMES, Slo, SloResult, quantile_of
from undam.metrics import Summary
from undam.metrics.validity.asked import RequestedLoad
from undam.metrics.validity.flow import LoadFlow
from undam.metrics.validity.report import MAX_FAILED_SHARE
from undam.record import Outcome
from undam.timing import Histogram

_OUTCOMES = {"errors": Outcome.ERROR, "incomplete": Outcome.INCOMPLETE}


def slo_result(slo: Slo, summary: Summary, goodput: Goodput, asked: RequestedLoad) -> SloResult:
    """Return the measured result for an objective.

    Rates are those of the steady state, if there is one.
    """
    if slo.name in TIMES:
        return _time_result(slo, summary, asked)
    if slo.name in COUNTS:
        count = summary.outcomes[_OUTCOMES[slo.name]]
        if slo.unit == "%":
            return SloResult(slo, 100 * count / summary.requests if summary.requests else None)
        return SloResult(slo, float(count))
    if slo.name == "goodput":
        # With a limit on the concurrency, the send delay is the requested wait, not an error.
        best = goodput.best_percent if asked.max_concurrency is None else None
        return SloResult(slo, goodput.percent, best=best)
    steady = LoadFlow(summary, asked).steady
    return SloResult(slo, getattr(steady or summary, slo.name))


def meets_all(results: Sequence[SloResult], summary: Summary) -> bool:
    """Return whether all objectives are met, and the share of failed requests is acceptable.

    At most 1 % of the requests may have a failed outcome that no objective limits.
    """
    if not all(result.is_met for result in results):
        return False
    limited = {result.slo.name for result in results}
    if "goodput" in limited:
        return True
    others = sum(summary.outcomes[one] for name, one in _OUTCOMES.items() if name not in limited)
    return others <= MAX_FAILED_SHARE * summary.requests


def allowed_failures(slos: Sequence[Slo], requests: int) -> float:
    """Return how many of ``requests`` may fail before an objective for failures is missed.

    Without such an objective, the result is 0.
    """
    allowed = [(1 - slo.limit / 100) * requests for slo in slos if slo.name == "goodput"]
    counts = [slo for slo in slos if slo.name in COUNTS]
    if counts:
        allowed.append(
            sum(one.limit * (requests / 100 if one.unit == "%" else 1) for one in counts)
        )
    return min(allowed, default=0.0)


def _time_result(slo: Slo, summary: Summary, asked: RequestedLoad) -> SloResult:
    times = summary.times(slo.name)
    failed = _failed(slo.name, summary)
    measured = times.count - (summary.timed_out if slo.name == "ttft" else 0)
    if measured + failed == 0:
        return SloResult(slo, None)
    q = quantile_of(slo.stat)
    if q is None:
        if failed and slo.stat != "min":
            return SloResult(slo, None, failed)
        return SloResult(slo, _other_statistic(slo.stat, times))
    rank = max(1, ceil(q * (measured + failed) - 1e-9))
    if rank > measured:
        return SloResult(slo, None, failed)
    best, worst = _bounds(slo.name, summary, asked)
    values = [None if one is None else _at_rank(one, rank) for one in (times, best, worst)]
    return SloResult(slo, values[0], best=values[1], worst=values[2])


def _failed(name: str, summary: Summary) -> int:
    """Return the number of failed requests, which count as slower than any limit."""
    outcomes = summary.outcomes
    if name == "ttft":
        with_content = summary.times("ttft").count - summary.timed_out
        return max(0, summary.requests - with_content)
    if name in {"e2e", "tpot"}:
        return outcomes[Outcome.ERROR] + outcomes[Outcome.INCOMPLETE]
    return 0


def _bounds(
    name: str, summary: Summary, asked: RequestedLoad
) -> tuple[Histogram | None, Histogram | None]:
    """Return the lowest and highest distributions, given the load generator's delays."""
    if name == "ttft":
        lowest = summary.ttft_from_sent if asked.max_concurrency is None else None
        return lowest, summary.ttft.highest()
    if name == "itl":
        return summary.itl.lowest(), summary.itl.highest()
    return None, None


def _at_rank(times: Histogram, rank: int) -> float | None:
    if not times.count:
        return None
    return times.quantile(min(1.0, (rank - 0.5) / times.count)) / 1e6


def _other_statistic(stat: str, times: Histogram) -> float | None:
    if times.min is None or times.max is None:
        return None
    return {"min": times.min, "max": times.max}.get(stat, times.mean()) / 1e6
