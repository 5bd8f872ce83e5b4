"""Schedule for the probes: intervals, budgets, back-off, and the confirmation of changes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

from undam.errors import ResponseError, UndamError
from undam.monitor.budgets import DAY_S, HOUR_S, BudgetLeft, Spending
from undam.monitor.probe_result import ProbeResult, differences, failure_of, result_of
from undam.monitor.settings import MonitorSettings, MonitorTarget
from undam.monitor.store import StateChange, Store
from undam.probe import Report, report_json, run_check

_JITTER = 0.1
# Maximum interval between probes while a target refuses them.
_MAX_BACKOFF_S = 3600.0
# Maximum pause that a server can request with Retry-After.
_MAX_RETRY_AFTER_S = 86_400.0
_NO_BUFFERING = ("x-accel-buffering", "cache-control", "incremental")

Probe = Callable[[MonitorTarget], Awaitable[ProbeResult]]


class Listener(Protocol):
    """Receiver for the scheduler's results and problems."""

    def probed(self, target: MonitorTarget, result: ProbeResult) -> None:
        """Receive a probe result after it has been stored."""
        ...

    def changed(self, change: StateChange) -> None:
        """Receive a confirmed change after it has been stored."""
        ...

    def problem(self, text: str) -> None:
        """Receive the description of a problem in the monitor itself."""
        ...


@dataclass(slots=True)
class TargetSchedule:
    """Schedule of one target; times are in seconds of the monotonic clock.

    Args:
        next_s: time of the next probe.
        not_before_s: end of the pause that the server requested with Retry-After.
        trials_s: time of the next trials of silence and disconnects.
        refusals: refused probes in a row.
        skipped: probes that a budget or a pause prevented.
        spending: probes and tokens of the last day.
        lock: held during a probe, so that two probes cannot use the same part of a budget.
    """

    target: MonitorTarget
    next_s: float = 0.0
    not_before_s: float = 0.0
    trials_s: float = 0.0
    refusals: int = 0
    skipped: int = 0
    is_running: bool = False
    spending: Spending = field(default_factory=Spending)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def probe_target(target: MonitorTarget) -> ProbeResult:
    """Check a target once and return the result. A failure is returned, not raised."""
    at_s = time.time()
    try:
        report = await run_check(target.options)
    except ResponseError as error:
        return failure_of(target.name, at_s, str(error), error.status, error.retry_after_s)
    except UndamError as error:
        return failure_of(target.name, at_s, str(error))
    return result_of(target.name, at_s, with_observations(report))


def with_observations(report: Report) -> dict[str, object]:
    """Return the report as JSON data, with details that only the exchanges contain.

    The details are the response heads, the arrivals at the edge, and the failure of the edge.
    """
    row = report_json(report)
    failed = next((one for one in report.failures if one.position == 0), None)
    if failed is not None:
        row["failure"] = {"error": failed.error, "status": failed.status,
                          "retry_after_s": failed.retry_after_s}  # fmt: skip
    rows = row["hops"]
    assert isinstance(rows, list)
    by_name = {one["name"]: one for one in rows}
    for hop in report.hops:
        head = hop.exchange.head
        if head is not None:
            one = by_name[hop.name]
            one["server"] = head.get("server")
            found = [f"{name}: {value}" for name in _NO_BUFFERING for value in head.all(name)]
            one["headers"] = tuple(found)
    if failed is None:
        reading = report.hops[0].reading
        row["arrivals_ms"] = [(one.at_ns - reading.sent_ns) / 1e6 for one in reading.contents]
        row["heartbeats"] = sum(one.meaning is None for one in reading.items)
    return row


