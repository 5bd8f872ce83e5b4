"""Scheduling of the processes of a load test on this machine."""

from __future__ import annotations

import os

import pytest

from undam.loadtest.coordinator.worker_pool import LocalWorkerPool, _set_scheduling_policy


@pytest.mark.skipif(not hasattr(os, "SCHED_BATCH"), reason="only Linux has this policy")
def test_the_coordinator_does_not_preempt_its_workers() -> None:
    before = os.sched_getscheduler(0)
    assert before != os.SCHED_BATCH
    pool = LocalWorkerPool(1)
    try:
        assert os.sched_getscheduler(0) == os.SCHED_BATCH
        assert os.sched_getscheduler(pool.pid(0)) == before
    finally:
        pool.close()
    assert os.sched_getscheduler(0) == before


def test_system_without_scheduling_functions_keeps_its_policy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(os, "sched_setscheduler", raising=False)
    assert _set_scheduling_policy(3) is None
