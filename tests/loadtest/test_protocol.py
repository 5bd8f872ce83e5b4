"""Frames between coordinator and worker are decoded correctly for any split of the pipe's data."""

from __future__ import annotations

import socket
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from undam.loadtest.protocol import (
    Batch,
    ClosedLoop,
    Failure,
    FinalReport,
    Frame,
    FrameReader,
    Http2Settings,
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
from undam.record.request_result import ContentRead, IntegrityCounts, Outcome, RequestResult

OPEN = OpenLoop(plan=(ScheduledRequest(0, 5, 0, True), ScheduledRequest(7, 9, 1)), ahead=3)
CLOSED = ClosedLoop(slots=(0, 10, 20), count=7, first=2, stride=4, warmup=2)


def job(load: OpenLoop | ClosedLoop) -> Job:
    return Job(
        worker=1,
        addresses=((socket.AF_INET6, ("::1", 80, 0, 0)),),
        requests=(b"a", b"bc", b"\xff"),
        api="openai-chat",
        load=load,
        tls=Tls(server_name="x", insecure=True),
        http2=Http2Settings(fields=((b":path", b"/"), (b"x", b"\xff")), streams=7),
        content_path="a.0",
    )


RESULT = RequestResult(
    number=3, worker=1, intended_ns=1, ended_ns=9, outcome=Outcome.ERROR, kind="status-429",
    message="é", reads=(ContentRead(1795342774442236017, 0, 2, 1), ContentRead(2, 3, 4, 5)),
    integrity=IntegrityCounts("stamps", 9, lost=1, first=(("lost", "event 2"),)),
    tokens=4, stamped=False, retry_after_s=1.5, status=429, head_ns=4, warmup=True,
)  # fmt: skip
FRAMES: tuple[Frame, ...] = (
    job(OPEN), job(CLOSED), Start(at_ns=5), Stop(), Ready(worker=1, at_ns=2),
    Batch(worker=1, measured=(RESULT, RESULT)), Batch(worker=2, measured=()),
    Status(worker=1, at_ns=2, started=3, done=1, reported=0, late_ns=4, send_late_ns=5, cpu_ns=6,
           received_bytes=7, backlog_bytes=8),
    FinalReport(worker=1, started_ns=2, ended_ns=3, started=4, unstarted=5, stopped=True,
                connections=6, resent=7, cpu_ns=8, step_ns=-9, sleep_ns=11,
                received_bytes=12),
    Failure(worker=1, message="x", usage=False),
)  # fmt: skip


@given(st.lists(st.integers(0, 3000), max_size=30))
def test_frames_are_decoded_unchanged_for_any_split(cuts: list[int]) -> None:
    data = b"".join(map(encode, FRAMES))
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    reader = FrameReader()
    decoded = [frame for a, b in pairwise(edges) for frame in reader.receive_data(data[a:b])]
    assert tuple(decoded) == FRAMES
    assert not reader.pending_bytes
