"""The search for the highest sustainable load, against servers of known capacity."""

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
from undam.loadtest.coordinator.search import (
    MAX_STEPS,
    RESOLUTION,
    CapacitySearch,
    StepOutcome,
    is_failing,
)
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import parse_slo
from undam.loadtest.setup.slo_values import meets_all, slo_result
from undam.metrics import Summary
from undam.metrics.validity.flow import LoadFlow
from undam.record import Outcome

STEP_S = 10.0
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


class VirtualSearch:
    """A search against a modelled server in virtual time; verdicts come from real summaries.

    Attributes:
        above_s: time for which each of its steps sent more than 1.5 times the capacity.
    """

    def __init__(
        self, make: Callable[[float], Server], capacity: float, slo: str, first: float, seed: int
    ) -> None:
        self.search, slos = CapacitySearch(first), [parse_slo(slo)]
        self.above_s: list[float] = []
        while self.search.next is not None:
            rate, length_s = self.search.next, STEP_S * self.search.length
            summary, failed = Summary(), 0
            begin_ns = end_ns = 0
            step_seed = seed + self.search.steps
            for one in open_loop(make(capacity), rate, length_s, step_seed, answer_ms=0):
                begin_ns, end_ns = begin_ns or one.intended_ns, one.intended_ns
                summary.add(one)
                failed += one.outcome is not Outcome.COMPLETE
                if is_failing(failed, summary.requests):
                    break
            if rate > 1.5 * capacity:
                self.above_s.append((end_ns - begin_ns) / 1e9)
            flow = LoadFlow(summary, OPEN_LOOP)
            values = [slo_result(one, summary, Goodput(slos), OPEN_LOOP) for one in slos]
            served = flow.steady.requests_per_second if flow.steady else flow.served_while_offered
            met = meets_all(values, summary) and flow.is_stable
            self.search.record(StepOutcome(met=met, served=served))

    @property
    def met(self) -> float:
        return self.search.met or 0.0


# Server, objective, and, by capacity, the share of the capacity at which the objective is still
# met. With Poisson arrivals at 84 % of 40/s, a server that limits waiting to 0.2 s refuses 1 % of
# requests.
SERVERS = [
    (queueing, "ttft_p99<1s", {40: 1.0, 400: 1.0}),
    # Only a long queue misses this objective, so the search must detect the growth of the queue.
    (queueing, "ttft_p99<60s", {40: 1.0, 400: 1.0}),
    (degrading, "ttft_p99<1s", {40: 1.0, 400: 1.0}),
    (rate_limited, "ttft_p99<1s", {40: 1.0, 400: 1.0}),
    (refusing, "ttft_p99<1s", {40: 0.84, 400: 1.0}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("make", "slo", "shares"), SERVERS[1:3] + SERVERS[4:])
def test_capacity_of_a_known_server_is_found(
    make: Callable[[float], Server], slo: str, shares: dict[int, float]
) -> None:
    found = VirtualSearch(make, 40, slo, first=8, seed=100)
    assert found.met == pytest.approx(40 * shares[40], rel=0.08)
    assert found.search.missed is not None
    assert found.search.missed > 0.9 * 40 * shares[40]


@pytest.mark.deep
@pytest.mark.slow
@pytest.mark.parametrize("capacity", [40, 400])
@pytest.mark.parametrize(("make", "slo", "shares"), SERVERS)
def test_nine_of_ten_searches_find_the_capacity(
    make: Callable[[float], Server], slo: str, shares: dict[int, float], capacity: int
) -> None:
    limit = capacity * shares[capacity]
    found = [VirtualSearch(make, capacity, slo, first=8, seed=1000 * n) for n in range(10)]
    print(make.__name__, capacity, slo, [round(one.met / limit, 3) for one in found])
    assert sum(one.met == pytest.approx(limit, rel=0.08) for one in found) >= 9
    assert max(sum(one.above_s) for one in found) <= STEP_S * 1.01


@pytest.mark.slow
@pytest.mark.parametrize("make", [queueing, refusing])
def test_first_load_far_above_the_capacity_does_not_flood_the_server(
    make: Callable[[float], Server],
) -> None:
    found = VirtualSearch(make, 40, "ttft_p99<1s", first=200, seed=7)
    assert 0.75 * 40 <= found.met <= 1.1 * 40
    assert sum(found.above_s) <= STEP_S * 1.01


def test_step_ends_early_only_if_many_requests_fail() -> None:
    assert is_failing(10, 20)
    assert not is_failing(9, 20), "a burst"
    assert not is_failing(10, 200)
    assert is_failing(11, 200)
    assert not is_failing(30, 200, allowed=40), "the objectives allow more failures"
    assert is_failing(41, 200, allowed=40)
