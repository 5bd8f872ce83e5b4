"""Which requests were good: complete, and each within every objective that concerns a time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from undam.loadtest.setup.slo import TIMES, Slo, quantile_of
from undam.record import Outcome, RequestResult
from undam.timing import quantile


class Goodput:
    """Counts good requests; warm-up, and what this program abandoned, count neither way.

    An objective on a time is asked of each request's own figure: its TTFT, TPOT, E2E and send
    delay, whatever the statistic; of its gaps that statistic.
    """

    def __init__(self, slos: Sequence[Slo]) -> None:
        self._limits = [slo for slo in slos if slo.name in TIMES]
        self.good = 0
        self.counted = 0

    def add(self, one: RequestResult) -> None:
        """Take one request."""
        if one.warmup or one.outcome is Outcome.ABANDONED:
            return
        self.counted += 1
        self.good += one.outcome is Outcome.COMPLETE and all(
            _keeps(one, limit) for limit in self._limits
        )

    @property
    def percent(self) -> float | None:
        """Of all that count; ``None`` of none."""
        return 100 * self.good / self.counted if self.counted else None


def _keeps(one: RequestResult, limit: Slo) -> bool:
    value = request_value_ns(one, limit)
    # An answer of one event has no gap to be too long.
    return value is None or limit.holds(value / 1e6)


def request_value_ns(one: RequestResult, limit: Slo) -> float | None:
    """A request's own figure for an objective; ``None`` where it has none."""
    match limit.name:
        case "ttft":
            return one.ttft_ns
        case "e2e":
            return one.ended_ns - one.intended_ns
        case "send_delay":
            return one.send_delay_ns
        case "tpot":
            later = one.events - one.reads[0].events if one.reads else 0
            return (one.reads[-1].at_ns - one.reads[0].at_ns) / later if later else None
        case _:
            return _request_gap_ns(one, limit.stat)


def _request_gap_ns(one: RequestResult, stat: str) -> float | None:
    gaps = sorted(after.at_ns - before.at_ns for before, after in pairwise(one.reads))
    if not gaps:
        return None
    q = quantile_of(stat)
    if q is not None:
        return quantile(gaps, q)
    return {"min": gaps[0], "max": gaps[-1]}.get(stat, sum(gaps) / len(gaps))
