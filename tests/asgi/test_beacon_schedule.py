"""Due times of beacon events: they follow the schedule and equal the due times of `undam sim`."""

from __future__ import annotations

import random

import pytest

from undam.asgi.beacon import due_times
from undam.simulator.schedule import plan, scheduled_events, with_beacon
from undam.simulator.settings import SimulatorSettings
from undam.timing import BeaconSchedule

START_NS = 1_790_000_000_000_000_000


def _offsets_ms(schedule: BeaconSchedule) -> list[float]:
    return [(due_ns - START_NS) / 1e6 for due_ns in due_times(schedule, START_NS)]


def _schedule(**values: int | None) -> BeaconSchedule:
    usual: dict[str, int | None] = {
        "ttft_ms": 200,
        "gap_ms": 25,
        "before": 3,
        "silence_ms": 0,
        "after": 0,
    }
    return BeaconSchedule(**{**usual, "heartbeat_ms": 0, **values})


def test_events_then_silence_then_events_then_the_end() -> None:
    assert _offsets_ms(_schedule()) == [200, 225, 250, 250]
    assert _offsets_ms(_schedule(silence_ms=3000, after=2)) == [200, 225, 250, 3250, 3275, 3275]


def test_a_silence_after_the_last_event_delays_the_end() -> None:
    assert _offsets_ms(_schedule(silence_ms=3000)) == [200, 225, 250, 3250]


def test_a_silence_before_the_first_event_is_added_to_its_delay() -> None:
    assert _offsets_ms(_schedule(before=0, silence_ms=100, after=2)) == [300, 325, 325]


@pytest.mark.parametrize("before", [1, 2, 7])
@pytest.mark.parametrize("silence_ms", [None, 0, 40, 3000])
@pytest.mark.parametrize("after", [0, 1, 5])
@pytest.mark.parametrize("gap_ms", [0, 25])
def test_the_simulator_has_the_same_due_times(
    before: int, silence_ms: int | None, after: int, gap_ms: int
) -> None:
    asked = _schedule(before=before, silence_ms=silence_ms, after=after, gap_ms=gap_ms)
    rng = random.Random(1)
    planned = plan(with_beacon(SimulatorSettings(), asked, rng), rng, None)
    simulated = [moment.offset_ns / 1e6 for moment in scheduled_events(planned, rng)]
    assert _offsets_ms(asked) == simulated
