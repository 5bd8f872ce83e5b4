"""JSON frames between the coordinator and the workers in a cluster."""

from __future__ import annotations

import json
import marshal
import pickle
import socket
from typing import Any

import pytest

from support.load_test_model import simulate
from undam.json_values import MAX_INT
from undam.loadtest.cluster_frames import (
    FrameError,
    job_from_json,
    job_json,
    result_from_json,
    result_json,
)
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

STATUS = Status(
    worker=1, at_ns=5, started=3, done=2, reported=1, late_ns=0, send_late_ns=0, cpu_ns=9,
    received_bytes=100, backlog_bytes=0,
)  # fmt: skip
FINAL = FinalReport(
    worker=1, started_ns=1, ended_ns=2, started=3, unstarted=0, stopped=False, connections=1,
    resent=0, cpu_ns=5, step_ns=-7, sleep_ns=0, received_bytes=9,
)  # fmt: skip
FRAMES: tuple[Frame, ...] = (
    Ready(worker=1, at_ns=7),
    Batch(worker=1, measured=tuple(simulate(3))),
    STATUS,
    FINAL,
    Failure(worker=1, message="no \u00e4", usage=False),
)
ADDRESS = (socket.AF_INET6, ("::1", 80, 0, 0))


@pytest.mark.parametrize("frame", FRAMES, ids=lambda frame: type(frame).__name__)
def test_results_round_trip(frame: Frame) -> None:
    data = result_json(frame)
    json.loads(data)
    assert result_from_json(data, 1) == frame


@pytest.mark.parametrize(
    "frame",
    [
        Job(
            worker=0, addresses=(ADDRESS,), requests=(b"GET / \xff\0\r\n\r\n", b"x"), api="plain",
            load=ClosedLoop(slots=(0, 5), duration_ns=7), tls=Tls(server_name="h"), timeout_s=1.5,
        ),
        Job(
            worker=0, addresses=(ADDRESS,), requests=(b"x",), api="plain",
            load=OpenLoop(plan=(ScheduledRequest(0, 5, 0, True), ScheduledRequest(1, 9, 0))),
        ),
        Start(at_ns=5),
        Stop(),
    ],
    ids=lambda frame: type(frame).__name__,
)  # fmt: skip
def test_jobs_round_trip(frame: Frame) -> None:
    data = job_json(encode(frame))
    json.loads(data)
    (read,) = FrameReader().receive_data(job_from_json(data))
    assert read == frame


def changed(frame: Frame, **changes: Any) -> bytes:
    row = {**json.loads(result_json(frame)), **changes}
    return json.dumps({name: value for name, value in row.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"kind": "Job", "worker": 1}',
        pickle.dumps(STATUS.worker), marshal.dumps([1, 2]), "text", None, 7,
        changed(STATUS, worker=2), changed(STATUS, worker=True), changed(STATUS, kind="Start"),
        changed(STATUS, kind=["Status"]), changed(STATUS, late_ns="5"),
        changed(STATUS, late_ns=1.5),
        changed(STATUS, late_ns=MAX_INT + 1), changed(STATUS, late_ns=10**4000),
        changed(STATUS, late_ns=float("nan")), changed(STATUS, late_ns=...),
        changed(FINAL, stopped=0), changed(FRAMES[4], message="\ud800"),
        changed(FRAMES[1], measured=None), changed(FRAMES[1], measured=[{}]),
        changed(FRAMES[1], measured=[[]]), changed(FRAMES[1], measured={"a": 1}),
    ],
)  # fmt: skip
def test_invalid_results_raise_a_frame_error(data: object) -> None:
    with pytest.raises(FrameError):
        result_from_json(data, 1)


def test_results_are_checked_like_lines_of_a_record() -> None:
    (one,) = simulate(1)
    row = json.loads(result_json(Batch(worker=1, measured=(one,))))
    for name, value in (("number", -1), ("tokens", 10**30), ("outcome", "well"), ("reads", [[1]])):
        broken = row | {"measured": [row["measured"][0] | {name: value}]}
        with pytest.raises(FrameError):
            result_from_json(json.dumps(broken).encode(), 1)
