"""Scheduler and store with a fake probe and a fake clock: changes, budgets, back-off, damage."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from support.eventually import eventually_async
from undam.monitor.probe_result import HopState, ProbeResult, failure_of, result_of
from undam.monitor.scheduler import Scheduler
from undam.monitor.settings import MonitorSettings, MonitorTarget
from undam.monitor.store import StateChange, Store
from undam.probe import CheckOptions, Place

FREE, HELD = "streaming", "batched"


@dataclass
class Recorder:
    probes: list[ProbeResult] = field(default_factory=list)
    changes: list[StateChange] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def probed(self, target: MonitorTarget, result: ProbeResult) -> None:
        self.probes.append(result)

    def changed(self, change: StateChange) -> None:
        self.changes.append(change)

    def problem(self, text: str) -> None:
        self.problems.append(text)


def target(**more: int) -> MonitorTarget:
    options = CheckOptions(places=(Place("edge", "http://127.0.0.1:9/"),))
    return replace(MonitorTarget("chat", options, 60.0), **more)  # type: ignore[arg-type]


def found(verdict: str, at_s: float = 0.0) -> ProbeResult:
    release = {"release": "size", "release_bytes": 4096} if verdict == HELD else {}
    hop = HopState("edge", verdict, **release)  # type: ignore[arg-type]
    return ProbeResult("chat", at_s, verdict, (hop,), True, 200.0, events=120)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(str(tmp_path / "m.db"), 30)
    yield opened
    opened.close()


def run(
    store: Store,
    answers: Callable[[int], ProbeResult],
    rounds: int,
    chosen: MonitorTarget | None = None,
) -> tuple[Recorder, Scheduler]:
    """Probe ``rounds`` times, a minute apart."""
    recorder, now, count = Recorder(), [1000.0], [0]

    async def probe(_: MonitorTarget) -> ProbeResult:
        count[0] += 1
        one = answers(count[0] - 1)
        return ProbeResult(**{**{name: getattr(one, name) for name in one.__slots__},
                              "at_s": now[0]})  # fmt: skip

    async def main() -> Scheduler:
        settings = MonitorSettings((chosen or target(),))
        scheduler = Scheduler(settings, store, recorder, probe, lambda: now[0], random.Random(1))
        for _ in range(rounds):
            await scheduler.run_once()
            now[0] += 60
        return scheduler

    return recorder, asyncio.run(main())


def test_a_change_is_reported_once_and_recovery_once(store: Store) -> None:
    verdicts = [FREE] * 3 + [HELD] * 4 + [FREE] * 4
    recorder, _ = run(store, lambda number: found(verdicts[min(number, 10)]), 8)
    assert [one.text for one in recorder.changes] == [
        "edge sends blocks of 4096 bytes; before: streams",
        "edge streams; before: sends blocks of 4096 bytes",
    ]
    assert [one.text for one in store.changes()] == [one.text for one in recorder.changes[::-1]]


def test_a_single_odd_probe_is_not_a_change(store: Store) -> None:
    recorder, _ = run(store, lambda number: found(HELD if number == 3 else FREE), 8)
    assert recorder.changes == []


def test_500_noisy_probes_of_a_healthy_target_report_no_change(store: Store) -> None:
    chance = random.Random(7)
    kinds = [FREE] * 90 + ["unknown"] * 8 + [HELD] * 2
    before = HELD

    def answer(_: int) -> ProbeResult:
        # Noise that holds one probe does not hold the next one as well.
        nonlocal before
        kind = chance.choice(kinds) if before is not HELD else FREE
        before = kind
        return found(kind)

    recorder, _ = run(store, answer, 480)
    assert len(recorder.probes) >= 480
    assert recorder.changes == []


def test_a_refused_target_is_asked_less_often(store: Store) -> None:
    refused = failure_of("chat", 0.0, "answered 429 Too Many Requests")
    recorder, scheduler = run(store, lambda _: refused, 3)
    assert recorder.changes == []
    schedule = scheduler.schedules["chat"]
    assert schedule.refusals == 3
    scheduler._plan_next(schedule)
    assert schedule.next_s - scheduler.clock() >= 60 * 2**3 * 0.9


@pytest.mark.parametrize(
    ("budget", "most"), [({"probes_per_hour": 5}, 5), ({"probes_per_day": 7}, 7),
                         ({"tokens_per_day": 360}, 3)],
)  # fmt: skip
def test_budgets_are_never_exceeded(store: Store, budget: dict[str, int], most: int) -> None:
    recorder, scheduler = run(store, lambda _: found(FREE), 30, target(**budget))
    assert len(recorder.probes) == most
    assert scheduler.schedules["chat"].skipped == 30 - most


def test_tokens_of_all_hops_count_and_the_expected_probe_must_fit(store: Store) -> None:
    row = {
        "verdict": "streaming",
        "hops": [
            {"name": name, "verdict": "streaming", "events": 120} for name in ("edge", "model")
        ],
        "findings": [],
    }
    result = result_of("chat", 0.0, row)
    recorder, _ = run(store, lambda _: result, 30, target(tokens_per_day=700))
    assert sum(one.events for one in recorder.probes) == 480


def test_probes_at_the_same_time_share_one_budget(store: Store) -> None:
    recorder = Recorder()

    async def probe(_: MonitorTarget) -> ProbeResult:
        await asyncio.sleep(0.01)
        return found(FREE, 1000.0)

    async def main() -> None:
        chosen = target(probes_per_day=3)
        scheduler = Scheduler(MonitorSettings((chosen,)), store, recorder, probe, lambda: 1000.0)
        await asyncio.gather(*(scheduler.examine(chosen) for _ in range(10)))

    asyncio.run(main())
    assert len(recorder.probes) == 3


def test_the_state_survives_a_restart(tmp_path: Path) -> None:
    path = str(tmp_path / "m.db")
    first = Store(path, 30)
    run(first, lambda _: found(HELD), 2)
    first.close()
    again = Store(path, 30)
    recorder, _ = run(again, lambda _: found(HELD), 2)
    assert recorder.changes == []
    assert again.state("chat") is not None
    again.close()


def test_a_broken_database_is_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    path.write_bytes(b"this is not a database" * 100)
    store = Store(str(path), 30)
    assert store.set_aside is not None
    assert Path(store.set_aside).read_bytes().startswith(b"this is not")
    store.add_probe(found(FREE))
    assert store.fault is None
    store.close()


def test_a_database_that_cannot_be_written_is_a_problem_and_probing_goes_on(store: Store) -> None:
    blocker = sqlite3.connect(store._path)
    store._connection.execute("PRAGMA busy_timeout=10")
    blocker.execute("BEGIN IMMEDIATE")
    recorder, _ = run(store, lambda _: found(FREE), 2)
    assert len(recorder.probes) == 2
    assert any("cannot be written" in one for one in recorder.problems)
    blocker.execute("ROLLBACK")
    store.add_probe(found(FREE))
    assert store.fault is None
    blocker.close()


def test_old_probes_are_removed(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "m.db"), retention_days=1)
    store.add_probe(found(FREE, 0.0))
    store.add_probe(found(FREE, 90_000.0))
    assert [one.at_s for one in store.probes("chat", -1)] == [90_000.0]
    store.close()


def test_the_loop_probes_at_the_interval_until_it_is_cancelled(store: Store) -> None:
    recorder = Recorder()

    async def probe(_: MonitorTarget) -> ProbeResult:
        return found(FREE)

    async def main() -> None:
        quick = MonitorTarget("chat", target().options, 0.05)
        scheduler = Scheduler(MonitorSettings((quick,)), store, recorder, probe)
        task = asyncio.create_task(scheduler.run())
        await eventually_async(lambda: len(recorder.probes) >= 3, on_loop=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 60))


def test_an_unexpected_error_of_one_target_does_not_stop_the_others(store: Store) -> None:
    recorder = Recorder()

    async def probe(_: MonitorTarget) -> ProbeResult:
        raise RuntimeError("boom")

    async def main() -> None:
        quick = MonitorTarget("chat", target().options, 0.05)
        scheduler = Scheduler(MonitorSettings((quick,)), store, recorder, probe)
        task = asyncio.create_task(scheduler.run())
        await eventually_async(lambda: len(recorder.problems) >= 2, on_loop=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 60))
    assert recorder.problems[0] == "chat: RuntimeError: boom"
