"""The timer of a loop: who is looked at when, and that it keeps nobody who is closed."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from math import inf
from time import monotonic

import pytest
import uvloop

from undam.aio.deadlines import Pulse

MINUTE = 60.0


class Patient:
    """Closes itself when it is looked at, unless it has something to wait for."""

    def __init__(self) -> None:
        self.due = inf
        self.closed = False
        self.seen: list[float] = []
        self.again: list[float] = []

    def pulse(self, now: float) -> float:
        self.seen.append(now)
        if self.again:
            return self.again.pop(0)
        self.closed = True
        return inf


def in_loop(play: Callable[[Pulse], None], seconds: float = 0.0) -> None:
    async def main() -> None:
        pulse = Pulse(asyncio.get_running_loop())
        play(pulse)
        await asyncio.sleep(seconds)
        pulse.stop()

    asyncio.run(main())


def test_a_patient_is_looked_at_when_it_is_due_and_then_when_it_says() -> None:
    patient = Patient()
    start = monotonic()
    patient.again = [start + 0.06]
    in_loop(lambda pulse: pulse.at(patient, start + 0.02), 0.1)
    first, second = patient.seen
    assert first >= start + 0.02
    assert second >= start + 0.06


def test_the_earlier_of_two_deadlines_counts_and_the_later_is_not_another_visit() -> None:
    patient = Patient()
    start = monotonic()

    def play(pulse: Pulse) -> None:
        pulse.at(patient, start + 0.05)
        pulse.at(patient, start + 0.02)
        pulse.at(patient, start + 0.08)

    patient.again = [start + 0.05]
    in_loop(play, 0.12)
    assert len(patient.seen) == 2


def test_a_closed_patient_is_not_looked_at() -> None:
    patient = Patient()

    def play(pulse: Pulse) -> None:
        pulse.at(patient, monotonic() + 0.01)
        patient.closed = True
        pulse.forget(patient)
        pulse.at(patient, monotonic() + 0.01)

    in_loop(play, 0.03)
    assert patient.seen == []


@pytest.mark.parametrize("deadlines", [(1,), (3, 2, 1)], ids=["one each", "overtaken twice"])
def test_patients_that_closed_are_let_go_long_before_their_time(
    deadlines: tuple[int, ...],
) -> None:
    """Each holds what its connection held: at one thousand it was 1.5 MB for a minute."""
    alive: list[weakref.ref[Patient]] = []

    def play(pulse: Pulse) -> None:
        for _ in range(1000):
            patient = Patient()
            alive.append(weakref.ref(patient))
            for deadline in deadlines:
                pulse.at(patient, monotonic() + deadline * MINUTE)
            patient.closed = True
            pulse.forget(patient)
            del patient
        gc.collect()
        assert sum(ref() is not None for ref in alive) <= 64

    in_loop(play)


def test_those_that_are_still_open_keep_their_deadlines_when_others_are_let_go() -> None:
    staying = [Patient() for _ in range(50)]

    def play(pulse: Pulse) -> None:
        for patient in staying:
            pulse.at(patient, monotonic() + MINUTE)
            pulse.at(patient, monotonic() + 0.02)
        for _ in range(1000):
            patient = Patient()
            pulse.at(patient, monotonic() + 0.01)
            patient.closed = True
            pulse.forget(patient)

    in_loop(play, 0.1)
    assert [len(patient.seen) for patient in staying] == [1] * 50


def test_waiting_for_a_fraction_of_a_millisecond_takes_few_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    turns = 0
    beat = Pulse._beat

    def counted(pulse: Pulse) -> None:
        nonlocal turns
        turns += 1
        beat(pulse)

    monkeypatch.setattr(Pulse, "_beat", counted)
    patients = [Patient() for _ in range(40)]

    async def main() -> None:
        pulse = Pulse(asyncio.get_running_loop())
        for number, patient in enumerate(patients):
            pulse.at(patient, monotonic() + 0.0004 + 0.0051 * number)
        await asyncio.sleep(0.3)
        pulse.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
    assert all(patient.closed for patient in patients)
    assert turns <= 2 * len(patients)
