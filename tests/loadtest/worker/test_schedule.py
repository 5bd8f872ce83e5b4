"""Schedules for open and closed loops, tested without a clock."""

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


def test_slot_sends_the_turns_of_a_conversation_in_order() -> None:
    load = ClosedLoop(slots=(0, 0), count=8, first=10, sessions=((0, 2), (2, 1)))
    schedule = make_schedule(job(load), 1000)
    first, second = schedule.take(), schedule.take()
    assert first == DueRequest(10, 1000, 0, False, 0, session=0, turn=0)
    assert second == DueRequest(11, 1000, 2, False, 1, session=1, turn=0)
    found = []
    for slot in (1, 0, 0, 1):
        schedule.release(slot, 2000, rest=False)
        due = schedule.take()
        found.append((due.slot, due.request, due.session, due.turn))
    # The second slot starts the first conversation again, as a new one.
    assert found == [(1, 0, 2, 0), (0, 1, 0, 1), (0, 2, 3, 0), (1, 1, 2, 1)]


def test_slot_pauses_after_each_response() -> None:
    load = ClosedLoop(slots=(0, 5), count=4, pauses_ns=(100, 0, 2 * REST_NS))
    schedule = make_schedule(job(load), 1000)
    assert [schedule.take().slot for _ in range(2)] == [0, 1]
    schedule.release(0, 2000, rest=False)
    schedule.release(1, 2050, rest=False)
    assert [(schedule.due_ns, schedule.take().slot) for _ in range(2)] == [(2050, 1), (2100, 0)]
    schedule.release(0, 3000, rest=True)
    assert schedule.due_ns is None
    assert schedule.unstarted == 0
    longer = make_schedule(job(ClosedLoop(slots=(0,), count=4, pauses_ns=(5, 2 * REST_NS))), 0)
    dues = []
    for _ in range(2):
        longer.take()
        longer.release(0, 1000, rest=True)
        dues.append(longer.due_ns)
    # The pause after a refused request has a lower bound.
    assert dues == [1000 + REST_NS, 1000 + 2 * REST_NS]
