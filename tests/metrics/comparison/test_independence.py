"""Equal runs do not differ at any load, and runs that are too short are not compared."""

from __future__ import annotations

import random

import pytest

from support.queue_servers import open_loop, queueing
from undam.metrics import Change, Comparison, RunInput, compare, parse_run, summarize
from undam.metrics.comparison.independence import correlation_time, independent_batches
from undam.timing import Histogram

UNCHANGED = {Change.SAME, Change.UNKNOWN}
CAPACITY = 40.0


def run(load: float, seed: int, *, slower: float = 1.0, requests: int = 500) -> RunInput:
    """Return a run against a server with one slot; a ``load`` of 1 equals the server's capacity."""
    results = list(
        open_loop(
            queueing(CAPACITY / slower), load * CAPACITY, requests / load / CAPACITY, seed,
            answer_ms=20 * slower,
        )
    )  # fmt: skip
    return parse_run(summarize(results).to_json(about={"rate": load, "seed": seed}), "run")


def differs(found: Comparison) -> bool:
    return any(found.change_of(metric) not in UNCHANGED for metric in found.metrics)


def alarms(load: float, pairs: int, **more: int) -> int:
    runs = [run(load, seed, **more) for seed in range(2 * pairs)]
    return sum(differs(compare(runs[2 * i], runs[2 * i + 1])) for i in range(pairs))


@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.8, 0.9, 0.95])
def test_equal_runs_do_not_differ_at_any_load(load: float) -> None:
    assert alarms(load, 6) == 0


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("load", [0.3, 0.8, 0.9, 0.95])
def test_at_most_two_of_a_hundred_pairs_of_equal_runs_differ(load: float) -> None:
    assert alarms(load, 100, requests=1000) <= 2


@pytest.mark.slow
def test_ten_percent_slower_at_half_load_is_found() -> None:
    found = [compare(run(0.5, 2 * i), run(0.5, 2 * i + 1, slower=1.1)) for i in range(6)]
    assert all(differs(one) and one.regressions(5) for one in found)


@pytest.mark.seconds
def test_queue_near_the_capacity_is_too_short_to_tell() -> None:
    found = compare(run(0.95, 0), run(0.95, 1))
    assert found.change_of("ttft") is Change.UNKNOWN
    assert any("different seed" in note for note in found.notes)
    assert not any("different seed" in note for note in compare(run(0.3, 1), run(0.3, 1)).notes)


def _correlated(correlation: float, count: int, seed: int = 1) -> list[float]:
    rng, value, values = random.Random(seed), 0.0, []
    for _ in range(count):
        value = correlation * value + rng.gauss(0, 1)
        values.append(value)
    return values


@pytest.mark.parametrize(("correlation", "expected"), [(0.0, 1.0), (0.5, 3.0), (0.8, 9.0)])
def test_correlation_time_is_estimated_cautiously(correlation: float, expected: float) -> None:
    estimates = [correlation_time(_correlated(correlation, 64, seed)) for seed in range(40)]
    assert expected * 0.9 <= sum(estimates) / 40 <= expected * 2
    assert min(estimates) >= 1


def test_constant_series_is_not_correlated() -> None:
    assert correlation_time([5.0] * 20) == 1.0


def test_blocks_are_joined_without_losing_values() -> None:
    blocks = []
    for value in _correlated(0.8, 60):
        block = Histogram(bits=9)
        block.record_all([round(1000 + 100 * value)] * 3)
        blocks.append(block)
    blocks.insert(5, Histogram(bits=9))
    batches = independent_batches(blocks)
    assert len(batches) < 30
    assert sum(batch.count for batch in batches) == 180
    assert independent_batches(blocks[:4]) == blocks[:4]
    assert independent_batches([]) == []
