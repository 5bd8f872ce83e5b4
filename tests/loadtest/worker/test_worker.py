"""Bounds on the work that a worker does between two polls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from undam.loadtest.worker import worker as worker_module
from undam.loadtest.worker.schedule import DueRequest
from undam.loadtest.worker.worker import LoadWorker


class LateSchedule:
    """Schedule of a load generator that is far behind: the next request is always due."""

    due_ns = 0

    def __init__(self) -> None:
        self.taken = 0

    def take(self) -> DueRequest:
        self.taken += 1
        return DueRequest(self.taken, 0, 0, warmup=False)


@pytest.mark.parametrize("due_ns", [0, 1 << 62])
def test_worker_that_is_behind_its_schedule_still_reads(due_ns: int) -> None:
    started: list[Any] = []
    worker = LoadWorker.__new__(LoadWorker)
    schedule: Any = LateSchedule()
    worker._schedule = schedule
    worker._job = SimpleNamespace(requests=[b"request"], marks=(), cancel_ns=())  # type: ignore[assignment]
    worker._engine = SimpleNamespace(  # type: ignore[assignment]
        due_ns=due_ns, start=started.append, make_request=lambda due, *_: due.number
    )
    worker._started = worker._timeout_ns = 0
    most = worker._starts_left = worker_module._MOST_STARTS
    # The engine calls this method for each readable socket.
    for _ in range(100):
        worker._send_due()
    assert len(started) == (most if due_ns == 0 else 0)
    assert most <= 64
