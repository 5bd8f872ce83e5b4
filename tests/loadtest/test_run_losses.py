"""The coordinator with a scripted crew: nothing that was heard is lost, and what is missing is
said."""

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


class Told(ProgressListener):
    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.all: list[RequestResult] = []

    def measured(self, batch: Sequence[RequestResult]) -> None:
        self.all += batch
        self.numbers += [one.number for one in batch]


class Scripted:
    """A crew that says these, a list for each time it is asked."""

    start_lead_ns = 1_000_000
    nodes: tuple[WorkerNode, ...] = ()

    def __init__(
        self, *script: list[WorkerEvent], on_stop: Sequence[WorkerEvent] = (), ahead_ns: int = 0
    ) -> None:
        self.size = 2
        self.told: list[object] = []
        self.dismissed: list[int] = []
        self._asked = 0
        self._ahead_ns = ahead_ns
        self._script = [list(part) for part in script]
        self._on_stop = list(on_stop)

    def offset_ns(self, worker: int) -> int:
        return self._ahead_ns if worker else 0

    def send(self, worker: int, data: bytes) -> None:
        frame = FrameReader().receive_data(data)[0]
        self.told.append(frame)
        if isinstance(frame, Stop) and worker == 0:
            self._script = [self._on_stop]

    def receive(self, timeout_s: float) -> list[WorkerEvent]:
        return self._script.pop(0) if self._script else []

    def sched_stat(self, worker: int) -> SchedStat | None:
        self._asked += 1
        waited = 500 * self._asked if worker else 0
        return SchedStat(1_000, waited * 1_000_000, self._asked)

    def kill(self, worker: int) -> None:
        self.dismissed.append(worker)

    def close(self) -> None:
        raise AssertionError("the crew is its owner's to close")


TEMPLATE = JobTemplate(addresses=(), requests=(b"x",), api="plain", timeout_s=1)
READY: list[WorkerEvent] = [Ready(worker=0, at_ns=0), Ready(worker=1, at_ns=0)]


def jobs(load: Load | None = None) -> tuple[Job, ...]:
    return make_jobs(load or Load(concurrency=2, requests=8), 2, TEMPLATE)


def measured(number: int) -> RequestResult:
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
        judged_busy=0,
        sleep_ns=0,
        received_bytes=0,
    )


def batch(worker: int, *numbers: int) -> Batch:
    return Batch(worker=worker, measured=tuple(measured(number) for number in numbers))


def run(
    pool: Scripted, load: Load | None = None, stopping: Callable[[], bool] = lambda: False
) -> tuple[RunResult, Told]:
    told = Told()
    return run_load(pool, jobs(load), told, stopping=stopping), told


def test_all_begin_together_and_all_is_heard() -> None:
    pool = Scripted(READY, [batch(1, 4, 5)], [batch(0, 0), final(0)], [batch(1, 6), final(1)])
    run_result, told = run(pool)
    starts = [frame for frame in pool.told if isinstance(frame, Start)]
    assert [frame.at_ns for frame in starts] == [run_result.start_ns] * 2
    assert told.numbers == [4, 5, 0, 6]
    assert not run_result.losses
    assert (run_result.missing, run_result.planned, run_result.interrupted) == (0, 8, False)
    assert list(run_result.cpu_percent) == [50, 50]
    assert run_result.waited_percent == 100, "of what it wanted since the first account"


def test_a_lost_worker_keeps_what_it_measured_and_its_share_is_named() -> None:
    gone = WorkerLost(1, "killed by SIGKILL")
    run_result, told = run(Scripted(READY, [batch(1, 4)], [gone], [batch(0, 0, 1, 2, 3), final(0)]))
    assert told.numbers == [4, 0, 1, 2, 3]
    (loss,) = run_result.losses
    assert (loss.worker, loss.why, loss.measured) == (1, "killed by SIGKILL", 1)
    assert loss.missing == pytest.approx(3 / 8)


def test_of_a_run_by_duration_the_time_is_missing() -> None:
    load = Load(concurrency=2, duration_s=1000)
    run_result, _ = run(Scripted(READY, [WorkerLost(1, "gone")], [final(0)]), load)
    assert run_result.planned is None
    assert run_result.missing == pytest.approx(0.5, rel=0.05)


def test_a_stop_gathers_what_there_is() -> None:
    pool = Scripted(READY, on_stop=[batch(0, 0), final(0), batch(1, 4), final(1)])
    run_result, told = run(pool, stopping=lambda: any(isinstance(one, Start) for one in pool.told))
    assert run_result.interrupted
    assert sum(isinstance(frame, Stop) for frame in pool.told) == 2
    assert told.numbers == [0, 4]


def test_one_that_does_not_stop_is_dismissed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_STOP_S", 0.0)
    pool = Scripted(READY, on_stop=[final(0)])
    run_result, _ = run(pool, stopping=lambda: any(isinstance(one, Start) for one in pool.told))
    assert 1 in pool.dismissed
    assert "did not stop" in run_result.losses[-1].why


def test_one_that_is_silent_is_dismissed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_SILENT_S", -1.0)
    pool = Scripted(READY, [final(0)])
    run_result, _ = run(pool)
    assert pool.dismissed == [1]
    assert "silent" in run_result.losses[0].why


@pytest.mark.parametrize(
    ("said", "fault", "words"),
    [
        (Failure(worker=0, message="no such file"), UsageError, "no such file"),
        (Failure(worker=0, message="out of files", usage=False), RunFailed, "out of files"),
        (WorkerLost(1, "exit code 1"), RunFailed, "worker 1 of 2 did not start: exit code 1"),
    ],
)
def test_what_cannot_begin_says_why(said: WorkerEvent, fault: type[Exception], words: str) -> None:
    with pytest.raises(fault, match=words):
        run(Scripted([said]))


def test_another_hosts_times_are_told_on_our_clock_and_keep_their_differences() -> None:
    pool = Scripted(READY, [batch(1, 4), final(1), final(0)], ahead_ns=700)
    run_result, told = run(pool)
    starts = [frame.at_ns for frame in pool.told if isinstance(frame, Start)]
    assert starts == [run_result.start_ns, run_result.start_ns + 700]
    (one,) = told.all
    assert (one.intended_ns, one.reads[0].at_ns, one.ended_ns) == (300, 800, 1_300)
    assert one.started_ns is None
    assert one.ttft_ns == measured(4).ttft_ns


def test_the_last_status_tells_the_processor_time_of_a_lost_one() -> None:
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
    run_result, _ = run(Scripted(READY, [status, WorkerLost(1, "gone"), final(0)]))
    assert run_result.cpu_percent[1] > 0
    assert status.in_flight == 1
