"""A worker process against real sockets: what it sends, what it counts, and how it stops."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from support.chunked import LAST_CHUNK, chunk
from support.live import Simulator
from support.threaded_server import TIMEOUT_S, head, reset, serving, token
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
from undam.record.request_result import Outcome, RequestResult

DONE = chunk(b"data: [DONE]\n\n")


class Work:
    """A worker process and what it said."""

    def __init__(self, job: Job) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "undam.loadtest"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self.frames: list[Frame] = []
        self._reader = FrameReader()
        self.send(job)

    def send(self, frame: Frame) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(encode(frame))

    def receive(self, until: Callable[[Frame], bool] = lambda _: False) -> None:
        """Take frames until one fits, or the worker has ended."""
        assert self.process.stdout is not None
        while data := os.read(self.process.stdout.fileno(), 1 << 16):
            frames = self._reader.receive_data(data)
            self.frames += frames
            if any(map(until, frames)):
                return

    def end(self) -> int:
        """Hear all that is left; the exit code."""
        with self.process as process:
            self.receive()
            return process.wait(TIMEOUT_S)

    @property
    def measured(self) -> list[RequestResult]:
        every = [one for f in self.frames if isinstance(f, Batch) for one in f.measured]
        return sorted(every, key=lambda one: one.number)

    @property
    def final(self) -> FinalReport:
        last = self.frames[-1]
        assert isinstance(last, FinalReport)
        return last


def request(path: str = "/v1/chat/completions") -> bytes:
    body = b'{"model": "m", "messages": [], "stream": true}'
    lines = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer hidden-key-123\r\n"
    return f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def job(port: int, load: ClosedLoop | OpenLoop, *paths: str, **more: object) -> Job:
    return Job(
        worker=4,
        addresses=((socket.AF_INET, ("127.0.0.1", port)),),
        requests=tuple(map(request, paths or ("/v1/chat/completions",))),
        api="openai-chat",
        load=load,
        **{"timeout_s": TIMEOUT_S, "start_ns": time.time_ns(), **more},  # type: ignore[arg-type]
    )


def done(job: Job) -> Work:
    work = Work(job)
    assert work.end() == 0
    return work


def whole(*texts: str) -> bytes:
    return head() + b"".join(chunk(token(text)) for text in texts) + DONE + LAST_CHUNK


def test_every_failure_is_counted_by_its_kind() -> None:
    answers = {
        "/good": whole("a", "b"),
        "/status": b"HTTP/1.1 429 Slow\r\nRetry-After: 3\r\nContent-Length: 14\r\n\r\n"
        b"hidden-key-123",
        "/json": b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        b"Content-Length: 2\r\n\r\n{}",
        "/closed": b"",
        "/cut": head() + chunk(token("a")),
        "/half": head() + chunk(token("a")) + chunk(b"data: {") + LAST_CHUNK,
        "/silent-end": head() + chunk(token("a")) + LAST_CHUNK,
        "/malformed": head() + chunk(b"data: {no\n\n") + DONE + LAST_CHUNK,
        "/error": head() + chunk(b'data: {"error": "no GPU"}\n\n') + DONE + LAST_CHUNK,
        "/bad-chunk": head() + chunk(token("a")) + b"zz\r\n\r\n",
        "/no-http": b"hello\r\n\r\n",
        "/long-head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000,
    }
    expected = {
        "/good": "", "/status": "status-429", "/json": "not-a-stream", "/closed": "closed",
        "/cut": "truncated", "/half": "half-event", "/silent-end": "no-end",
        "/malformed": "malformed", "/error": "error-event", "/bad-chunk": "bad-http",
        "/no-http": "bad-http", "/long-head": "too-large", "/reset": "reset",
        "/late-reset": "reset", "/timeout": "timeout", "/late-timeout": "timeout",
    }  # fmt: skip

    def script(conn: socket.socket, said: bytes) -> None:
        path = said.split()[1].decode()
        if path.startswith("/late"):
            conn.sendall(head() + chunk(token("a")))
        if path.endswith("timeout") or path == "/late-reset":
            conn.settimeout(0.2 if path == "/late-reset" else 5)
            with contextlib.suppress(OSError):
                conn.recv(1)
        if path.endswith("reset"):
            reset(conn)
        else:
            conn.sendall(answers.get(path, b""))

    paths = tuple(expected)
    plan = tuple(ScheduledRequest(index, 0, index) for index in range(len(paths)))
    with serving(script) as server:
        work = done(job(server.port, OpenLoop(plan=plan), *paths, keep_alive=False, timeout_s=1.0))
    found = dict(zip(paths, work.measured, strict=True))
    assert {path: one.kind for path, one in found.items()} == expected
    began = {path for path, one in found.items() if one.outcome is Outcome.INCOMPLETE}
    assert began == {
        "/cut", "/half", "/silent-end", "/bad-chunk", "/late-reset", "/late-timeout"
    }  # fmt: skip
    assert found["/good"].outcome is Outcome.COMPLETE
    assert found["/good"].events == 2
    assert found["/status"].retry_after_s == 3
    assert "hidden-key" not in "".join(one.message for one in work.measured)
    assert work.final.connections == len(paths)
    assert work.final.resent == 0


def test_nobody_listens_there_or_only_at_another_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    work = done(job(port, ClosedLoop(slots=(0, 0), count=3)))
    assert [one.kind for one in work.measured] == ["refused"] * 3
    # A slot rests after a request that nobody took.
    assert work.measured[2].intended_ns - work.measured[0].ended_ns >= 50_000_000
    with serving(lambda conn, _: conn.sendall(whole("a"))) as server:
        asked = job(server.port, ClosedLoop(slots=(0, 0), count=3))
        nowhere = (socket.AF_INET, ("127.0.0.1", port))
        work = done(replace(asked, addresses=(nowhere, *asked.addresses)))
    assert [one.outcome for one in work.measured] == [Outcome.COMPLETE] * 3


def test_a_kept_connection_that_was_closed_is_replaced_once_and_counted() -> None:
    def script(conn: socket.socket, said: bytes) -> None:
        conn.sendall(whole("a"))
        if b"/swallow" in said:
            conn.recv(65536)  # and no word about it

    with serving(script) as server:
        work = done(job(server.port, ClosedLoop(slots=(0,), count=4), "/swallow"))
    assert [one.outcome for one in work.measured] == [Outcome.COMPLETE] * 4
    assert work.final.resent == 3
    assert work.final.connections == 4
    assert len(server.requests) == 4


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_stop_abandons_what_is_in_flight_and_reports_it(how: str) -> None:
    def script(conn: socket.socket, said: bytes) -> None:
        conn.sendall(head() + chunk(token("a")))
        conn.recv(1)

    with serving(script) as server:
        work = Work(job(server.port, ClosedLoop(slots=(0, 0, 0), count=50, warmup=1)))

        def flowing(frame: Frame) -> bool:
            return getattr(frame, "started", 0) == 3 and getattr(frame, "received_bytes", 0) > 300

        work.receive(flowing)
        stopped_ns = time.time_ns()
        if how == "stop":
            work.send(Stop())
        elif work.process.stdin is not None:
            work.process.stdin.close()
        assert work.end() == 0
    assert [one.outcome for one in work.measured] == [Outcome.ABANDONED] * 3
    assert [one.events for one in work.measured] == [1, 1, 1]
    assert Counter(one.warmup for one in work.measured) == {True: 1, False: 2}
    assert all(0 <= one.ended_ns - stopped_ns < 5e9 for one in work.measured)
    assert work.final.stopped
    assert work.final.unstarted == 47


def test_tls_is_spoken_and_its_failure_named(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    cacert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cacert))
    slots = ClosedLoop(slots=(0, 0), count=4)
    with serving(lambda conn, _: conn.sendall(whole("a", "b")), context) as server:
        good = done(job(server.port, slots, tls=Tls(server_name="127.0.0.1", cacert=str(cacert))))
        bad = done(job(server.port, slots, tls=Tls(server_name="127.0.0.1")))
    assert [one.events for one in good.measured] == [2] * 4
    assert all(one.outcome is Outcome.COMPLETE for one in good.measured)
    assert [one.kind for one in bad.measured] == ["tls"] * 4
    assert "certificate" in bad.measured[0].message
    work = Work(job(1, slots, tls=Tls(server_name="x", cacert=str(tmp_path / "none"))))
    assert work.end() == 2
    assert isinstance(work.frames[-1], Failure)
    assert "--cacert" in work.frames[-1].message


@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_figures_are_the_simulators(simulator: Callable[..., Simulator], framing: str) -> None:
    origin = simulator("--ttft", "60", "--gap", "10", "--tokens", "20", "--framing", framing)
    port = int(origin.url.rpartition(":")[2].partition("/")[0])
    plan = tuple(
        ScheduledRequest(5 * index, index * 20_000_000, 0, index < 2) for index in range(8)
    )
    # So small a backlog has to be judged while answers come in; that must not change them.
    work = Work(job(port, OpenLoop(plan=plan, ahead=3), backlog_bytes=1, start_ns=None))
    work.receive(lambda frame: isinstance(frame, Ready))
    start_ns = time.time_ns() + 50_000_000
    work.send(Start(at_ns=start_ns))
    assert work.end() == 0
    every = work.measured
    assert [one.number for one in every] == [5 * index for index in range(8)]
    assert [one.intended_ns - start_ns for one in every] == [
        index * 20_000_000 for index in range(8)
    ]
    assert [one.warmup for one in every] == [True] * 2 + [False] * 6
    assert all(one.outcome is Outcome.COMPLETE and one.events == 20 for one in every)
    assert all(one.stamped for one in every)
    assert all((one.ttft_ns or 0) >= 60_000_000 for one in every)
    statuses = [frame for frame in work.frames if isinstance(frame, Status)]
    assert any(status.in_flight for status in statuses)
    assert all(status.backlog_bytes <= 1 for status in statuses)
    left = {
        (line["id"], line["seq"]): line["left_ns"]
        for line in origin.truth() if line["kind"] == "event"
    }  # fmt: skip
    # An arrival is never before the event left; most come before the next one leaves.
    firsts = sorted(at for (_, seq), at in left.items() if seq == 1)
    came = sorted(one.reads[0].at_ns for one in every)
    assert all(a <= b for a, b in zip(firsts, came, strict=True))
