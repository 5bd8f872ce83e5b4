"""Schedules of open and closed loops, without a clock."""

from __future__ import annotations

from undam.loadtest.protocol import ClosedLoop, Job, OpenLoop, ScheduledRequest
from undam.loadtest.worker.schedule import REST_NS, DueRequest, make_schedule

OPEN = OpenLoop(plan=(ScheduledRequest(0, 5, 0, True), ScheduledRequest(7, 9, 1)), ahead=3)
CLOSED = ClosedLoop(slots=(0, 10, 20), count=7, first=2, stride=4, warmup=2)


def job(load: OpenLoop | ClosedLoop) -> Job:
    return Job(worker=1, addresses=(), requests=(b"a", b"b", b"c"), api="plain", load=load)


def test_open_loop_is_due_as_planned_regardless_of_responses() -> None:
    schedule = make_schedule(job(OPEN), 1000)
    assert (schedule.due_ns, schedule.unstarted) == (1005, 2)
    assert schedule.take() == DueRequest(0, 1005, 0, True)
    schedule.release(0, 5000, rest=True)
    assert (schedule.due_ns, schedule.unstarted) == (1009, 1)
    assert schedule.take() == DueRequest(7, 1009, 1, False)
    assert (schedule.due_ns, schedule.unstarted) == (None, 0)


def test_slot_of_a_closed_loop_sends_again_when_its_response_has_ended() -> None:
    schedule = make_schedule(job(CLOSED), 1000)
    first, second = schedule.take(), schedule.take()
    assert first == DueRequest(2, 1000, 2, True, 0)
    assert second == DueRequest(6, 1010, 0, True, 1)
    schedule.release(1, 1015, rest=False)
    assert schedule.take() == DueRequest(10, 1015, 1, False, 1), (
        "before the first request of the third slot"
    )
    assert schedule.take() == DueRequest(14, 1020, 2, False, 2)
    schedule.release(0, 1030, rest=True)
    assert (schedule.due_ns, schedule.unstarted) == (1030 + REST_NS, 3)
    schedule.release(1, 1040, rest=False)
    assert [schedule.take().slot for _ in range(2)] == [1, 0]
    schedule.release(1, 1050, rest=False)
    assert schedule.unstarted == 1
    schedule.take()
    schedule.release(1, 1060, rest=False)
    assert (schedule.due_ns, schedule.unstarted) == (None, 0)


def test_closed_loop_starts_no_request_after_its_duration() -> None:
    load = ClosedLoop(slots=(0, 100), duration_ns=90, warmup_ns=50)
    schedule = make_schedule(job(load), 1000)
    assert schedule.take().warmup
    schedule.release(0, 1050, rest=False)
    assert not schedule.take().warmup
    schedule.release(0, 1090, rest=False)
    assert (schedule.due_ns, schedule.unstarted) == (None, 0)


def test_open_loop_with_a_limit_waits_for_a_response_and_keeps_intended_starts() -> None:
    plan = tuple(ScheduledRequest(number, number, 0) for number in range(4))
    schedule = make_schedule(job(OpenLoop(plan=plan, most=2)), 1000)
    assert [schedule.take().number for _ in range(2)] == [0, 1]
    assert (schedule.due_ns, schedule.unstarted) == (None, 2)
    schedule.release(0, 5000, rest=False)
    assert schedule.take() == DueRequest(2, 1002, 0, False)
    schedule.release(0, 6000, rest=False)
    assert schedule.take().intended_ns == 1003
    assert schedule.unstarted == 0
