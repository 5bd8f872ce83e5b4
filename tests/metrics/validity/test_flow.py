"""Request flow: rates, steady state and overload, for servers of known capacity."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from support.load_test_model import LoadTestModel
from support.queue_servers import (
    MS,
    OPEN_LOOP,
    START_NS,
    Server,
    open_loop,
    open_loop_summary,
    queueing,
)
from undam.metrics import Summary, summarize
from undam.metrics.validity.asked import RequestedLoad, requested_load
from undam.metrics.validity.flow import LoadFlow
from undam.record import ContentRead, Outcome, RequestResult


def closed(slots: int, requests: int, *, seed: int = 0, warmup: int = 0) -> Summary:
    """Return a closed-loop run with response times from 0.4 to 4 s, 2.2 s on average."""
    model = LoadTestModel(
        requests, concurrency=slots, seed=seed, ttft=lambda rng: rng.uniform(400, 4000),
        events=lambda _: 2, gap=lambda _: 0.001,
    )  # fmt: skip
    return summarize(replace(one, warmup=one.number < warmup) for one in model.measured())


@pytest.mark.seconds
@pytest.mark.parametrize("requests", [110, 220, 1000, 3000])
def test_steady_rate_of_a_closed_loop_does_not_depend_on_the_number_of_requests(
    requests: int,
) -> None:
    rates = []
    for seed in range(3):
        summary = closed(50, requests, seed=seed, warmup=10)
        flow = LoadFlow(summary, RequestedLoad(concurrency=50))
        assert flow.steady is not None
        assert flow.steady.in_flight == pytest.approx(50, rel=0.03)
        rates.append(flow.steady.requests_per_second)
    # On average, 50 requests of 2.2 s each are in flight.
    assert sum(rates) / 3 == pytest.approx(50 / 2.2, rel=0.08)


def test_whole_run_includes_its_beginning_and_end() -> None:
    summary = closed(50, 100)
    assert summary.requests_per_second < 0.75 * 50 / 2.2


def test_steady_state_counts_tokens_events_and_only_complete_responses() -> None:
    good = list(open_loop(queueing(1000), 40, 20))
    half = [
        replace(one, outcome=Outcome.ERROR, reads=(), kind="reset") if one.number % 2 else one
        for one in good
    ]
    whole, part = (LoadFlow(summarize(run), OPEN_LOOP).steady for run in (good, half))
    assert whole is not None
    assert part is not None
    assert whole.requests_per_second == pytest.approx(40, rel=0.1)
    assert whole.tokens_per_second == pytest.approx(2 * whole.requests_per_second)
    assert whole.events_per_second == pytest.approx(2 * whole.requests_per_second)
    assert part.requests_per_second == pytest.approx(whole.requests_per_second / 2, rel=0.1)


@pytest.mark.parametrize(
    ("asked", "summary", "reason"),
    [
        (RequestedLoad(), closed(5, 20), "the concurrency is unknown"),
        (RequestedLoad(concurrency=50), closed(5, 20), "was never reached"),
        (RequestedLoad(concurrency=5), closed(5, 8), "only 3 requests started at the requested"),
        (OPEN_LOOP, open_loop_summary(queueing(100), 5, 1), "too short"),
        (OPEN_LOOP, Summary(), "too short"),
        (RequestedLoad(concurrency=1), Summary(), "was never reached"),
    ],
)
def test_reason_for_a_missing_steady_state(
    asked: RequestedLoad, summary: Summary, reason: str
) -> None:
    flow = LoadFlow(summary, asked)
    assert flow.steady is None
    assert reason in flow.reason


@pytest.mark.seconds
@pytest.mark.parametrize("factor", [1.3, 2, 3, 10])
@pytest.mark.parametrize("capacity", [40, 400])
def test_overload_is_found_with_the_served_rate(capacity: float, factor: float) -> None:
    flow = LoadFlow(
        open_loop_summary(queueing(capacity), factor * capacity, 2000 / factor / capacity),
        OPEN_LOOP,
    )
    overload = flow.overload()
    assert overload is not None
    assert flow.steady is not None
    assert flow.offered_per_second == pytest.approx(factor * capacity, rel=0.1)
    assert flow.steady.requests_per_second == pytest.approx(capacity, rel=0.05)
    assert overload.last_in_flight > 10 * overload.first_in_flight
    assert flow.drift() == pytest.approx(factor - 1, rel=0.2)
    assert not flow.is_stable


def long_answers(mean_s: float) -> Server:
    """Respond without a queue, but with high response times and a heavy tail."""
    rng = random.Random(5)
    return lambda _at, _rate: (rng.lognormvariate(0, 1) * mean_s / 1.65, True)


@pytest.mark.seconds
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(
    ("make", "rate", "duration_s"),
    [
        # When the load is close to capacity, a queue forms and drains repeatedly.
        (lambda: queueing(40), 38, 30),
        (lambda: queueing(40), 36, 10),
        (lambda: queueing(40), 20, 60),
        (lambda: queueing(400), 380, 10),
        # If responses take longer than the run, all requests are in flight at its end.
        (lambda: long_answers(30), 10, 10),
        (lambda: long_answers(5), 20, 30),
        (lambda: long_answers(0.2), 100, 10),
    ],
)
def test_server_that_keeps_up_is_not_overloaded(
    make: Any, rate: float, duration_s: float, seed: int
) -> None:
    flow = LoadFlow(open_loop_summary(make(), rate, duration_s, seed), OPEN_LOOP)
    assert flow.overload() is None


def test_closed_loops_and_few_requests_have_no_overload() -> None:
    assert LoadFlow(closed(50, 400), RequestedLoad(concurrency=50)).overload() is None
    assert LoadFlow(closed(50, 400), RequestedLoad(concurrency=50)).drift() == 0
    few = open_loop_summary(queueing(1), 10, 1)
    assert LoadFlow(few, OPEN_LOOP).overload() is None
    assert LoadFlow(Summary(), OPEN_LOOP).offered_per_second is None


def test_requests_that_start_together_have_no_drift_and_no_rate() -> None:
    reads = (ContentRead(START_NS + MS, 0, 0, 1),)
    results = [
        RequestResult(
            number=number, worker=0, intended_ns=START_NS, started_ns=START_NS,
            ended_ns=START_NS + (number + 1) * 40 * MS, outcome=Outcome.COMPLETE, reads=reads,
        )
        for number in range(30)
    ]  # fmt: skip
    flow = LoadFlow(summarize(results), OPEN_LOOP)
    assert (flow.drift(), flow.offered_per_second) == (0.0, None)


def test_requested_load_is_read_from_the_conditions() -> None:
    about = {
        "concurrency": None, "arrivals": "poisson", "prompts": 7,
        "concurrency_limit": 4, "unique_prompts": True, "prefix_share": 0.5, "has_history": True,
    }  # fmt: skip
    assert requested_load(about) == RequestedLoad(
        is_open=True, max_concurrency=4, prompts=7, unique_prompts=True, prefix_share=0.5,
        has_history=True,
    )  # fmt: skip
    assert requested_load({"concurrency": "4", "prompts": -1, "prefix_share": "x"}) == (
        RequestedLoad()
    )


def test_rate_served_while_overloaded_is_known_without_a_steady_state() -> None:
    flow = LoadFlow(open_loop_summary(queueing(40), 1000, 10), OPEN_LOOP)
    assert flow.steady is None
    assert flow.served_while_offered == pytest.approx(40, rel=0.15)
    nothing = LoadFlow(open_loop_summary(lambda at_s, rate: (60.0, True), 20, 2), OPEN_LOOP)
    assert nothing.served_while_offered is None
    assert LoadFlow(Summary(), OPEN_LOOP).served_while_offered is None


def test_closed_loop_with_pauses_has_no_steady_state() -> None:
    asked = requested_load({"concurrency": 5, "has_pauses": True})
    flow = LoadFlow(closed(5, 60), asked)
    assert (flow.steady, flow.reason) == (None, "the slots pause between their requests")
