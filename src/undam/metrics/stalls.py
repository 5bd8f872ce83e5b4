"""Stalls: gaps that a reader notices, told apart from the rhythm of the stream itself."""

from __future__ import annotations

from dataclasses import dataclass

from undam.metrics.aggregate import PAUSE_NS, Aggregate
from undam.timing import Histogram

_TIMES = 10


@dataclass(frozen=True, slots=True)
class Stalls:
    """Gaps over ``limit_ns`` = max(250 ms, 10 times the median gap between bursts).

    Attributes:
        count: over all answers; ``answers``: those with at least one.
    """

    limit_ns: int
    count: int
    answers: int


def count_stalls(aggregate: Aggregate) -> Stalls:
    """Count the stalls of a run."""
    itl = aggregate.itl.expected()
    limit = max(PAUSE_NS, _TIMES * _median_apart(itl, aggregate.within))
    return Stalls(limit, itl.count_above(limit), aggregate.longest.count_above(limit))


def _median_apart(itl: Histogram, within: Histogram) -> int:
    """The median of the gaps without those between the reads of one burst; 0 without any.

    A block that comes in many reads would otherwise make every wait for the next block a stall.
    """
    inner = dict(within.indices())
    rank, seen = (itl.count - within.count + 1) // 2, 0
    for (index, n), (_, upper, _) in zip(itl.indices(), itl.buckets(), strict=True):
        seen += n - inner.get(index, 0)
        if seen >= rank:
            return upper
    return 0
