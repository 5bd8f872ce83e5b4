"""The coordinator with a scripted crew: nothing that was heard is lost, and what is missing is
said."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from undam.errors import UsageError
from undam.loadtest.coordinator import run as run_module
from undam.loadtest.coordinator.run import NotRun, Ran, Watcher, run_load
from undam.loadtest.coordinator.split import Order, jobs_of
from undam.loadtest.coordinator.worker_pool import Account, Heard, Lost, Node
from undam.loadtest.protocol import (
    Batch,
    Failure,
    Final,
    FrameReader,
    Job,
    Ready,
    Start,
    Status,
    Stop,
)
from undam.loadtest.setup.plan import Load
from undam.record import ContentRead, Outcome, RequestResult


class Told(Watcher):
    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.all: list[RequestResult] = []

    def measured(self, batch: Sequence[RequestResult]) -> None:
        self.all += batch
        self.numbers += [one.number for one in batch]


class Scripted:
    """A crew that says these, a list for each time it is asked."""

    notice_ns = 1_000_000
    nodes: tuple[Node, ...] = ()

    def __init__(
        self, *script: list[Heard], on_stop: Sequence[Heard] = (), ahead_ns: int = 0
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

    def tell(self, worker: int, data: bytes) -> None:
        frame = FrameReader().receive_data(data)[0]
        self.told.append(frame)
        if isinstance(frame, Stop) and worker == 0:
            self._script = [self._on_stop]

    def hear(self, timeout_s: float) -> list[Heard]:
        return self._script.pop(0) if self._script else []

    def account(self, worker: int) -> Account | None:
        self._asked += 1
        waited = 500 * self._asked if worker else 0
        return Account(1_000, waited * 1_000_000, self._asked)

    def dismiss(self, worker: int) -> None:
        self.dismissed.append(worker)

    def close(self) -> None:
        raise AssertionError("the crew is its owner's to close")


ORDER = Order(addresses=(), requests=(b"x",), api="plain", timeout_s=1)
READY: list[Heard] = [Ready(worker=0, at_ns=0), Ready(worker=1, at_ns=0)]


def jobs(load: Load | None = None) -> tuple[Job, ...]:
    return jobs_of(load or Load(concurrency=2, requests=8), 2, ORDER)


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


def final(worker: int) -> Final:
    return Final(
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
    crew: Scripted, load: Load | None = None, stopping: Callable[[], bool] = lambda: False
) -> tuple[Ran, Told]:
    told = Told()
    return run_load(crew, jobs(load), told, stopping=stopping), told


def test_all_begin_together_and_all_is_heard() -> None:
    crew = Scripted(READY, [batch(1, 4, 5)], [batch(0, 0), final(0)], [batch(1, 6), final(1)])
    ran, told = run(crew)
    starts = [frame for frame in crew.told if isinstance(frame, Start)]
    assert [frame.at_ns for frame in starts] == [ran.start_ns] * 2
    assert told.numbers == [4, 5, 0, 6]
    assert not ran.losses
    assert (ran.missing, ran.planned, ran.interrupted) == (0, 8, False)
    assert list(ran.cpu_percent) == [50, 50]
    assert ran.waited_percent == 100, "of what it wanted since the first account"


def test_a_lost_worker_keeps_what_it_measured_and_its_share_is_named() -> None:
    gone = Lost(1, "killed by SIGKILL")
    ran, told = run(Scripted(READY, [batch(1, 4)], [gone], [batch(0, 0, 1, 2, 3), final(0)]))
    assert told.numbers == [4, 0, 1, 2, 3]
    (loss,) = ran.losses
    assert (loss.worker, loss.why, loss.measured) == (1, "killed by SIGKILL", 1)
    assert loss.missing == pytest.approx(3 / 8)


def test_of_a_run_by_duration_the_time_is_missing() -> None:
    load = Load(concurrency=2, duration_s=1000)
    ran, _ = run(Scripted(READY, [Lost(1, "gone")], [final(0)]), load)
    assert ran.planned is None
    assert ran.missing == pytest.approx(0.5, rel=0.05)


def test_a_stop_gathers_what_there_is() -> None:
    crew = Scripted(READY, on_stop=[batch(0, 0), final(0), batch(1, 4), final(1)])
    ran, told = run(crew, stopping=lambda: any(isinstance(one, Start) for one in crew.told))
    assert ran.interrupted
    assert sum(isinstance(frame, Stop) for frame in crew.told) == 2
    assert told.numbers == [0, 4]


def test_one_that_does_not_stop_is_dismissed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_STOP_S", 0.0)
    crew = Scripted(READY, on_stop=[final(0)])
    ran, _ = run(crew, stopping=lambda: any(isinstance(one, Start) for one in crew.told))
    assert 1 in crew.dismissed
    assert "did not stop" in ran.losses[-1].why


def test_one_that_is_silent_is_dismissed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "_SILENT_S", -1.0)
    crew = Scripted(READY, [final(0)])
    ran, _ = run(crew)
    assert crew.dismissed == [1]
    assert "silent" in ran.losses[0].why


@pytest.mark.parametrize(
    ("said", "fault", "words"),
    [
        (Failure(worker=0, message="no such file"), UsageError, "no such file"),
        (Failure(worker=0, message="out of files", usage=False), NotRun, "out of files"),
        (Lost(1, "exit code 1"), NotRun, "worker 1 of 2 did not start: exit code 1"),
    ],
)
def test_what_cannot_begin_says_why(said: Heard, fault: type[Exception], words: str) -> None:
    with pytest.raises(fault, match=words):
        run(Scripted([said]))


def test_another_hosts_times_are_told_on_our_clock_and_keep_their_differences() -> None:
    crew = Scripted(READY, [batch(1, 4), final(1), final(0)], ahead_ns=700)
    ran, told = run(crew)
    starts = [frame.at_ns for frame in crew.told if isinstance(frame, Start)]
    assert starts == [ran.start_ns, ran.start_ns + 700]
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
    ran, _ = run(Scripted(READY, [status, Lost(1, "gone"), final(0)]))
    assert ran.cpu_percent[1] > 0
    assert status.in_flight == 1
