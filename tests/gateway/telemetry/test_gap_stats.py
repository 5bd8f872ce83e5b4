"""GapStats: the p99 is exact for a few thousand gaps, and an upper bound for more."""

from __future__ import annotations

import random
from array import array

import pytest

from undam.gateway.telemetry.gap_stats import GapStats


@pytest.mark.parametrize("count", [1, 2, 99, 100, 101, 5000, 6399])
def test_p99_is_exact_for_any_batch_size(count: int) -> None:
    rng = random.Random(count)
    # Single-precision values, as in the relay.
    values = array("f", (rng.expovariate(50) for _ in range(count)))
    stats, at = GapStats(), 0
    while at < len(values):
        size = rng.randint(1, 400)
        batch = values[at : at + size]
        assert stats.add(batch) == sorted(batch)
        at += size
    assert stats.count == count
    assert stats.p99_s == sorted(values)[-(-99 * count // 100) - 1]
    assert stats.mean_s == pytest.approx(sum(values) / count)


def test_p99_of_very_many_gaps_is_an_upper_bound() -> None:
    rng = random.Random(7)
    values = array("f", (rng.expovariate(50) for _ in range(20_000)))
    stats = GapStats()
    for at in range(0, len(values), 128):
        stats.add(values[at : at + 128])
    ordered = sorted(values)
    assert ordered[-201] <= (stats.p99_s or 0) == ordered[-64]


def test_without_gaps_there_are_no_statistics() -> None:
    stats = GapStats()
    assert stats.add([]) == []
    assert (stats.count, stats.p99_s, stats.mean_s) == (0, None, None)
