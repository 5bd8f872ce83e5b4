"""Goodput: the share of requests that are complete and meet every time objective."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from undam.loadtest.setup.slo import TIMES, Slo, quantile_of
from undam.record import Outcome, RequestResult
from undam.timing import quantile

# Names of times that include the delay before the request was sent.
_FROM_START = frozenset({"ttft", "e2e", "send_delay"})


class Goodput:
    """Counter of good requests. Warm-up and abandoned requests are not counted.

    A time objective applies to the value of each single request. TTFT, TPOT, E2E and send delay
    have one value per request, so the statistic of the objective is ignored. For ITL, the
    statistic is computed over the gaps of the request.
    """

    def __init__(self, slos: Sequence[Slo]) -> None:
        self._limits = [slo for slo in slos if slo.name in TIMES]
        self.good = 0
        self.counted = 0
        self._best = 0

    def add(self, result: RequestResult) -> None:
        """Count one request."""
        if result.warmup or result.outcome is Outcome.ABANDONED:
            return
        self.counted += 1
        if result.outcome is not Outcome.COMPLETE:
            return
        values = [(limit, request_value_ns(result, limit)) for limit in self._limits]
        self.good += all(_meets(value, limit) for limit, value in values)
        # Subtract only the delay before sending, because no other delay changes a value much.
        delay_ns = result.send_delay_ns or 0
        self._best += all(
            _meets(_less(value, delay_ns) if limit.name in _FROM_START else value, limit)
            for limit, value in values
        )

    @property
    def percent(self) -> float | None:
        """Percentage of good requests; ``None`` if no request was counted."""
        return 100 * self.good / self.counted if self.counted else None

    @property
    def best_percent(self) -> float | None:
        """Percentage that would result if every request had been sent when it was due."""
        return 100 * self._best / self.counted if self.counted else None


def _less(value: float | None, delay_ns: int) -> float | None:
    return None if value is None else max(0.0, value - delay_ns)


def _meets(value: float | None, limit: Slo) -> bool:
    if value is None:
        # A response with one event has no gaps, so it meets any limit on gaps. A response without
        # content misses the TTFT objective.
        return limit.name != "ttft"
    return limit.holds(value / 1e6)


def request_value_ns(result: RequestResult, limit: Slo) -> float | None:
    """Return a request's value for an objective; ``None`` if the request has no such value."""
    match limit.name:
        case "ttft":
            return result.ttft_ns
        case "e2e":
            return result.ended_ns - result.intended_ns
        case "send_delay":
            return result.send_delay_ns
        case "tpot":
            return result.tpot_ns
        case _:
            return _gap_ns(result, limit.stat)


def _gap_ns(result: RequestResult, stat: str) -> float | None:
    gaps = sorted(after.at_ns - before.at_ns for before, after in pairwise(result.reads))
    if not gaps:
        return None
    q = quantile_of(stat)
    if q is not None:
        return quantile(gaps, q)
    return {"min": gaps[0], "max": gaps[-1]}.get(stat, sum(gaps) / len(gaps))
