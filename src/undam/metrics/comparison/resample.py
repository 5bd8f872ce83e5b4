"""How far a run's statistics would scatter, were it run again: the bootstrap over its blocks.

Whole blocks of requests that followed one another are drawn with replacement, so what requests
have in common (one answer's gaps, a moment's queue) stays together. Drawing is seeded.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, log, sqrt
from statistics import stdev
from struct import pack, unpack

from undam.timing import Histogram

DRAWS = 200
"""The scatter of 200 draws is known to 5 %, which changes hardly a verdict."""

FEWEST_BLOCKS = 8
"""Fewer say nothing about scatter."""

_FIELD_BYTES = 8


@dataclass(frozen=True, slots=True)
class Scatter:
    """Standard errors of the logarithms of statistics; ``None`` where nothing can be said."""

    mean: float | None
    quantiles: tuple[float | None, ...]


def scatter_of(blocks: Sequence[Histogram], qs: Sequence[float], *, seed: int) -> Scatter:
    """The scatter of the mean and of quantiles over ``blocks``, which have the same bits."""
    full = [block for block in blocks if block.count]
    if len(full) < FEWEST_BLOCKS:
        return Scatter(None, (None,) * len(qs))
    table = _Table(full)
    rng, means = random.Random(seed), list[float]()  # noqa: S311 (no secret depends on it)
    found: list[list[float]] = [[] for _ in qs]
    for _ in range(DRAWS):
        weights = _drawn(rng, len(full))
        count, total = table.sums(weights)
        means.append(total / count)
        for values, value in zip(found, table.quantiles(weights, qs, count), strict=True):
            values.append(value)
    return Scatter(_log_scatter(means), tuple(_log_scatter(values) for values in found))


def rate_scatter(counts: Sequence[int]) -> float | None:
    """The standard error of the logarithm of a rate, from counts in equal spans of time."""
    if len(counts) < FEWEST_BLOCKS or not any(counts):
        return None
    return stdev(counts) / sqrt(len(counts)) / (sum(counts) / len(counts))


def _drawn(rng: random.Random, n: int) -> list[tuple[int, int]]:
    """``n`` of ``n`` with replacement, as (which, how often)."""
    times = [0] * n
    for which in rng.choices(range(n), k=n):
        times[which] += 1
    return [(which, often) for which, often in enumerate(times) if often]


def _log_scatter(values: Sequence[float]) -> float | None:
    return stdev(map(log, values)) if min(values) > 0 else None


class _Table:
    """Cumulative counts of every block over the buckets of all, as one long number a block.

    Adding up blocks is then adding up numbers of some thousand digits, which the interpreter does
    a hundred times faster than a loop over the buckets.
    """

    def __init__(self, blocks: Sequence[Histogram]) -> None:
        self._counts = [block.count for block in blocks]
        self._totals = [block.total for block in blocks]
        edges = sorted({(lower, upper) for block in blocks for lower, upper, _ in block.buckets()})
        self._edges = edges
        place = {lower: i for i, (lower, _) in enumerate(edges)}
        self._packed = [self._pack(block, place) for block in blocks]

    @staticmethod
    def _pack(block: Histogram, place: dict[int, int]) -> int:
        row = [0] * len(place)
        for lower, _, n in block.buckets():
            row[place[lower]] = n
        return int.from_bytes(pack(f"<{len(row)}Q", *accumulate(row)), "little")

    def sums(self, weights: Sequence[tuple[int, int]]) -> tuple[int, int]:
        """Count and sum of a draw."""
        count = sum(self._counts[which] * often for which, often in weights)
        return count, sum(self._totals[which] * often for which, often in weights)

    def quantiles(
        self, weights: Sequence[tuple[int, int]], qs: Sequence[float], count: int
    ) -> list[float]:
        """Quantiles of a draw, even within their buckets, so that steps do not look like noise."""
        joined = sum(self._packed[which] * often for which, often in weights)
        size = len(self._edges)
        seen = unpack(f"<{size}Q", joined.to_bytes(_FIELD_BYTES * size, "little"))
        found = []
        for q in qs:
            rank = max(1, ceil(q * count - 1e-9))
            at = bisect_left(seen, rank)
            before = seen[at - 1] if at else 0
            lower, upper = self._edges[at]
            found.append(lower + (upper - lower) * (rank - before) / (seen[at] - before))
        return found
