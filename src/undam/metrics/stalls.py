"""Stalls: gaps that a reader notices and that exceed the usual rhythm of the stream."""

from __future__ import annotations

from dataclasses import dataclass

from undam.metrics.aggregate import MIN_STALL_NS, Aggregate
from undam.timing import Histogram

_FACTOR = 10


@dataclass(frozen=True, slots=True)
class Stalls:
    """Gaps over ``limit_ns`` = max(250 ms, 10 times the median gap between bursts).

    Attributes:
        count: number of stalls in all responses.
        answers: number of responses with at least one stall.
    """

    limit_ns: int
    count: int
    answers: int


def count_stalls(aggregate: Aggregate) -> Stalls:
    """Return the stalls in a run, and the limit above which a gap is a stall."""
    itl = aggregate.itl.expected()
    limit = max(MIN_STALL_NS, _FACTOR * _median_between_bursts(itl, aggregate.within_bursts))
    return Stalls(limit, itl.count_above(limit), aggregate.longest_gaps.count_above(limit))


def _median_between_bursts(itl: Histogram, within: Histogram) -> int:
    """Return the median of the gaps that are not inside bursts; 0 if there are none.

    With them, every wait for the next block would be a stall if a block arrives in many reads.
    """
    inner = dict(within.indices())
    rank, seen = (itl.count - within.count + 1) // 2, 0
    for (index, n), (_, upper, _) in zip(itl.indices(), itl.buckets(), strict=True):
        seen += n - inner.get(index, 0)
        if seen >= rank:
            return upper
    return 0
