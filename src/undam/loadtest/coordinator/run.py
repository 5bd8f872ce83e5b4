"""One run of a load test: send jobs, start workers together, collect results, end workers.

A result counts from the moment it is received. Whatever happens afterwards, to the worker or to
this process, does not remove it from the report.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

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

# Time to start Python and read a job with many prompts while other workers keep the machine busy.
_READY_TIMEOUT_S = 60.0
# Requests in flight are abandoned at once. A worker that analyzes the data received so far sends
# status messages.
_STOP_TIMEOUT_S = 10.0
_MOST_STOP_S = 60.0
# Each worker sends four status messages per second, but may skip some if its backlog is full.
_SILENCE_TIMEOUT_S = 60.0
_TICK_S = 0.25
# Scheduling delays below this average per time slice are too short to affect any metric.
_NEGLIGIBLE_WAIT_NS = 100_000


class RunFailed(UndamError):
    """The run never started, or nothing was measured."""


class ProgressListener:
    """Progress callbacks of a run. The base class ignores them."""

    def on_start(self, start_ns: int) -> None:
        """Handle the common start time of all workers, on this process's clock."""

    def on_results(self, batch: Sequence[RequestResult]) -> None:
        """Handle results of finished requests."""

    def on_tick(self, statuses: Sequence[Status]) -> None:
        """Handle the latest status of each worker; called about four times per second."""


@dataclass(frozen=True, slots=True)
class LostShare:
    """Share of the load that was lost with a failed worker.

    Args:
        why: reason for the loss.
        measured: results received from the worker before; they are part of the metrics.
        missing: fraction of the whole load for which no result was received.
        at_s: time of the loss, relative to the start.
    """

    worker: int
    why: str
    measured: int
    missing: float
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """Outcome of a run, without the request results.

    Args:
        start_ns: the common start.
        ended_ns: when the last worker had finished.
        cpu_percent: CPU use of each worker, in percent of one CPU.
        waited_percent: how much of its runnable time the worst worker was not scheduled; ``None``
            if the system does not report it.
        interrupted: whether the run was stopped before its end.
        planned: number of requests including warm-up, if the load defines it.
        nodes: where each worker ran; empty if all ran on this machine.
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
        """Fraction of the load that was lost because workers failed."""
        return sum(loss.missing for loss in self.losses)


def run_load(
    pool: WorkerPool,
    jobs: Sequence[Job],
    listener: ProgressListener,
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Run one job on each worker of the pool.

    Args:
        stopping: returns whether to end the run now, with the results received so far.

    Raises:
        RunFailed: a worker could not start.
        UsageError: no worker can start with these options.
    """
    return _LoadRun(pool, jobs, listener, stopping).run()


