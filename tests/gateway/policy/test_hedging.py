"""Hedging: the delay, the budget, the gate; and all together in a small discrete world."""

from __future__ import annotations

import pytest

from support.hedging_simulation import SimulationResult, SimulationSettings, simulate
from undam.gateway.policy.hedging import HedgeDenial, HedgeLimits, HedgeTarget, Hedging
from undam.gateway.policy.ttft_baseline import ENOUGH, WINDOW, ModelBaselines, TtftBaseline

AUTO = HedgeLimits(mode="auto")
OTHER = HedgeTarget("other", outstanding=0)


def _usual(hedging: Hedging, ttft_s: float, count: int = 100, upstream: str = "one") -> None:
    for number in range(count):
        hedging.answered("m", upstream, ttft_s, number * 0.01)


def _funded(terms: HedgeLimits = AUTO, requests: int = 200) -> Hedging:
    hedging = Hedging(terms)
    for _ in range(requests):
        hedging.asked()
    return hedging


def test_there_is_no_delay_until_enough_is_known_and_then_it_is_twice_the_p95() -> None:
    hedging = Hedging(AUTO)
    _usual(hedging, 0.1, ENOUGH - 1)
    assert hedging.delay_s("m") is None
    _usual(hedging, 0.1, 1)
    assert hedging.delay_s("m") == pytest.approx(0.2)
    assert hedging.delay_s("another") is None
    _usual(hedging, 2.0, 8)  # more stalls than a p95 leaves out
    assert hedging.delay_s("m") == pytest.approx(0.5)
    assert Hedging(HedgeLimits()).delay_s("m") is None
    assert Hedging(HedgeLimits(mode="fixed", fixed_s=0.15)).delay_s("m") == 0.15


def test_a_few_stalls_do_not_move_the_delay_and_old_samples_are_forgotten() -> None:
    usual = TtftBaseline()
    for number in range(2 * WINDOW):
        usual.add(2.0 if number % 33 == 0 else 0.1, now_s=number)
    assert len(usual) == WINDOW
    assert usual.quantile(0.95) == 0.1
    assert usual.baseline_s == pytest.approx(0.15)
    usual.add(0.3, now_s=10_000)
    assert len(usual) == 1


def test_names_that_clients_make_up_push_no_model_out() -> None:
    models = ModelBaselines(most=4)
    real = models.of("real")
    for number in range(10_000):
        models.of(f"made-up-{number}")
        assert number % 3 or models.of("real") is real
    late = [models.of("new but wanted") for _ in range(20)]
    assert late[0] is models.of("yet another")  # the place of all others
    assert late[-1] is not late[0]
    assert models.of("real") is real


@pytest.mark.parametrize("requests", [19, 20, 60, 1000])
def test_extra_requests_never_exceed_the_share(requests: int) -> None:
    hedging, sent = Hedging(AUTO), 0
    for now in range(requests):
        hedging.asked()
        hedging.in_time()
        hedging.in_time()
        # One in ten comes due.
        if now % 10 == 9:
            sent += hedging.take(OTHER, now) is None
        assert sent <= 0.05 * (now + 1)
    assert sent >= 0.04 * requests - 1


def test_savings_are_bounded() -> None:
    hedging = _funded(requests=100_000)
    for _ in range(3 * 64):
        hedging.in_time()
    denials = [hedging.take(OTHER, 0.0) for _ in range(12)]
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
def test_no_hedge_goes_to_a_busy_upstream(
    target: HedgeTarget, queued: bool, denial: HedgeDenial | None
) -> None:
    hedging = _funded()
    _usual(hedging, 0.1)
    for number in range(16):
        hedging.answered("m", "recovered", 0.5, 1.0)
        hedging.answered("m", "slow", 0.3, 100.0 + number)
    for _ in range(16):
        hedging.answered("m", "recovered", 0.1, 100.0)
    assert hedging.take(target, 116.0, queued=queued) is denial


def test_many_late_ones_are_load_and_no_stall() -> None:
    hedging = _funded()
    for number in range(64):
        if number % 8:
            hedging.in_time()
        else:
            hedging.take(HedgeTarget("other", 9, 10), 0.0)
    assert hedging.take(OTHER, 0.0) is HedgeDenial.MANY_LATE
    for _ in range(64):
        hedging.in_time()
    assert hedging.take(OTHER, 0.0) is None


def test_hedges_that_lose_shut_the_gate_for_a_while() -> None:
    hedging = _funded()
    for number in range(12):
        hedging.decided(1.0, won=number % 3 == 0)
    assert hedging.take(OTHER, 2.0) is HedgeDenial.IN_VAIN
    assert hedging.take(OTHER, 12.0) is None
    assert _funded().take(OTHER, 0.0) is None
    assert Hedging(AUTO).take(OTHER, 0.0) is HedgeDenial.BUDGET


def test_an_upstream_that_is_gone_leaves_nothing_behind() -> None:
    hedging = _funded()
    _usual(hedging, 0.1)
    _usual(hedging, 0.4, 16, "other")
    assert hedging.take(OTHER, 0.2) is HedgeDenial.TARGET_SLOW
    hedging.forget("other")
    assert hedging.take(OTHER, 0.2) is None


def _both(world: SimulationSettings) -> tuple[SimulationResult, SimulationResult]:
    return simulate(world, HedgeLimits()), simulate(world, AUTO)


@pytest.mark.parametrize(
    ("world", "times"),
    [
        (SimulationSettings(load=0.5), 5),
        (SimulationSettings(load=0.5, replicas=4), 5),
        (SimulationSettings(load=0.7), 5),
        (SimulationSettings(load=0.5, stalls=0.045), 5),
        # Prompts of very different lengths: the delay must be long, and the gate must know.
        (SimulationSettings(load=0.5, sigma=1.0), 2.5),
    ],
)
def test_stalls_of_single_requests_are_repaired(world: SimulationSettings, times: float) -> None:
    without, hedged = _both(world)
    assert without.quantile(0.99) > 2
    assert hedged.quantile(0.99) < without.quantile(0.99) / times
    assert hedged.hedges <= 0.05 * len(hedged.ttft_s)


@pytest.mark.parametrize("stalls", [0.0, 0.03])
@pytest.mark.parametrize("limit", [0, 8])
@pytest.mark.parametrize("load", [0.85, 1.0, 1.15])
def test_under_load_hedging_makes_nothing_worse(load: float, limit: int, stalls: float) -> None:
    without, hedged = _both(SimulationSettings(load=load, limit=limit, stalls=stalls, seed=3))
    assert hedged.quantile(0.99) <= 1.05 * without.quantile(0.99)
    assert hedged.quantile(0.5) <= 1.05 * without.quantile(0.5)
    if load > 1:
        # While the queues still fill, a stall may be hedged.
        assert hedged.hedges <= 0.003 * len(hedged.ttft_s)
        assert limit == 0 or hedged.hedges <= 2
    if not stalls:
        assert hedged.hedges <= 0.002 * len(hedged.ttft_s)
