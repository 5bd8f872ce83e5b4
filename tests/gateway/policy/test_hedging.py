"""Hedging: delay, budget and load checks, in unit tests and in a simulation."""

from __future__ import annotations

import pytest

from support.hedging_simulation import SimulationResult, SimulationSettings, simulate
from undam.gateway.config.limits import HedgeLimits
from undam.gateway.policy.hedging import HedgeDenial, HedgeTarget, Hedging
from undam.gateway.policy.ttft_baseline import MIN_SAMPLES

AUTO = HedgeLimits(mode="auto")
OTHER = HedgeTarget("other", outstanding=0)


def _record_ttft(hedging: Hedging, ttft_s: float, count: int = 100, upstream: str = "one") -> None:
    for number in range(count):
        hedging.record_ttft("m", upstream, ttft_s, number * 0.01)


def _with_budget(limits: HedgeLimits = AUTO, requests: int = 200) -> Hedging:
    hedging = Hedging(limits)
    for _ in range(requests):
        hedging.count_request()
    return hedging


def test_delay_is_unknown_until_enough_samples_then_twice_the_p95() -> None:
    hedging = Hedging(AUTO)
    _record_ttft(hedging, 0.1, MIN_SAMPLES - 1)
    assert hedging.delay_s("m") is None
    _record_ttft(hedging, 0.1, 1)
    assert hedging.delay_s("m") == pytest.approx(0.2)
    assert hedging.delay_s("another") is None
    _record_ttft(hedging, 2.0, 8)  # More than 5 % of the samples, so that the p95 is a stall.
    assert hedging.delay_s("m") == pytest.approx(0.5)


def test_delay_of_modes_off_and_fixed() -> None:
    assert Hedging(HedgeLimits()).delay_s("m") is None
    assert Hedging(HedgeLimits(mode="fixed", fixed_delay_s=0.15)).delay_s("m") == 0.15


@pytest.mark.parametrize("requests", [19, 20, 60, 1000])
def test_extra_requests_never_exceed_the_maximum_share(requests: int) -> None:
    hedging, sent = Hedging(AUTO), 0
    for now in range(requests):
        hedging.count_request()
        hedging.record_on_time()
        hedging.record_on_time()
        # A hedge is due for one request in ten.
        if now % 10 == 9:
            sent += hedging.request_hedge(OTHER, now) is None
        assert sent <= 0.05 * (now + 1)
    assert sent >= 0.04 * requests - 1


def test_the_saved_budget_is_bounded() -> None:
    hedging = _with_budget(requests=100_000)
    for _ in range(3 * 64):
        hedging.record_on_time()
    denials = [hedging.request_hedge(OTHER, 0.0) for _ in range(12)]
    assert sum(one is None for one in denials) <= AUTO.burst


@pytest.mark.parametrize(
    ("target", "queued", "denial"),
    [
        (OTHER, False, None),
        (OTHER, True, HedgeDenial.QUEUED),
        (HedgeTarget("other", 7, 10), False, None),
        (HedgeTarget("other", 8, 10), False, HedgeDenial.TARGET_FULL),
        (HedgeTarget("slow", 0), False, HedgeDenial.TARGET_SLOW),
        (HedgeTarget("recovered", 0), False, None),
    ],
)
def test_no_hedge_is_sent_to_a_busy_upstream(
    target: HedgeTarget, queued: bool, denial: HedgeDenial | None
) -> None:
    hedging = _with_budget()
    _record_ttft(hedging, 0.1)
    for number in range(16):
        hedging.record_ttft("m", "recovered", 0.5, 1.0)
        hedging.record_ttft("m", "slow", 0.3, 100.0 + number)
    for _ in range(16):
        hedging.record_ttft("m", "recovered", 0.1, 100.0)
    assert hedging.request_hedge(target, 116.0, queued=queued) is denial


def test_no_hedge_is_sent_when_many_requests_are_late() -> None:
    hedging = _with_budget()
    for number in range(64):
        if number % 8:
            hedging.record_on_time()
        else:
            hedging.request_hedge(HedgeTarget("other", 9, 10), 0.0)
    assert hedging.request_hedge(OTHER, 0.0) is HedgeDenial.MANY_LATE
    for _ in range(64):
        hedging.record_on_time()
    assert hedging.request_hedge(OTHER, 0.0) is None


def test_losing_hedges_pause_hedging() -> None:
    hedging = _with_budget()
    for number in range(12):
        hedging.record_result(1.0, won=number % 3 == 0)
    assert hedging.request_hedge(OTHER, 2.0) is HedgeDenial.IN_VAIN
    assert hedging.request_hedge(OTHER, 12.0) is None


def test_the_budget_starts_empty() -> None:
    assert Hedging(AUTO).request_hedge(OTHER, 0.0) is HedgeDenial.BUDGET
    assert _with_budget().request_hedge(OTHER, 0.0) is None


def test_records_of_a_removed_upstream_are_dropped() -> None:
    hedging = _with_budget()
    _record_ttft(hedging, 0.1)
    _record_ttft(hedging, 0.4, 16, "other")
    assert hedging.request_hedge(OTHER, 0.2) is HedgeDenial.TARGET_SLOW
    hedging.forget("other")
    assert hedging.request_hedge(OTHER, 0.2) is None


def _without_and_with_hedging(
    settings: SimulationSettings,
) -> tuple[SimulationResult, SimulationResult]:
    return simulate(settings, HedgeLimits()), simulate(settings, AUTO)


@pytest.mark.parametrize(
    ("settings", "factor"),
    [
        (SimulationSettings(load=0.5), 5),
        (SimulationSettings(load=0.5, replicas=4), 5),
        (SimulationSettings(load=0.7), 5),
        (SimulationSettings(load=0.5, stalls=0.045), 5),
        # Prompt lengths that differ widely require a long delay.
        (SimulationSettings(load=0.5, sigma=1.0), 2.5),
    ],
)
def test_hedging_reduces_p99_when_single_requests_stall(
    settings: SimulationSettings, factor: float
) -> None:
    without, hedged = _without_and_with_hedging(settings)
    assert without.quantile(0.99) > 2
    assert hedged.quantile(0.99) < without.quantile(0.99) / factor
    assert hedged.hedges <= 0.05 * len(hedged.ttft_s)


@pytest.mark.parametrize("stalls", [0.0, 0.03])
@pytest.mark.parametrize("limit", [0, 8])
@pytest.mark.parametrize("load", [0.85, 1.0, 1.15])
def test_hedging_does_not_raise_ttft_under_load(load: float, limit: int, stalls: float) -> None:
    settings = SimulationSettings(load=load, limit=limit, stalls=stalls, seed=3)
    without, hedged = _without_and_with_hedging(settings)
    assert hedged.quantile(0.99) <= 1.05 * without.quantile(0.99)
    assert hedged.quantile(0.5) <= 1.05 * without.quantile(0.5)
    if load > 1:
        # A few hedges are allowed while the queues fill up.
        assert hedged.hedges <= 0.003 * len(hedged.ttft_s)
        assert limit == 0 or hedged.hedges <= 2
    if not stalls:
        assert hedged.hedges <= 0.002 * len(hedged.ttft_s)