@dataclass
class Scheduler:
    """Scheduler that probes all targets at their intervals until it is cancelled.

    Args:
        probe: checks one target.
        clock: Unix time in seconds, for results.
        ticks: time in seconds of a monotonic clock, for intervals and budgets.
    """

    settings: MonitorSettings
    store: Store
    listener: Listener
    probe: Probe = probe_target
    clock: Callable[[], float] = time.time
    ticks: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)
    schedules: dict[str, TargetSchedule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._limit = asyncio.Semaphore(self.settings.concurrency)
        self._set_aside = self.store.set_aside
        self.use(self.settings)

    def use(self, settings: MonitorSettings) -> None:
        """Replace the targets; targets with the same name keep their schedule and spending."""
        if settings.concurrency != self.settings.concurrency:
            self._limit = asyncio.Semaphore(settings.concurrency)
        self.settings = settings
        now = self.ticks()
        old = self.schedules
        self.schedules = {}
        for target in settings.targets:
            known = old.get(target.name)
            if known is not None:
                known.target = target
                known.next_s = min(known.next_s, now + target.interval_s)
                self.schedules[target.name] = known
                continue
            # The first probes are spread over time, so that many targets are not probed at once.
            first = now + self.chance.uniform(0, min(target.interval_s, len(settings.targets)))
            self.schedules[target.name] = TargetSchedule(
                target, first, trials_s=first, spending=self._past_spending(target)
            )

    def _past_spending(self, target: MonitorTarget) -> Spending:
        """Return the spending before the start, with times on this process's clock."""
        if not target.has_budget:
            return Spending()
        now_s, now = self.clock(), self.ticks()
        past = self.store.spending(target.name, now_s - DAY_S)
        # If a time is in the future, the clock was set back.
        return Spending((now - max(0.0, now_s - at_s), events) for at_s, events in past)

    async def run(self) -> None:
        """Probe the targets until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                now = self.ticks()
                for one in self.schedules.values():
                    if not one.is_running and one.next_s <= now:
                        one.is_running = True
                        group.create_task(self._run_one(one))
                waits = [one.next_s - now for one in self.schedules.values() if not one.is_running]
                await asyncio.sleep(min(1.0, max(0.01, min(waits, default=1.0))))

    async def run_once(self) -> dict[str, ProbeResult]:
        """Probe each target once, confirm changes, and return the results."""
        results = await asyncio.gather(
            *(self.examine(one.target) for one in self.schedules.values())
        )
        return {one.target: one for one in results if one is not None}

    async def _run_one(self, schedule: TargetSchedule) -> None:
        try:
            await self.examine(schedule.target)
        except Exception as error:
            self.listener.problem(f"{schedule.target.name}: {type(error).__name__}: {error}")
        finally:
            schedule.is_running = False
            self._plan_next(schedule)

    def _plan_next(self, schedule: TargetSchedule) -> None:
        interval = schedule.target.interval_s
        wait = interval * (1 + self.chance.uniform(-_JITTER, _JITTER))
        if schedule.refusals:
            wait = max(wait, min(_MAX_BACKOFF_S, interval * 2 ** min(schedule.refusals, 12)))
        schedule.next_s = max(self.ticks() + wait, schedule.not_before_s)

    async def examine(self, target: MonitorTarget) -> ProbeResult | None:
        """Probe a target; repeat the probe if the result differs from the confirmed state.

        The second probe may run experiments, which find the cause. Return ``None`` if a budget or a
        pause that the server requested does not allow a probe.
        """
        schedule = self.schedules[target.name]
        trials_s = schedule.trials_s
        result = await self._probe(schedule, self._with_trials(schedule))
        if result is None:
            schedule.trials_s = trials_s
            return None
        before = self.store.state(target.name)
        if before is None:
            if result.is_conclusive():
                self.store.set_state(result)
        elif differences(before, result):
            again = await self._probe(schedule, _with_experiments(schedule.target))
            # Both probes must show the same change. Otherwise, the change may be noise.
            if again is not None and differences(before, again) and not differences(result, again):
                text = "; ".join(differences(before, again))
                change = StateChange(target.name, result.at_s, text, before, again)
                self.store.add_change(change)
                self.listener.changed(change)
                result = again
        return result

    def _with_trials(self, schedule: TargetSchedule) -> MonitorTarget:
        """Return the target, with idle and disconnect tests enabled only if they are due."""
        target, now = schedule.target, self.ticks()
        if not target.has_trials or now < schedule.trials_s:
            return target
        schedule.trials_s = now + target.trials_interval_s
        options = replace(target.options, idle_s=target.idle_s, cancel=target.cancel)
        return replace(target, options=options)

    async def _probe(self, schedule: TargetSchedule, target: MonitorTarget) -> ProbeResult | None:
        async with schedule.lock, self._limit:
            if self.ticks() < schedule.not_before_s or not self.within_budget(schedule):
                schedule.skipped += 1
                return None
            result = await self.probe(target)
            if target.has_budget:
                schedule.spending.add(self.ticks(), result.events)
            self.store.add_probe(result)
        schedule.refusals = schedule.refusals + 1 if result.is_refused else 0
        if result.retry_after_s is not None:
            pause_s = min(result.retry_after_s, _MAX_RETRY_AFTER_S)
            schedule.not_before_s = self.ticks() + pause_s
        self._report_store()
        self.listener.probed(schedule.target, result)
        return result

    def _report_store(self) -> None:
        if self.store.fault is not None:
            self.listener.problem(f"the database cannot be written: {self.store.fault}")
        if self.store.set_aside != self._set_aside:
            self._set_aside = self.store.set_aside
            self.listener.problem(f"the database was damaged; it was renamed to {self._set_aside}")

    def budget_left(self, schedule: TargetSchedule) -> BudgetLeft:
        """Return the probes and tokens that remain in the budgets of a target."""
        target, now = schedule.target, self.ticks()
        if not target.has_budget:
            return BudgetLeft()
        in_hour, _ = schedule.spending.since(now - HOUR_S)
        in_day, tokens = schedule.spending.since(now - DAY_S)
        return BudgetLeft(
            _left(target.probes_per_hour, in_hour),
            _left(target.probes_per_day, in_day),
            _left(target.tokens_per_day, tokens),
        )

    def within_budget(self, schedule: TargetSchedule) -> bool:
        """Return whether the budgets of a target allow another probe.

        A probe is expected to take as many tokens as the last one.
        """
        left = self.budget_left(schedule)
        expected = schedule.spending.last_tokens
        return (
            left.probes_hour != 0
            and left.probes_day != 0
            and (left.tokens_day is None or left.tokens_day >= max(1, expected))
        )


def _left(limit: int, spent: int) -> int | None:
    return max(0, limit - spent) if limit else None


def _with_experiments(target: MonitorTarget) -> MonitorTarget:
    """Enable experiments for a target, unless their tokens could exceed a budget."""
    if target.tokens_per_day or target.options.beacon:
        return target
    return replace(target, options=replace(target.options, experiments=True))
