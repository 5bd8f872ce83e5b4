"""Schedules: offsets follow from the knobs alone, and the same seed repeats them."""

from __future__ import annotations

import random
from typing import Any

import pytest

from undam.simulator.schedule import ScheduledEvent, plan, scheduled_events, with_beacon
from undam.simulator.settings import MAX_TOKENS, SimulatorSettings
from undam.timing.beacon import BeaconSchedule
from undam.timing.distribution import constant, parse_distribution

MS = 1_000_000


def schedule(**knobs: Any) -> list[ScheduledEvent]:
    settings = SimulatorSettings(**{"ttft": constant(100), "gap": constant(10), **knobs})
    rng = random.Random(1)
    return list(scheduled_events(plan(settings, rng, None), rng))


def at_ms(made: list[ScheduledEvent]) -> list[float]:
    return [moment.offset_ns / MS for moment in made]


def test_one_gap_a_token_and_the_end_with_the_last() -> None:
    made = schedule(tokens=constant(3))
    assert made == [(100 * MS, 1), (110 * MS, 1), (120 * MS, 1), (120 * MS, 0)]


def test_an_event_of_several_tokens_comes_after_as_many_gaps() -> None:
    made = schedule(tokens=constant(7), tokens_per_event=3)
    assert made == [(100 * MS, 3), (130 * MS, 3), (160 * MS, 1), (160 * MS, 0)]


def test_a_burst_is_due_at_one_moment() -> None:
    made = schedule(tokens=constant(5), burst=constant(2))
    assert at_ms(made) == [100, 100, 110, 110, 120, 120]


def test_bursts_may_vary_and_lose_no_token() -> None:
    made = schedule(tokens=constant(200), burst=parse_distribution("uniform(1,5)"))
    sizes = {at: at_ms(made[:-1]).count(at) for at in at_ms(made[:-1])}
    assert sum(moment.tokens for moment in made) == 200
    assert set(sizes.values()) >= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [600, 610, 620, 620]), (2, [100, 110, 610, 610]), (3, [100, 110, 120, 620])],
)
def test_a_stall_stands_in_place_of_one_gap(after: int, expected: list[float]) -> None:
    made = schedule(tokens=constant(3), stall_after=after, stall_ms=500)
    assert at_ms(made) == expected


def test_a_stall_ends_a_burst() -> None:
    made = schedule(tokens=constant(4), burst=constant(3), stall_after=2, stall_ms=500)
    assert at_ms(made) == [100, 100, 600, 600, 600]


def test_drawn_gaps_are_repeated_by_the_seed_and_never_fall_back() -> None:
    knobs = {"gap": parse_distribution("exp(10)"), "tokens": parse_distribution("uniform(5,50)")}
    made = schedule(**knobs)
    assert made == schedule(**knobs)
    assert at_ms(made) == sorted(at_ms(made))
    assert len(set(at_ms(made))) == len(made) - 1


def test_the_callers_bound_cuts_and_is_remembered() -> None:
    settings, rng = SimulatorSettings(tokens=constant(9)), random.Random(1)
    assert (plan(settings, rng, 4).tokens, plan(settings, rng, 4).cut) == (4, True)
    assert (plan(settings, rng, 9).tokens, plan(settings, rng, 9).cut) == (9, False)


def test_lengths_and_waits_are_bounded() -> None:
    rng = random.Random(1)
    assert plan(SimulatorSettings(tokens=constant(0)), rng, None).tokens == 1
    assert plan(SimulatorSettings(tokens=constant(1e9)), rng, None).tokens == MAX_TOKENS
    assert at_ms(schedule(ttft=constant(1e9), tokens=constant(1)))[0] == 3_600_000


def asked(**values: int) -> list[float]:
    rng = random.Random(1)
    own = SimulatorSettings(
        ttft=constant(100), gap=constant(10), tokens=constant(2), burst=constant(3)
    )
    return at_ms(
        list(
            scheduled_events(plan(with_beacon(own, BeaconSchedule(**values), rng), rng, None), rng)
        )
    )


def test_a_beacons_schedule_replaces_what_it_names() -> None:
    assert asked() == [100, 100, 100]
    assert asked(ttft_ms=1, gap_ms=2) == [1, 1, 1]
    assert asked(before=2, silence_ms=3000, after=2, gap_ms=5) == [100, 105, 3105, 3110, 3110]
    assert asked(before=2, after=1) == [100, 110, 120, 120]
    assert asked(silence_ms=500) == [100, 110, 610]
    assert asked(before=0, silence_ms=500, after=1) == [600, 600]


def test_a_beacons_schedule_is_bounded() -> None:
    rng = random.Random(1)
    wild = BeaconSchedule(
        ttft_ms=10**15, gap_ms=10**15, before=10**15, silence_ms=10**15, after=10**15,
        heartbeat_ms=10**15,
    )  # fmt: skip
    made = with_beacon(SimulatorSettings(), wild, rng)
    assert plan(made, rng, None).events == MAX_TOKENS
    assert made.stall_ms == made.heartbeat_s * 1000 == 3_600_000
    assert (
        with_beacon(
            SimulatorSettings(heartbeat_s=3), BeaconSchedule(heartbeat_ms=0), rng
        ).heartbeat_s
        == 0
    )
