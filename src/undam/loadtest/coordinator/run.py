"""One run of a load test: tell the workers, start them together, hear them out, end them.

What a worker measured counts from the moment it is heard, so that whatever happens afterwards,
to it or to this process, takes none of it away.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from undam.errors import UndamError, UsageError
from undam.loadtest.coordinator.worker_pool import (
    SchedStat,
    WorkerEvent,
    WorkerLost,
    WorkerNode,
    WorkerPool,
)
from undam.loadtest.protocol import (
    Batch,
    ClosedLoop,
    Failure,
    FinalReport,
    Job,
    Ready,
    Start,
    Status,
    Stop,
    encode,
)
from undam.record import RequestResult

# Python, and reading a job of many prompts, on a machine that is busy with other workers.
_READY_S = 60.0
# What is in flight is given up at once, and then judged: seconds at most.
_STOP_S = 10.0
# A status comes four times a second. Judging a full backlog may keep a worker busy for a while.
_SILENT_S = 60.0
_TICK_S = 0.25
_UNFELT_NS = 100_000


class RunFailed(UndamError):
    """The run never began; one line says why."""


class ProgressListener:
    """What a run tells while it goes on; this one is told in vain."""

    def started(self, start_ns: int) -> None:
        """The common start, on this process's clock."""

    def measured(self, batch: Sequence[RequestResult]) -> None:
        """Requests that are over."""

    def ticked(self, statuses: Sequence[Status]) -> None:
        """Some four times a second: the last status of each worker that has told one."""


@dataclass(frozen=True, slots=True)
class LostShare:
    """A worker that was lost.

    Args:
        why: in a few words.
        measured: requests that it had reported; they are in the figures.
        missing: the fraction of the whole load that it did not report.
        at_s: after the start.
    """

    worker: int
    why: str
    measured: int
    missing: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """How a run went, beside what it measured.

    Args:
        start_ns: the common start.
        ended_ns: when the last worker had ended its share.
        cpu_percent: of one processor, by worker, as far as it told.
        waited_percent: of the time in which the worker that fared worst wanted a processor, how
            much it had none; ``None`` where the system does not say.
        interrupted: it was stopped before its end.
        planned: requests in all, warm-up included, if the load says so.
        nodes: where each worker ran, if not all ran here.
    """

    start_ns: int
    ended_ns: int
    finals: tuple[FinalReport, ...] = ()
    losses: tuple[LostShare, ...] = ()
    cpu_percent: tuple[float, ...] = ()
    waited_percent: float | None = None
    interrupted: bool = False
    planned: int | None = None
    nodes: tuple[WorkerNode, ...] = ()

    @property
    def missing(self) -> float:
        """The fraction of the load that lost workers took with them."""
        return sum(loss.missing for loss in self.losses)


@dataclass(slots=True)
class _RunState:
    """What is known of the workers so far."""

    jobs: Sequence[Job]
    ready: set[int] = field(default_factory=set)
    finals: dict[int, FinalReport] = field(default_factory=dict)
    lost: dict[int, tuple[str, int]] = field(default_factory=dict)
    statuses: dict[int, Status] = field(default_factory=dict)
    reported: dict[int, int] = field(default_factory=dict)
    last_event_at: dict[int, float] = field(default_factory=dict)
    sched_stats: dict[int, list[SchedStat]] = field(default_factory=dict)
    failure: Failure | None = None

    @property
    def running(self) -> list[int]:
        every = range(len(self.jobs))
        return [one for one in every if one not in self.finals and one not in self.lost]


