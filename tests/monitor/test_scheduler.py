"""Scheduler with a fake probe and clock: changes, budgets, back-off, and clock steps."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually_async
from undam.monitor.probe_result import HopState, ProbeResult, failure_of, result_of
from undam.monitor.scheduler import Scheduler
from undam.monitor.settings import MonitorSettings, MonitorTarget
from undam.monitor.store import StateChange, Store
from undam.probe import CheckOptions, Place

FREE, HELD = "streaming", "batched"


@dataclass
class FakeClock:
    """System clock that can be set, and a monotonic clock.

    Args:
        step_s: how far the system's clock was set forward.
    """

    now_s: float = 1000.0
    step_s: float = 0.0

    def wall(self) -> float:
        return 1_700_000_000 + self.now_s + self.step_s

    def ticks(self) -> float:
        return self.now_s


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


def target(**more: Any) -> MonitorTarget:
    options = CheckOptions(places=(Place("edge", "http://127.0.0.1:9/"),))
    return replace(MonitorTarget("chat", options, 60.0), **more)


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
    clock: FakeClock | None = None,
) -> tuple[Recorder, Scheduler]:
    """Probe ``rounds`` times at intervals of one minute."""
    recorder, count, now = Recorder(), [0], clock or FakeClock()

    async def probe(_: MonitorTarget) -> ProbeResult:
        count[0] += 1
        return replace(answers(count[0] - 1), at_s=now.wall())

    async def main() -> Scheduler:
        settings = MonitorSettings((chosen or target(),))
        scheduler = Scheduler(
            settings, store, recorder, probe, now.wall, now.ticks, random.Random(1)
        )
        for _ in range(rounds):
            await scheduler.run_once()
            now.now_s += 60
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
        # As noise, the stream is never held in two consecutive probes.
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
    assert schedule.next_s - scheduler.ticks() >= 60 * 2**3 * 0.9


@pytest.mark.parametrize(
    ("status", "pause_s", "probes"),
    [(429, 600.0, 1), (503, 90.0, 3), (429, None, 5), (401, 30.0, 5)],
)
def test_a_pause_that_the_server_requests_is_kept(
    store: Store, status: int, pause_s: float | None, probes: int
) -> None:
    refused = failure_of("chat", 0.0, f"answered {status}", status, pause_s)
    recorder, scheduler = run(store, lambda _: refused, 5)
    assert len(recorder.probes) == probes
    assert scheduler.schedules["chat"].skipped == 5 - probes
    scheduler._plan_next(scheduler.schedules["chat"])
    assert scheduler.schedules["chat"].next_s >= 1000 + (pause_s or 0)


@pytest.mark.parametrize("step_s", [3600.0, -3600.0, 86_400.0, -86_400.0])
def test_a_step_of_the_clock_changes_neither_budgets_nor_intervals(
    store: Store, step_s: float
) -> None:
    clock = FakeClock()
    recorder, scheduler = run(store, lambda _: found(FREE), 5, target(probes_per_hour=5), clock)
    planned = scheduler.schedules["chat"].next_s
    clock.step_s = step_s
    assert scheduler.schedules["chat"].next_s == planned
    asyncio.run(scheduler.run_once())
    assert len(recorder.probes) == 5
    clock.now_s += 3600
    asyncio.run(scheduler.run_once())
    assert len(recorder.probes) == 6


def test_spending_survives_a_restart_and_a_reload(store: Store) -> None:
    clock = FakeClock()
    limited = target(probes_per_day=3)
    run(store, lambda _: found(FREE), 3, limited, clock)
    recorder, scheduler = run(store, lambda _: found(FREE), 2, limited, clock)
    assert recorder.probes == []
    scheduler.use(MonitorSettings((replace(limited, probes_per_day=4),)))
    asyncio.run(scheduler.run_once())
    asyncio.run(scheduler.run_once())
    assert len(recorder.probes) == 1
    assert scheduler.budget_left(scheduler.schedules["chat"]).probes_day == 0


def test_the_budget_holds_while_the_database_cannot_be_written(store: Store) -> None:
    store._connection.execute("PRAGMA query_only = ON")
    recorder, _ = run(store, lambda _: found(FREE), 10, target(probes_per_hour=4))
    assert len(recorder.probes) == 4
    assert any("cannot be written" in one for one in recorder.problems)


def test_only_the_probe_that_confirms_a_change_runs_experiments(store: Store) -> None:
    asked: list[bool] = []

    def scheduler_with(chosen: MonitorTarget) -> Scheduler:
        async def probe(one: MonitorTarget) -> ProbeResult:
            asked.append(one.options.experiments)
            return found(FREE if len(asked) < 2 else HELD)

        return Scheduler(MonitorSettings((chosen,)), store, Recorder(), probe)

    plain = replace(target().options, experiments=False)
    for chosen, wanted in (
        (target(options=plain), [False, False, True]),
        (target(options=plain, tokens_per_day=9000), [False, False, False]),
    ):
        asked.clear()
        store.set_state(found(FREE))
        scheduler = scheduler_with(chosen)
        asyncio.run(scheduler.run_once())
        asyncio.run(scheduler.run_once())
        assert asked == wanted


def test_trials_of_silence_have_a_slower_schedule(store: Store) -> None:
    clock, idle = FakeClock(), list[float | None]()

    async def probe(one: MonitorTarget) -> ProbeResult:
        idle.append(one.options.idle_s)
        return found(FREE, clock.wall())

    chosen = target(idle_s=60.0, trials_interval_s=600.0)
    scheduler = Scheduler(
        MonitorSettings((chosen,)), store, Recorder(), probe, clock.wall, clock.ticks
    )
    clock.now_s += 100
    for _ in range(12):
        asyncio.run(scheduler.run_once())
        clock.now_s += 60
    assert idle == [60.0, *[None] * 9, 60.0, None]


def test_trials_that_a_budget_prevented_are_made_up_for(store: Store) -> None:
    clock, idle = FakeClock(), list[float | None]()

    async def probe(one: MonitorTarget) -> ProbeResult:
        idle.append(one.options.idle_s)
        return found(FREE, clock.wall())

    chosen = target(idle_s=60.0, trials_interval_s=600.0, probes_per_hour=1)
    scheduler = Scheduler(
        MonitorSettings((chosen,)), store, Recorder(), probe, clock.wall, clock.ticks
    )
    for passed_s in (100, 700, 3000):
        clock.now_s += passed_s
        asyncio.run(scheduler.run_once())
    assert idle == [60.0, 60.0]


def test_200_targets_are_probed_at_their_interval_within_the_concurrency(store: Store) -> None:
    recorder, most, running = Recorder(), 0, 0

    async def probe(one: MonitorTarget) -> ProbeResult:
        nonlocal most, running
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1
        return replace(found(FREE), target=one.name)

    async def main() -> None:
        targets = tuple(target(name=f"t{number}", interval_s=0.2) for number in range(200))
        scheduler = Scheduler(MonitorSettings(targets, concurrency=8), store, recorder, probe)
        task = asyncio.create_task(scheduler.run())
        await eventually_async(lambda: len(recorder.probes) >= 600, on_loop=True)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(asyncio.wait_for(main(), 60))
    assert len({one.target for one in recorder.probes}) == 200
    assert most <= 8
    assert (recorder.changes, recorder.problems) == ([], [])


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
        clock = FakeClock()
        scheduler = Scheduler(
            MonitorSettings((chosen,)), store, recorder, probe, clock.wall, clock.ticks
        )
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
