"""The coordinator with a scripted worker pool: no received result is lost, and the missing share
of the load is reported."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from undam.errors import UsageError
from undam.loadtest.coordinator import run as run_module
from undam.loadtest.coordinator.run import ProgressListener, RunFailed, RunResult, run_load
from undam.loadtest.coordinator.split import JobTemplate, make_jobs
from undam.loadtest.coordinator.worker_pool import SchedStat, WorkerEvent, WorkerLost, WorkerNode
from undam.loadtest.protocol import (
    Batch,
    Failure,
    FinalReport,
    FrameReader,
    Job,
    Ready,
    Start,
    Status,
    Stop,
)
from undam.loadtest.setup.plan import Load
from undam.record import ContentRead, Outcome, RequestResult


class RecordingListener(ProgressListener):
    def __init__(self) -> None:
        self.results: list[RequestResult] = []

    def on_results(self, batch: Sequence[RequestResult]) -> None:
        self.results += batch

    @property
    def numbers(self) -> list[int]:
        return [result.number for result in self.results]


class ScriptedPool:
    """Pool of two workers that delivers the given lists of events, one per ``receive`` call."""

    start_lead_ns = 1_000_000
    nodes: tuple[WorkerNode, ...] = ()

    def __init__(
        self, *script: list[WorkerEvent], on_stop: Sequence[WorkerEvent] = (), ahead_ns: int = 0
    ) -> None:
        self.size = 2
        self.sent: list[object] = []
        self.killed: list[int] = []
        self._samples = 0
        self._ahead_ns = ahead_ns
        self._script = [list(part) for part in script]
        self._on_stop = list(on_stop)

    def offset_ns(self, worker: int) -> int:
        return self._ahead_ns if worker else 0

    def send(self, worker: int, data: bytes) -> None:
        frame = FrameReader().receive_data(data)[0]
        self.sent.append(frame)
        if isinstance(frame, Stop) and worker == 0:
            self._script = [self._on_stop]

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        return self._script.pop(0) if self._script else []

    def sched_stat(self, worker: int) -> SchedStat | None:
        self._samples += 1
        wait_ms = 500 * self._samples if worker else 0
        return SchedStat(1_000, wait_ms * 1_000_000, self._samples)

    def kill(self, worker: int) -> None:
        self.killed.append(worker)

    def close(self) -> None:
        raise AssertionError("only the pool's owner may close it")


TEMPLATE = JobTemplate(addresses=(), requests=(b"x",), api="plain", timeout_s=1)
READY: list[WorkerEvent] = [Ready(worker=0, at_ns=0), Ready(worker=1, at_ns=0)]


def jobs(load: Load | None = None) -> tuple[Job, ...]:
    return make_jobs(load or Load(concurrency=2, requests=8), 2, TEMPLATE)


def result(number: int) -> RequestResult:
    read = ContentRead(1_500, 0, 0, 1)
    return RequestResult(
        number=number,
        worker=0,
        intended_ns=1_000,
        ended_ns=2_000,
        outcome=Outcome.COMPLETE,
        reads=(read,),
    )


def final(worker: int) -> FinalReport:
    return FinalReport(
        worker=worker,
        started_ns=0,
        ended_ns=100,
        started=4,
        unstarted=0,
        stopped=False,
        connections=1,
        resent=0,
        cpu_ns=50,
        step_ns=0,
        sleep_ns=0,
        received_bytes=0,
    )


def batch(worker: int, *numbers: int) -> Batch:
    return Batch(worker=worker, measured=tuple(result(number) for number in numbers))


def run(
    pool: ScriptedPool, load: Load | None = None, stopping: Callable[[], bool] = lambda: False
) -> tuple[RunResult, RecordingListener]:
    listener = RecordingListener()
    return run_load(pool, jobs(load), listener, stopping=stopping), listener


def test_workers_start_together_and_every_result_is_received() -> None:
    pool = ScriptedPool(READY, [batch(1, 4, 5)], [batch(0, 0), final(0)], [batch(1, 6), final(1)])
    run_result, listener = run(pool)
    starts = [frame for frame in pool.sent if isinstance(frame, Start)]
    assert [frame.at_ns for frame in starts] == [run_result.start_ns] * 2
    assert listener.numbers == [4, 5, 0, 6]
    assert not run_result.losses
    assert (run_result.missing, run_result.planned, run_result.interrupted) == (0, 8, False)
    assert list(run_result.cpu_percent) == [50, 50]
    assert run_result.waited_percent == 100, "of its runnable time since the first sample"


def test_results_of_a_lost_worker_are_kept_and_its_missing_share_is_reported() -> None:
    gone = WorkerLost(1, "killed by SIGKILL")
    pool = ScriptedPool(READY, [batch(1, 4)], [gone], [batch(0, 0, 1, 2, 3), final(0)])
    run_result, listener = run(pool)
    assert listener.numbers == [4, 0, 1, 2, 3]
    (loss,) = run_result.losses
    assert (loss.worker, loss.why, loss.measured) == (1, "killed by SIGKILL", 1)
    assert loss.missing == pytest.approx(3 / 8)


def test_missing_share_of_a_run_by_duration_is_its_missing_time() -> None:
    load = Load(concurrency=2, duration_s=1000)
    run_result, _ = run(ScriptedPool(READY, [WorkerLost(1, "gone")], [final(0)]), load)
    assert run_result.planned is None
    assert run_result.missing == pytest.approx(0.5, rel=0.05)


def has_started(pool: ScriptedPool) -> bool:
    return any(isinstance(frame, Start) for frame in pool.sent)


def test_stop_keeps_results_that_arrive_afterwards() -> None:
    pool = ScriptedPool(READY, on_stop=[batch(0, 0), final(0), batch(1, 4), final(1)])
    run_result, listener = run(pool, stopping=lambda: has_started(pool))
    assert run_result.interrupted
    assert sum(isinstance(frame, Stop) for frame in pool.sent) == 2
    assert listener.numbers == [0, 4]


def test_worker_that_does_not_stop_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_STOP_TIMEOUT_S", 0.0)
    pool = ScriptedPool(READY, on_stop=[final(0)])
    run_result, _ = run(pool, stopping=lambda: has_started(pool))
    assert 1 in pool.killed
    assert "did not stop" in run_result.losses[-1].why


def test_silent_worker_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_SILENCE_TIMEOUT_S", -1.0)
    pool = ScriptedPool(READY, [final(0)])
    run_result, _ = run(pool)
    assert pool.killed == [1]
    assert "silent" in run_result.losses[0].why


@pytest.mark.parametrize(
    ("event", "error", "message"),
    [
        (Failure(worker=0, message="no such file"), UsageError, "no such file"),
        (Failure(worker=0, message="out of files", usage=False), RunFailed, "out of files"),
        (WorkerLost(1, "exit code 1"), RunFailed, "worker 1 of 2 did not start: exit code 1"),
    ],
)
def test_failure_to_start_is_raised_with_its_reason(
    event: WorkerEvent, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(ScriptedPool([event]))


def test_times_of_another_host_are_converted_and_keep_their_differences() -> None:
    pool = ScriptedPool(READY, [batch(1, 4), final(1), final(0)], ahead_ns=700)
    run_result, listener = run(pool)
    starts = [frame.at_ns for frame in pool.sent if isinstance(frame, Start)]
    assert starts == [run_result.start_ns, run_result.start_ns + 700]
    (converted,) = listener.results
    times = (converted.intended_ns, converted.reads[0].at_ns, converted.ended_ns)
    assert times == (300, 800, 1_300)
    assert converted.started_ns is None
    assert converted.ttft_ns == result(4).ttft_ns


def test_cpu_use_of_a_lost_worker_comes_from_its_last_status() -> None:
    status = Status(
        worker=1,
        at_ns=2**62,
        started=1,
        done=0,
        reported=0,
        late_ns=0,
        send_late_ns=0,
        cpu_ns=2**60,
        received_bytes=0,
        backlog_bytes=0,
    )
    run_result, _ = run(ScriptedPool(READY, [status, WorkerLost(1, "gone"), final(0)]))
    assert run_result.cpu_percent[1] > 0
    assert status.in_flight == 1