def run_load(
    pool: WorkerPool,
    jobs: Sequence[Job],
    listener: ProgressListener,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Let the crew do these jobs, one a worker.

    Args:
        stopping: whether to end the run now, with what was measured so far.

    Raises:
        NotRun: a worker could not begin.
        UsageError: nor could any other with these options.
    """
    state = _RunState(jobs)
    start_ns = _begin(pool, state, stopping)
    listener.started(start_ns)
    interrupted, stop_at = False, math.inf
    _sample_sched_stats(pool, state)
    while state.running:
        for one in pool.receive(_TICK_S):
            _take(one, state, pool, listener)
        _sample_sched_stats(pool, state)
        listener.ticked(list(state.statuses.values()))
        if not interrupted and stopping():
            interrupted, stop_at = True, time.monotonic() + _STOP_S
            for worker in state.running:
                pool.send(worker, encode(Stop()))
        _kill_silent(pool, state, stop_at)
    return replace(_run_result(state, start_ns, interrupted), nodes=pool.nodes)


def _begin(pool: WorkerPool, state: _RunState, stopping: Callable[[], bool]) -> int:
    """Give out the jobs and start them together; the start's time on this process's clock."""
    for job in state.jobs:
        pool.send(job.worker, encode(job))
    give_up = time.monotonic() + _READY_S
    while len(state.ready) < len(state.jobs):
        for one in pool.receive(_TICK_S):
            _take(one, state, pool, ProgressListener())
        if state.failure is not None:
            fault = UsageError if state.failure.usage else RunFailed
            raise fault(state.failure.message)
        for worker, (why, _) in state.lost.items():
            raise RunFailed(f"worker {worker} of {len(state.jobs)} did not start: {why}")
        if time.monotonic() > give_up:
            raise RunFailed(f"a worker was not ready after {_READY_S:.0f} s")
        if stopping():
            raise KeyboardInterrupt
    start_ns = time.time_ns() + pool.start_lead_ns
    for job in state.jobs:
        pool.send(job.worker, encode(Start(at_ns=start_ns + pool.offset_ns(job.worker))))
    return start_ns


def _take(one: WorkerEvent, state: _RunState, pool: WorkerPool, listener: ProgressListener) -> None:
    state.last_event_at[getattr(one, "worker", -1)] = time.monotonic()
    match one:
        case Ready():
            state.ready.add(one.worker)
        case Batch():
            state.reported[one.worker] = state.reported.get(one.worker, 0) + len(one.measured)
            listener.measured(_on_local_clock(one.measured, pool.offset_ns(one.worker)))
        case Status():
            state.statuses[one.worker] = one
        case FinalReport():
            state.finals[one.worker] = one
        case Failure():
            state.failure = one
            state.lost.setdefault(one.worker, (one.message, time.time_ns()))
        case WorkerLost():
            state.lost.setdefault(one.worker, (one.why, time.time_ns()))


def _sample_sched_stats(pool: WorkerPool, state: _RunState) -> None:
    """Keep the first account and the last one of each worker."""
    for worker in state.running:
        sched_stat = pool.sched_stat(worker)
        if sched_stat is not None:
            state.sched_stats.setdefault(worker, [sched_stat])[1:] = [sched_stat]


def _waited_percent(state: _RunState) -> float | None:
    """Waits of less than `_UNFELT_NS` a turn are left out: a worker that runs for microseconds
    would soon wait for a fifth of its time, and nobody could tell by any figure."""
    shares = []
    for first, *rest in state.sched_stats.values():
        last = rest[-1] if rest else first
        ran_ns, wait_ns = last.run_ns - first.run_ns, last.wait_ns - first.wait_ns
        if wait_ns <= _UNFELT_NS * (last.timeslices - first.timeslices):
            wait_ns = 0
        shares.append(100 * wait_ns / (ran_ns + wait_ns) if wait_ns else 0.0)
    return round(max(shares), 1) if shares else None


def _kill_silent(pool: WorkerPool, state: _RunState, stop_at: float) -> None:
    now = time.monotonic()
    for worker in state.running:
        silent = now - state.last_event_at.setdefault(worker, now)
        if now > stop_at or silent > _SILENT_S:
            why = "it did not stop" if now > stop_at else f"silent for {silent:.0f} s"
            state.lost.setdefault(worker, (why, time.time_ns()))
            pool.kill(worker)


def _on_local_clock(measured: Sequence[RequestResult], offset_ns: int) -> Sequence[RequestResult]:
    """The same with the times that this process's clock would have shown. Differences stay exactly
    as they were, so no figure of a request depends on how well the offset is known."""
    if offset_ns == 0:
        return measured
    return [_shifted(one, -offset_ns) for one in measured]


def _shifted(one: RequestResult, by_ns: int) -> RequestResult:
    def moved(at_ns: int | None) -> int | None:
        return None if at_ns is None else at_ns + by_ns

    return replace(
        one,
        intended_ns=one.intended_ns + by_ns,
        ended_ns=one.ended_ns + by_ns,
        started_ns=moved(one.started_ns),
        head_ns=moved(one.head_ns),
        reads=tuple(read._replace(at_ns=read.at_ns + by_ns) for read in one.reads),
    )


def _run_result(state: _RunState, start_ns: int, interrupted: bool) -> RunResult:
    planned = [planned_requests(job) for job in state.jobs]
    whole = None if None in planned else sum(one or 0 for one in planned)
    return RunResult(
        start_ns=start_ns,
        ended_ns=time.time_ns(),
        finals=tuple(state.finals[worker] for worker in sorted(state.finals)),
        losses=tuple(_lost_share(worker, state, start_ns, whole) for worker in sorted(state.lost)),
        waited_percent=_waited_percent(state),
        cpu_percent=tuple(_cpu(worker, state, start_ns) for worker in range(len(state.jobs))),
        interrupted=interrupted,
        planned=whole,
    )


def _lost_share(worker: int, state: _RunState, start_ns: int, whole: int | None) -> LostShare:
    why, at_ns = state.lost[worker]
    reported = state.reported.get(worker, 0)
    mine = planned_requests(state.jobs[worker])
    if whole is not None and mine is not None:
        missing = (mine - reported) / whole if whole else 0.0
    else:
        missing = _missing_by_time(worker, state, (at_ns - start_ns) / 1e9)
    return LostShare(worker, why, reported, max(0.0, missing), (at_ns - start_ns) / 1e9)


def _missing_by_time(worker: int, state: _RunState, ran_s: float) -> float:
    """Of slots that run for a time, the part of their time that they did not."""
    loops = [job.load for job in state.jobs]
    slots = [len(loop.slots) if isinstance(loop, ClosedLoop) else 0 for loop in loops]
    mine = loops[worker]
    assert isinstance(mine, ClosedLoop)
    assert mine.duration_ns is not None
    return slots[worker] / sum(slots) * max(0.0, 1 - ran_s / (mine.duration_ns / 1e9))


def planned_requests(job: Job) -> int | None:
    """How many requests a job has, warm-up included; ``None``: as many as its time allows."""
    return job.load.count if isinstance(job.load, ClosedLoop) else len(job.load.plan)


def _cpu(worker: int, state: _RunState, start_ns: int) -> float:
    final, status = state.finals.get(worker), state.statuses.get(worker)
    if final is not None:
        spent, took = final.cpu_ns, final.ended_ns - final.started_ns
    elif status is not None:
        spent, took = status.cpu_ns, status.at_ns - start_ns
    else:
        return 0.0
    return round(100 * spent / took, 1) if took > 0 else 0.0
