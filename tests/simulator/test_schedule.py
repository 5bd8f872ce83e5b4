"""Send schedules: the offsets depend only on settings and seed."""

from __future__ import annotations

import random
from typing import Any

import pytest

from undam.simulator.schedule import ScheduledEvent, plan, scheduled_events, with_beacon
from undam.simulator.settings import MAX_TOKENS, SimulatorSettings
from undam.timing.beacon import BeaconSchedule
from undam.timing.distribution import constant, parse_distribution

MS = 1_000_000


def schedule(**options: Any) -> list[ScheduledEvent]:
    settings = SimulatorSettings(**{"ttft": constant(100), "gap": constant(10), **options})
    rng = random.Random(1)
    return list(scheduled_events(plan(settings, rng, None), rng))


def at_ms(events: list[ScheduledEvent]) -> list[float]:
    return [event.offset_ns / MS for event in events]


def test_events_are_one_gap_apart_and_the_end_follows_the_last() -> None:
    events = schedule(tokens=constant(3))
    assert events == [(100 * MS, 1), (110 * MS, 1), (120 * MS, 1), (120 * MS, 0)]


def test_an_event_of_several_tokens_follows_as_many_gaps() -> None:
    events = schedule(tokens=constant(7), tokens_per_event=3)
    assert events == [(100 * MS, 3), (130 * MS, 3), (160 * MS, 1), (160 * MS, 0)]


def test_events_of_a_burst_are_due_together() -> None:
    events = schedule(tokens=constant(5), burst=constant(2))
    assert at_ms(events) == [100, 100, 110, 110, 120, 120]


def test_bursts_of_random_size_contain_all_tokens() -> None:
    events = schedule(tokens=constant(200), burst=parse_distribution("uniform(1,5)"))
    sizes = {at: at_ms(events[:-1]).count(at) for at in at_ms(events[:-1])}
    assert sum(event.tokens for event in events) == 200
    assert set(sizes.values()) >= {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("after", "expected"),
    [(0, [600, 610, 620, 620]), (2, [100, 110, 610, 610]), (3, [100, 110, 120, 620])],
)
def test_a_stall_replaces_a_gap(after: int, expected: list[float]) -> None:
    events = schedule(tokens=constant(3), stall_after=after, stall_ms=500)
    assert at_ms(events) == expected


def test_a_stall_ends_a_burst() -> None:
    events = schedule(tokens=constant(4), burst=constant(3), stall_after=2, stall_ms=500)
    assert at_ms(events) == [100, 100, 600, 600, 600]


def test_random_gaps_depend_on_the_seed_and_never_decrease() -> None:
    options = {"gap": parse_distribution("exp(10)"), "tokens": parse_distribution("uniform(5,50)")}
    events = schedule(**options)
    assert events == schedule(**options)
    assert at_ms(events) == sorted(at_ms(events))
    assert len(set(at_ms(events))) == len(events) - 1


def test_the_token_limit_shortens_the_response() -> None:
    settings, rng = SimulatorSettings(tokens=constant(9)), random.Random(1)
    assert (plan(settings, rng, 4).tokens, plan(settings, rng, 4).cut) == (4, True)
    assert (plan(settings, rng, 9).tokens, plan(settings, rng, 9).cut) == (9, False)


def test_lengths_and_delays_are_bounded() -> None:
    rng = random.Random(1)
    assert plan(SimulatorSettings(tokens=constant(0)), rng, None).tokens == 1
    assert plan(SimulatorSettings(tokens=constant(1e9)), rng, None).tokens == MAX_TOKENS
    assert at_ms(schedule(ttft=constant(1e9), tokens=constant(1)))[0] == 3_600_000


def with_query(**values: int) -> list[float]:
    rng = random.Random(1)
    settings = SimulatorSettings(
        ttft=constant(100), gap=constant(10), tokens=constant(2), burst=constant(3)
    )
    return at_ms(
        list(
            scheduled_events(
                plan(with_beacon(settings, BeaconSchedule(**values), rng), rng, None), rng
            )
        )
    )


def test_a_beacon_query_overrides_the_settings_it_contains() -> None:
    assert with_query() == [100, 100, 100]
    assert with_query(ttft_ms=1, gap_ms=2) == [1, 1, 1]
    assert with_query(before=2, silence_ms=3000, after=2, gap_ms=5) == [100, 105, 3105, 3110, 3110]
    assert with_query(before=2, after=1) == [100, 110, 120, 120]
    assert with_query(silence_ms=500) == [100, 110, 610]
    assert with_query(before=0, silence_ms=500, after=1) == [600, 600]


def test_a_beacon_query_is_bounded() -> None:
    rng = random.Random(1)
    excessive = BeaconSchedule(
        ttft_ms=10**15, gap_ms=10**15, before=10**15, silence_ms=10**15, after=10**15,
        heartbeat_ms=10**15,
    )  # fmt: skip
    settings = with_beacon(SimulatorSettings(), excessive, rng)
    assert plan(settings, rng, None).events == MAX_TOKENS
    assert settings.stall_ms == settings.heartbeat_s * 1000 == 3_600_000
    assert (
        with_beacon(
            SimulatorSettings(heartbeat_s=3), BeaconSchedule(heartbeat_ms=0), rng
        ).heartbeat_s
        == 0
    )
