"""The search for the highest load: its interval, its ceiling, and servers with known capacity."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.queue_servers import (
    OPEN_LOOP,
    Server,
    degrading,
    open_loop,
    queueing,
    rate_limited,
    refusing,
)
from undam.loadtest.coordinator.search import MAX_STEPS, RESOLUTION, CapacitySearch, StepOutcome
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import parse_slo
from undam.loadtest.setup.slo_values import meets_all, slo_result
from undam.metrics import Summary
from undam.metrics.validity.flow import LoadFlow
from undam.record import Outcome

MET, MISSED = StepOutcome(met=True), StepOutcome(met=False)


def finished_search(first: float, limit: float, *, is_integer: bool = False) -> CapacitySearch:
    search = CapacitySearch(first, is_integer=is_integer)
    while search.next is not None:
        search.record(MET if search.next <= limit else MISSED)
    return search


@given(first=st.floats(1, 1000), factor=st.floats(1 / 20, 50))
def test_search_ends_close_to_the_limit_and_confirms_both_ends(first: float, factor: float) -> None:
    limit = first * factor
    search = finished_search(first, limit)
    assert search.steps <= MAX_STEPS
    assert search.met is not None
    assert search.missed is not None
    assert search.met <= limit < search.missed
    assert search.missed / search.met <= RESOLUTION * 1.02
    assert search.is_confirmed


@given(first=st.integers(1, 100), limit=st.integers(1, 3000))
def test_search_for_a_concurrency_uses_whole_numbers(first: int, limit: int) -> None:
    search = finished_search(first, limit, is_integer=True)
    assert search.met is not None
    assert search.met <= limit
    if search.missed is not None:
        assert search.met == int(search.met)
        assert search.missed - search.met <= max(1, 0.08 * search.met)


def test_search_ends_if_every_load_meets_or_every_load_misses() -> None:
    assert finished_search(1, 1e12).missed is None
    all_missed = finished_search(1, 0)
    assert all_missed.met is None
    assert all_missed.missed == pytest.approx(1 / 32, rel=0.01)
    assert finished_search(1, 0, is_integer=True).missed == 1
    assert not all_missed.is_confirmed


def test_one_bad_run_does_not_end_the_search_at_a_lower_load() -> None:
    search, disturbed = CapacitySearch(10), False
    while search.next is not None:
        is_met = search.next <= 100
        if is_met and search.next > 90 and not disturbed:
            is_met, disturbed = False, True
        search.record(StepOutcome(met=is_met))
    assert disturbed
    assert search.met is not None
    assert search.met > 88


def is_over(search: CapacitySearch) -> bool:
    return search.next is None


def test_doubt_about_the_load_generator_is_repeated_once_before_the_search_stops() -> None:
    search = CapacitySearch(8)
    search.record(MET)
    search.record(StepOutcome(met=False, doubtful=True))
    assert (search.next, search.stopped_by_client) == (16, False)
    search.record(StepOutcome(met=True))
    assert search.next == 32
    for _ in range(2):
        search.record(StepOutcome(met=False, doubtful=True))
    assert search.stopped_by_client
    assert (search.met, search.steps) == (16, 5)
    assert is_over(search)


@pytest.mark.parametrize("first", [40, 200, 1000, 5000])
def test_served_rate_of_a_missed_step_is_the_ceiling_of_the_next(first: float) -> None:
    search, loads = CapacitySearch(first), []
    while search.next is not None:
        loads.append(search.next)
        search.record(StepOutcome(met=search.next <= 39, served=min(search.next, 40)))
    above = [load for load in loads if load > 1.5 * 40]
    assert len(above) <= 1
    assert search.met is not None
    assert 36 < search.met <= 39


def find_max(make: Callable[[], Server], slo: str, first: float, seed: int) -> CapacitySearch:
    """Search with the verdicts of real summaries, in virtual time."""
    search, slos = CapacitySearch(first), [parse_slo(slo)]
    while search.next is not None:
        summary, goodput, failed = Summary(), Goodput(slos), 0
        results = open_loop(make(), search.next, 10.0 * search.length, seed + search.steps)
        for one in results:
            summary.add(one)
            goodput.add(one)
            failed += one.outcome is not Outcome.COMPLETE
            if failed > max(1, 0.05 * summary.requests) and summary.requests >= 20:
                break
        flow = LoadFlow(summary, OPEN_LOOP)
        values = [slo_result(one, summary, goodput, OPEN_LOOP) for one in slos]
        served = flow.steady.requests_per_second if flow.steady else None
        met = meets_all(values, summary) and flow.is_stable
        search.record(StepOutcome(met=met, served=served))
    return search


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "slo", "share"),
    [
        (queueing, "ttft_p99<1s", 1.0),
        # An objective that only a long queue misses: the capacity is found by its growth.
        (queueing, "ttft_p99<60s", 1.0),
        (degrading, "ttft_p99<1s", 1.0),
        (rate_limited, "ttft_p99<1s", 1.0),
        # With Poisson arrivals, this server refuses 1 % at 84 % of its capacity.
        (refusing, "ttft_p99<1s", 0.84),
    ],
)
def test_capacity_of_a_known_server_is_found(
    make: Callable[[float], Server], slo: str, share: float
) -> None:
    search = find_max(lambda: make(40), slo, first=8, seed=100)
    assert search.met is not None
    assert search.missed is not None
    assert search.met == pytest.approx(40 * share, rel=0.08)
    assert search.missed > 0.9 * 40 * share
