"""Division of a run into independent batches, based on the measured autocorrelation.

Requests that wait in the same queue are correlated over many requests. If such a run is divided
into batches that are too short, their scatter is much smaller than that between two runs. Batches
are therefore as long as several correlation times, and a run that has too few of them is too short
for a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import ceil, sqrt

from undam.timing import Histogram

MIN_BATCHES = 8
"""With fewer batches the scatter is unknown."""

# Batches that are 1.5 correlation times long are nearly independent.
_LENGTH = 1.5
# Number of standard errors that are added to the measured autocorrelation. An underestimate causes
# false differences, while an overestimate only makes intervals wider.
_CAUTION = 0.5
_MAX_CORRELATION = 0.97


def independent_batches(blocks: Sequence[Histogram]) -> list[Histogram]:
    """Join successive blocks of a run into batches that are nearly independent.

    The result may have fewer than ``MIN_BATCHES`` batches. Blocks have equal bits; empty ones are
    left out.
    """
    full = [block for block in blocks if block.count]
    if len(full) < MIN_BATCHES:
        return full
    length = ceil(_LENGTH * max(correlation_time(series) for series in _series(full)))
    joined = []
    # The last batch also contains the remaining blocks.
    count = max(1, len(full) // length)
    for i in range(count):
        end = len(full) if i + 1 == count else (i + 1) * length
        batch = Histogram(bits=full[0].bits)
        for block in full[i * length : end]:
            batch.merge(block)
        joined.append(batch)
    return joined


def _series(blocks: Sequence[Histogram]) -> list[list[float]]:
    """Return the mean of each block, and the share of its values in the tail of the whole run."""
    whole = Histogram(bits=blocks[0].bits)
    for block in blocks:
        whole.merge(block)
    limit = whole.quantile(0.9)
    means = [block.mean() for block in blocks]
    tails = [block.count_above(limit - 1) / block.count for block in blocks]
    return [means, tails]


def correlation_time(series: Sequence[float]) -> float:
    """Return a conservative estimate of the integrated autocorrelation time, at least 1.

    The series is modelled as a first-order autoregression, whose lag-1 correlation is biased by
    about ``-(1 + 3 * correlation) / n`` and has a standard error.
    """
    n = len(series)
    mean = sum(series) / n
    deviations = [value - mean for value in series]
    variance = sum(one * one for one in deviations)
    if variance <= 0:
        return 1.0
    lagged = sum(a * b for a, b in pairwise(deviations)) / variance
    unbiased = (lagged * n + 1) / (n - 3)
    error = sqrt(max(0.0, 1 - lagged * lagged) / n)
    correlation = min(unbiased + _CAUTION * error, _MAX_CORRELATION)
    return max(1.0, (1 + correlation) / (1 - correlation))
