"""Schedule of the probes: intervals, budgets, back-off, and the confirmation of changes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from undam.errors import UndamError
from undam.monitor.probe_result import ProbeResult, differences, failure_of, result_of
from undam.monitor.settings import MonitorSettings, MonitorTarget
from undam.monitor.store import StateChange, Store
from undam.probe import Report, report_json, run_check

_JITTER = 0.1
_HOUR_S, _DAY_S = 3600, 86_400
# A refused target is asked less often, up to this time.
_MAX_BACKOFF_S = 3600.0
_NO_BUFFERING = ("x-accel-buffering", "cache-control", "incremental")

Probe = Callable[[MonitorTarget], Awaitable[ProbeResult]]


class Listener(Protocol):
    """Receiver of what the scheduler finds."""

    def probed(self, target: MonitorTarget, result: ProbeResult) -> None:
        """Receive each probe, after it was stored."""
        ...

    def changed(self, change: StateChange) -> None:
        """Receive each confirmed change, after it was stored."""
        ...

    def problem(self, text: str) -> None:
        """Receive a problem of the monitor itself."""
        ...


@dataclass(slots=True)
class TargetSchedule:
    """Times of one target.

    Args:
        refusals: refused probes in a row.
        skipped: probes that a budget prevented.
        lock: held during a probe, so that two probes cannot use the same part of a budget.
    """

    target: MonitorTarget
    next_s: float = 0.0
    refusals: int = 0
    skipped: int = 0
    is_running: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


async def probe_target(target: MonitorTarget) -> ProbeResult:
    """Check a target once, and return the result; no error is raised."""
    at_s = time.time()
    try:
        report = await run_check(target.options)
    except UndamError as error:
        return failure_of(target.name, at_s, str(error))
    return result_of(target.name, at_s, with_heads(report))


def with_heads(report: Report) -> dict[str, object]:
    """Return the report as JSON data, with what the head of each hop shows."""
    row = report_json(report)
    hops = row["hops"]
    assert isinstance(hops, list)
    for one, hop in zip(hops, report.hops, strict=False):
        head = hop.exchange.head
        if head is not None:
            one["server"] = head.get("server")
            found = [f"{name}: {value}" for name in _NO_BUFFERING for value in head.all(name)]
            one["headers"] = tuple(found)
    return row


@dataclass
class Scheduler:
    """Probes all targets at their intervals until it is cancelled.

    Args:
        probe: checks one target.
        clock: Unix time in seconds.
    """

    settings: MonitorSettings
    store: Store
    listener: Listener
    probe: Probe = probe_target
    clock: Callable[[], float] = time.time
    chance: random.Random = field(default_factory=random.Random)
    schedules: dict[str, TargetSchedule] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._limit = asyncio.Semaphore(self.settings.concurrency)
        self.use(self.settings)

    def use(self, settings: MonitorSettings) -> None:
        """Replace the targets; those with the same name keep their times."""
        self.settings = settings
        now = self.clock()
        old = self.schedules
        self.schedules = {}
        for target in settings.targets:
            # The first probes are spread, so that many targets do not start at once.
            first = now + self.chance.uniform(0, min(target.interval_s, len(settings.targets)))
            known = old.get(target.name)
            self.schedules[target.name] = TargetSchedule(
                target, known.next_s if known else first, known.refusals if known else 0
            )

    async def run(self) -> None:
        """Probe until the task is cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                now = self.clock()
                for one in self.schedules.values():
                    if not one.is_running and one.next_s <= now:
                        one.is_running = True
                        group.create_task(self._run_one(one))
                waits = [one.next_s - now for one in self.schedules.values() if not one.is_running]
                # A step of the clock moves no probe by more than a second.
                await asyncio.sleep(min(1.0, max(0.01, min(waits, default=1.0))))

    async def run_once(self) -> dict[str, ProbeResult]:
        """Probe each target once, with confirmation of changes, and return the results."""
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
            wait = max(wait, min(_MAX_BACKOFF_S, interval * 2**schedule.refusals))
        now = self.clock()
        schedule.next_s = max(schedule.next_s, now) + wait if schedule.next_s > now else now + wait

    async def examine(self, target: MonitorTarget) -> ProbeResult | None:
        """Probe a target, and once more if the result differs from the confirmed state.

        Returns ``None`` if a budget does not allow a probe.
        """
        schedule = self.schedules[target.name]
        result = await self._probe(schedule)
        if result is None:
            return None
        before = self.store.state(target.name)
        if before is None:
            if result.is_conclusive():
                self.store.set_state(result)
        elif differences(before, result):
            again = await self._probe(schedule)
            # A change must be the same in both probes; otherwise it may be noise.
            if again is not None and differences(before, again) and not differences(result, again):
                text = ". ".join(differences(before, again))
                change = StateChange(target.name, result.at_s, text, before, again)
                self.store.add_change(change)
                self.listener.changed(change)
                result = again
        return result

    async def _probe(self, schedule: TargetSchedule) -> ProbeResult | None:
        target = schedule.target
        async with schedule.lock, self._limit:
            if not self.within_budget(target):
                schedule.skipped += 1
                return None
            result = await self.probe(target)
            self.store.add_probe(result)
        schedule.refusals = schedule.refusals + 1 if result.is_refused else 0
        if self.store.fault is not None:
            self.listener.problem(f"the database cannot be written: {self.store.fault}")
        self.listener.probed(target, result)
        return result

    def within_budget(self, target: MonitorTarget) -> bool:
        """Return whether the budgets of a target allow another probe.

        A probe is expected to take as many tokens as the last one.
        """
        now = self.clock()
        if target.probes_per_hour:
            probes, _ = self.store.spent(target.name, now - _HOUR_S)
            if probes >= target.probes_per_hour:
                return False
        if target.probes_per_day or target.tokens_per_day:
            probes, events = self.store.spent(target.name, now - _DAY_S)
            if target.probes_per_day and probes >= target.probes_per_day:
                return False
            last = self.store.probes(target.name, now - _DAY_S, 1)
            expected = last[0].events if last else 0
            if target.tokens_per_day and events + expected > target.tokens_per_day:
                return False
        return True