class _LoadRun:
    def __init__(
        self,
        pool: WorkerPool,
        jobs: Sequence[Job],
        listener: ProgressListener,
        stopping: Callable[[], bool],
    ) -> None:
        self._pool = pool
        self._jobs = jobs
        self._listener = listener
        self._stopping = stopping
        self._start_ns = 0
        self._ready: set[int] = set()
        self._finals: dict[int, FinalReport] = {}
        # For each lost worker: the reason, and the time of the loss.
        self._lost: dict[int, tuple[str, int]] = {}
        self._statuses: dict[int, Status] = {}
        self._reported: dict[int, int] = {}
        self._last_event_at: dict[int, float] = {}
        # The first and the latest scheduler statistics of each worker.
        self._sched_stats: dict[int, list[SchedStat]] = {}
        self._failure: Failure | None = None

    def run(self) -> RunResult:
        """Run the jobs; see ``run_load``."""
        self._start()
        self._listener.on_start(self._start_ns)
        stopped_at: float | None = None
        self._sample_sched_stats()
        while self._running:
            self._receive()
            self._sample_sched_stats()
            self._listener.on_tick(list(self._statuses.values()))
            if stopped_at is None and self._stopping():
                stopped_at = time.monotonic()
                for worker in self._running:
                    self._pool.send(worker, encode(Stop()))
            self._kill_silent(stopped_at)
        return self._result(interrupted=stopped_at is not None)

    @property
    def _running(self) -> list[int]:
        workers = range(len(self._jobs))
        return [one for one in workers if one not in self._finals and one not in self._lost]

    def _start(self) -> None:
        """Send the jobs, wait until all workers are ready, and start them together."""
        pool = self._pool
        for job in self._jobs:
            pool.send(job.worker, encode(job))
        give_up = time.monotonic() + _READY_TIMEOUT_S
        while len(self._ready) < len(self._jobs):
            self._receive()
            if self._failure is not None:
                error = UsageError if self._failure.usage else RunFailed
                raise error(self._failure.message)
            for worker, (why, _) in self._lost.items():
                raise RunFailed(f"worker {worker} of {len(self._jobs)} did not start: {why}")
            if time.monotonic() > give_up:
                raise RunFailed(f"a worker was not ready after {_READY_TIMEOUT_S:.0f} s")
            if self._stopping():
                raise KeyboardInterrupt
        self._start_ns = time.time_ns() + pool.start_lead_ns
        for job in self._jobs:
            start = Start(at_ns=self._start_ns + pool.offset_ns(job.worker))
            pool.send(job.worker, encode(start))

    def _receive(self) -> None:
        for event in self._pool.receive(_TICK_S):
            self._take(event)

    def _take(self, event: WorkerEvent) -> None:
        self._last_event_at[getattr(event, "worker", -1)] = time.monotonic()
        match event:
            case Ready():
                self._ready.add(event.worker)
            case Batch():
                reported = self._reported.get(event.worker, 0)
                self._reported[event.worker] = reported + len(event.measured)
                offset_ns = self._pool.offset_ns(event.worker)
                self._listener.on_results(_on_local_clock(event.measured, offset_ns))
            case Status():
                self._statuses[event.worker] = event
            case FinalReport():
                self._finals[event.worker] = event
            case Failure():
                self._failure = event
                self._lost.setdefault(event.worker, (event.message, time.time_ns()))
            case WorkerLost():
                self._lost.setdefault(event.worker, (event.why, time.time_ns()))

    def _sample_sched_stats(self) -> None:
        for worker in self._running:
            sched_stat = self._pool.sched_stat(worker)
            if sched_stat is not None:
                self._sched_stats.setdefault(worker, [sched_stat])[1:] = [sched_stat]

    def _kill_silent(self, stopped_at: float | None) -> None:
        """Kill workers that have been silent for too long, or that did not stop in time."""
        now = time.monotonic()
        for worker in self._running:
            silent_s = now - self._last_event_at.setdefault(worker, now)
            why = f"silent for {silent_s:.0f} s" if silent_s > _SILENCE_TIMEOUT_S else ""
            if stopped_at is not None:
                stopping_s = now - stopped_at
                if min(silent_s, stopping_s) > _STOP_TIMEOUT_S or stopping_s > _MOST_STOP_S:
                    why = "it did not stop"
            if why:
                self._lost.setdefault(worker, (why, time.time_ns()))
                self._pool.kill(worker)

    def _result(self, *, interrupted: bool) -> RunResult:
        by_worker = [planned_requests(job) for job in self._jobs]
        planned = None if None in by_worker else sum(count or 0 for count in by_worker)
        return RunResult(
            start_ns=self._start_ns,
            ended_ns=time.time_ns(),
            finals=tuple(self._finals[worker] for worker in sorted(self._finals)),
            losses=tuple(self._lost_share(worker, planned) for worker in sorted(self._lost)),
            waited_percent=self._waited_percent(),
            cpu_percent=tuple(self._cpu_percent(worker) for worker in range(len(self._jobs))),
            interrupted=interrupted,
            planned=planned,
            nodes=self._pool.nodes,
        )

    def _lost_share(self, worker: int, planned: int | None) -> LostShare:
        why, at_ns = self._lost[worker]
        at_s = (at_ns - self._start_ns) / 1e9
        reported = self._reported.get(worker, 0)
        assigned = planned_requests(self._jobs[worker])
        if planned is not None and assigned is not None:
            missing = (assigned - reported) / planned if planned else 0.0
        else:
            missing = self._missing_by_time(worker, at_s)
        return LostShare(worker, why, reported, max(0.0, missing), at_s)

    def _missing_by_time(self, worker: int, ran_s: float) -> float:
        """Return the missing fraction of a load that is limited by duration.

        The slots of the lost worker are missing for the rest of the time.
        """
        loops = [job.load for job in self._jobs]
        slots = [len(loop.slots) if isinstance(loop, ClosedLoop) else 0 for loop in loops]
        loop = loops[worker]
        assert isinstance(loop, ClosedLoop)
        assert loop.duration_ns is not None
        return slots[worker] / sum(slots) * max(0.0, 1 - ran_s / (loop.duration_ns / 1e9))

    def _waited_percent(self) -> float | None:
        """Return the highest percentage of runnable time that any worker waited for a CPU.

        A worker that runs for microseconds at a time easily waits for a fifth of its runnable
        time. Such short waits do not affect any metric and are not counted.
        """
        percents = []
        for first, *rest in self._sched_stats.values():
            last = rest[-1] if rest else first
            run_ns, wait_ns = last.run_ns - first.run_ns, last.wait_ns - first.wait_ns
            if wait_ns <= _NEGLIGIBLE_WAIT_NS * (last.timeslices - first.timeslices):
                wait_ns = 0
            percents.append(100 * wait_ns / (run_ns + wait_ns) if wait_ns else 0.0)
        return round(max(percents), 1) if percents else None

    def _cpu_percent(self, worker: int) -> float:
        final, status = self._finals.get(worker), self._statuses.get(worker)
        if final is not None:
            cpu_ns, elapsed_ns = final.cpu_ns, final.ended_ns - final.started_ns
        elif status is not None:
            cpu_ns, elapsed_ns = status.cpu_ns, status.at_ns - self._start_ns
        else:
            return 0.0
        return round(100 * cpu_ns / elapsed_ns, 1) if elapsed_ns > 0 else 0.0


def planned_requests(job: Job) -> int | None:
    """Return the number of requests in a job, with warm-up; ``None`` if only time is limited."""
    return job.load.count if isinstance(job.load, ClosedLoop) else len(job.load.plan)


def _on_local_clock(results: Sequence[RequestResult], offset_ns: int) -> Sequence[RequestResult]:
    """Convert times on another host's clock to times on this process's clock.

    Differences between times do not change, so the metrics of a request do not depend on the
    accuracy of the offset.
    """
    if offset_ns == 0:
        return results
    return [_shifted(result, -offset_ns) for result in results]


def _shifted(result: RequestResult, by_ns: int) -> RequestResult:
    def moved(at_ns: int | None) -> int | None:
        return None if at_ns is None else at_ns + by_ns

    return replace(
        result,
        intended_ns=result.intended_ns + by_ns,
        ended_ns=result.ended_ns + by_ns,
        started_ns=moved(result.started_ns),
        head_ns=moved(result.head_ns),
        reads=tuple(read._replace(at_ns=read.at_ns + by_ns) for read in result.reads),
    )
