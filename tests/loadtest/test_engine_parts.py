"""What the engine stands on, without sockets: frames, schedules, and the end of an answer."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.loadtest.analysis.response_analyzer import ApiContext, EndCause
from undam.loadtest.protocol import (
    Batch,
    ClosedLoop,
    Failure,
    FinalReport,
    Frame,
    FrameReader,
    Job,
    OpenLoop,
    Ready,
    ScheduledRequest,
    Start,
    Status,
    Stop,
    Tls,
    encode,
)
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.schedule import REST_NS, DueRequest, make_schedule
from undam.record.request_result import ContentRead, Outcome, RequestResult

OPEN = OpenLoop(plan=(ScheduledRequest(0, 5, 0, True), ScheduledRequest(7, 9, 1)), ahead=3)
CLOSED = ClosedLoop(slots=(0, 10, 20), count=7, first=2, stride=4, warmup=2)


def job(load: OpenLoop | ClosedLoop, requests: int = 3) -> Job:
    return Job(
        worker=1,
        addresses=((socket.AF_INET6, ("::1", 80, 0, 0)),),
        requests=(b"a", b"bc", b"\xff")[:requests],
        api="openai-chat",
        load=load,
        tls=Tls(server_name="x", insecure=True),
        content_path="a.0",
    )


MEASURED = RequestResult(
    number=3, worker=1, intended_ns=1, ended_ns=9, outcome=Outcome.ERROR, kind="status-429",
    message="é", reads=(ContentRead(1795342774442236017, 0, 2, 1), ContentRead(2, 3, 4, 5)),
    tokens=4, stamped=False, retry_after_s=1.5, status=429, head_ns=4, warmup=True,
)  # fmt: skip
FRAMES: tuple[Frame, ...] = (
    job(OPEN), job(CLOSED), Start(at_ns=5), Stop(), Ready(worker=1, at_ns=2),
    Batch(worker=1, measured=(MEASURED, MEASURED)), Batch(worker=2, measured=()),
    Status(worker=1, at_ns=2, started=3, done=1, reported=0, late_ns=4, send_late_ns=5, cpu_ns=6,
           received_bytes=7, backlog_bytes=8),
    FinalReport(worker=1, started_ns=2, ended_ns=3, started=4, unstarted=5, stopped=True,
                connections=6, resent=7, cpu_ns=8, step_ns=-9, judged_busy=10, sleep_ns=11,
                received_bytes=12),
    Failure(worker=1, message="x", usage=False),
)  # fmt: skip


@given(st.lists(st.integers(0, 3000), max_size=30))
def test_frames_come_as_they_went_however_they_are_cut(cuts: list[int]) -> None:
    data = b"".join(map(encode, FRAMES))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = FrameReader()
    found = [frame for a, b in pairwise(edges) for frame in reader.receive_data(data[a:b])]
    assert tuple(found) == FRAMES
    assert not reader.pending_bytes


def test_an_open_loop_is_due_as_planned_whatever_became_of_others() -> None:
    schedule = make_schedule(job(OPEN), 1000)
    assert (schedule.due_ns, schedule.unstarted) == (1005, 2)
    assert schedule.take() == DueRequest(0, 1005, 0, True)
    schedule.over(0, 5000, rest=True)
    assert (schedule.due_ns, schedule.unstarted) == (1009, 1)
    assert schedule.take() == DueRequest(7, 1009, 1, False)
    assert (schedule.due_ns, schedule.unstarted) == (None, 0)


def test_a_slot_of_a_closed_loop_sends_again_when_its_answer_is_over() -> None:
    schedule = make_schedule(job(CLOSED), 1000)
    first, second = schedule.take(), schedule.take()
    assert first == DueRequest(2, 1000, 2, True, 0)
    assert second == DueRequest(6, 1010, 0, True, 1)
    schedule.over(1, 1015, rest=False)
    assert schedule.take() == DueRequest(10, 1015, 1, False, 1), "before the third slot's first"
    assert schedule.take() == DueRequest(14, 1020, 2, False, 2)
    schedule.over(0, 1030, rest=True)
    assert (schedule.due_ns, schedule.unstarted) == (1030 + REST_NS, 3)
    schedule.over(1, 1040, rest=False)
    assert [schedule.take().slot for _ in range(2)] == [1, 0]
    schedule.over(1, 1050, rest=False)
    assert schedule.unstarted == 1
    schedule.take()
    schedule.over(1, 1060, rest=False)
    assert (schedule.due_ns, schedule.unstarted) == (None, 0)


def test_none_is_started_when_the_time_is_over() -> None:
    load = ClosedLoop(slots=(0, 100), duration_ns=90, warmup_ns=50)
    schedule = make_schedule(job(load), 1000)
    assert schedule.take().warmup
    schedule.over(0, 1050, rest=False)
    assert not schedule.take().warmup
    schedule.over(0, 1090, rest=False)
    assert (schedule.due_ns, schedule.unstarted) == (None, 0)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
BODY = b"4\r\nab\r\n\r\n4\r\n\n\r\n\r\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "keep"),
    [
        (CHUNKED + BODY, True),
        (CHUNKED + BODY[:-2] + b"Trailer: x\r\n\r\n", True),
        (HEAD + b"Content-Length: 9\r\n\r\n123456789", True),
        (HEAD + b"Connection: close\r\nContent-Length: 9\r\n\r\n123456789", False),
        (b"HTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED + BODY, True),
    ],
)
def test_the_end_is_found_with_its_last_byte_however_it_comes(data: bytes, keep: bool) -> None:
    for cut in range(1, len(data)):
        active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
        assert not active.receive((1, 0, 0, data[:cut]))
        if cut % 3 == 0:
            # Judged in between; that takes its reads.
            active.analyze(ApiContext("openai-chat"), 5)
        assert active.receive((2, 0, 0, data[cut:])), cut
        assert active.complete
        assert active.keep is keep
        assert active.fault is None


def test_an_end_told_by_closing_is_never_found() -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    assert not active.receive((1, 0, 0, HEAD + b"\r\n" + BODY))
    assert not active.receive((1, 0, 0, BODY))


def test_a_connection_with_more_on_it_than_the_answer_is_not_kept() -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    assert active.receive((1, 0, 0, CHUNKED + BODY + CHUNKED + BODY))
    assert active.complete
    assert not active.keep


@pytest.mark.parametrize(
    ("reads", "kind"),
    [
        ([b"SSH-2.0\r\n"], "bad-http"),
        ([CHUNKED, b"zz\r\n\r\n"], "bad-http"),
        ([b"HTTP/1.1 101 Switch\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"], "bad-http"),
        ([b"HTTP/1.1 200 OK\r\n", *[b"X: " + b"y" * 30_000 + b"\r\n"] * 3], "too-large"),
        ([CHUNKED + b"7fffffff\r\n", *[b"y" * (1 << 20)] * 64], "too-large"),
        ([HEAD + b"\r\n", *[b"y" * (1 << 20)] * 64], "too-large"),
    ],
)
def test_what_need_not_be_read_to_its_end(reads: list[bytes], kind: str) -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    assert [active.receive((1, 0, 0, data)) for data in reads].index(True) == len(reads) - 1
    assert active.fault is not None
    assert active.fault[0] == kind


def test_an_exchange_that_never_began_is_measured_too() -> None:
    active = ActiveRequest(DueRequest(5, 77, 0, True), b"", 0)
    active.end(3, 99, EndCause.FAULT, ("refused", "connection refused"))
    one = active.measured(ApiContext("openai-chat"))
    assert (one.number, one.worker, one.intended_ns, one.ended_ns) == (5, 3, 77, 99)
    assert (one.outcome, one.kind, one.started_ns) == (Outcome.ERROR, "refused", None)


_PIECES = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([
        HEAD, b"\r\n", CHUNKED, BODY, b"0\r\n\r\n", b"5\r\n", b"data: {\n\n", b"data: [DONE]\n\n",
        b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 429 Slow\r\n", b"Retry-After: 99999999999\r\n",
        b"Content-Encoding: gzip\r\n", b"Content-Length: 10\r\n", b"Transfer-Encoding: gzip\r\n",
        b"Retry-After: Mon, 99 Foo\r\n", b"Content-Type: application/x-ndjson\r\n", b'{"a": 1}\n',
    ]),
)  # fmt: skip


@given(st.lists(_PIECES, max_size=8), st.sampled_from(EndCause), st.booleans())
def test_whatever_a_server_sends_is_measured(
    pieces: list[bytes], how: EndCause, whole: bool
) -> None:
    active = ActiveRequest(DueRequest(0, 0, 0, False), b"", 0)
    for data in [b"".join(pieces)] if whole else pieces:
        if data and active.receive((1, 0, 0, data)):
            break
    fault = active.fault or ("reset", "connection reset")
    active.end(0, 9, how, fault if how is EndCause.FAULT else ("", ""))
    context = ApiContext("plain", "a.0")
    while not active.analyze(context, 2):
        pass
    one = active.measured(context)
    assert bool(one.kind) == (one.outcome in {Outcome.ERROR, Outcome.INCOMPLETE})
    assert all(read.events > 0 for read in one.reads)
    assert one.message.isprintable()
