"""Load-test worker process with real sockets: requests, failures, connections, and stopping."""

from __future__ import annotations

import contextlib
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from support.chunked import LAST_CHUNK, chunk
from support.live import Simulator
from support.load_worker import WorkerRun, finished
from support.threaded_server import TIMEOUT_S, head, reset, serving, token
from undam.loadtest.protocol import (
    ClosedLoop,
    Failure,
    Frame,
    Job,
    OpenLoop,
    Ready,
    ScheduledRequest,
    Start,
    Status,
    Stop,
    Tls,
)
from undam.record.request_result import Outcome

DONE = chunk(b"data: [DONE]\n\n")


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


def whole(*texts: str) -> bytes:
    return head() + b"".join(chunk(token(text)) for text in texts) + DONE + LAST_CHUNK


def test_each_failure_has_its_kind() -> None:
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

    def script(conn: socket.socket, received: bytes) -> None:
        path = received.split()[1].decode()
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
        worker = finished(
            job(server.port, OpenLoop(plan=plan), *paths, keep_alive=False, timeout_s=1.0)
        )
    found = dict(zip(paths, worker.results, strict=True))
    assert {path: result.kind for path, result in found.items()} == expected
    began = {path for path, result in found.items() if result.outcome is Outcome.INCOMPLETE}
    assert began == {
        "/cut", "/half", "/silent-end", "/bad-chunk", "/late-reset", "/late-timeout"
    }  # fmt: skip
    assert found["/good"].outcome is Outcome.COMPLETE
    assert found["/good"].events == 2
    assert found["/status"].retry_after_s == 3
    assert "hidden-key" not in "".join(result.message for result in worker.results)
    assert worker.final.connections == len(paths)
    assert worker.final.resent == 0


def test_refused_connections_and_fallback_to_the_next_address() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    worker = finished(job(port, ClosedLoop(slots=(0, 0), count=3)))
    assert [result.kind for result in worker.results] == ["refused"] * 3
    # A slot pauses after a request that was refused by the server.
    assert worker.results[2].intended_ns - worker.results[0].ended_ns >= 50_000_000
    with serving(lambda conn, _: conn.sendall(whole("a"))) as server:
        template = job(server.port, ClosedLoop(slots=(0, 0), count=3))
        nowhere = (socket.AF_INET, ("127.0.0.1", port))
        worker = finished(replace(template, addresses=(nowhere, *template.addresses)))
    assert [result.outcome for result in worker.results] == [Outcome.COMPLETE] * 3


def test_request_on_a_closed_kept_connection_is_resent_once() -> None:
    def script(conn: socket.socket, received: bytes) -> None:
        conn.sendall(whole("a"))
        if b"/swallow" in received:
            conn.recv(65536)  # and no response

    with serving(script) as server:
        worker = finished(job(server.port, ClosedLoop(slots=(0,), count=4), "/swallow"))
    assert [result.outcome for result in worker.results] == [Outcome.COMPLETE] * 4
    assert worker.final.resent == 3
    assert worker.final.connections == 4
    assert len(server.requests) == 4


@pytest.mark.parametrize("how", ["stop", "close"])
def test_stop_abandons_and_reports_requests_in_flight(how: str) -> None:
    def script(conn: socket.socket, received: bytes) -> None:
        conn.sendall(head() + chunk(token("a")))
        conn.recv(1)

    with serving(script) as server:
        worker = WorkerRun(job(server.port, ClosedLoop(slots=(0, 0, 0), count=50, warmup=1)))

        def flowing(frame: Frame) -> bool:
            return getattr(frame, "started", 0) == 3 and getattr(frame, "received_bytes", 0) > 300

        worker.receive(flowing)
        stopped_ns = time.time_ns()
        if how == "stop":
            worker.send(Stop())
        elif worker.process.stdin is not None:
            worker.process.stdin.close()
        assert worker.end() == 0
    assert [result.outcome for result in worker.results] == [Outcome.ABANDONED] * 3
    assert [result.events for result in worker.results] == [1, 1, 1]
    assert Counter(result.warmup for result in worker.results) == {True: 1, False: 2}
    assert all(0 <= result.ended_ns - stopped_ns < 5e9 for result in worker.results)
    assert worker.final.stopped
    assert worker.final.unstarted == 47


def test_tls_works_and_its_failure_is_reported(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    cacert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cacert))
    slots = ClosedLoop(slots=(0, 0), count=4)
    with serving(lambda conn, _: conn.sendall(whole("a", "b")), context) as server:
        good = finished(
            job(server.port, slots, tls=Tls(server_name="127.0.0.1", cacert=str(cacert)))
        )
        bad = finished(job(server.port, slots, tls=Tls(server_name="127.0.0.1")))
    assert [result.events for result in good.results] == [2] * 4
    assert all(result.outcome is Outcome.COMPLETE for result in good.results)
    assert [result.kind for result in bad.results] == ["tls"] * 4
    assert "certificate" in bad.results[0].message
    worker = WorkerRun(job(1, slots, tls=Tls(server_name="x", cacert=str(tmp_path / "none"))))
    assert worker.end() == 2
    assert isinstance(worker.frames[-1], Failure)
    assert "--cacert" in worker.frames[-1].message


@pytest.mark.parametrize("framing", ["chunked", "close", "length"])
def test_times_match_those_of_the_simulator(
    simulator: Callable[..., Simulator], framing: str
) -> None:
    origin = simulator("--ttft", "60", "--gap", "10", "--tokens", "20", "--framing", framing)
    port = int(origin.url.rpartition(":")[2].partition("/")[0])
    plan = tuple(
        ScheduledRequest(5 * index, index * 20_000_000, 0, index < 2) for index in range(8)
    )
    # This backlog limit forces analysis during the responses, which must not affect arrival times.
    worker = WorkerRun(job(port, OpenLoop(plan=plan, ahead=3), backlog_bytes=1, start_ns=None))
    worker.receive(lambda frame: isinstance(frame, Ready))
    start_ns = time.time_ns() + 50_000_000
    worker.send(Start(at_ns=start_ns))
    assert worker.end() == 0
    results = worker.results
    assert [result.number for result in results] == [5 * index for index in range(8)]
    assert [result.intended_ns - start_ns for result in results] == [
        index * 20_000_000 for index in range(8)
    ]
    assert [result.warmup for result in results] == [True] * 2 + [False] * 6
    assert all(result.outcome is Outcome.COMPLETE and result.events == 20 for result in results)
    assert all(result.stamped for result in results)
    assert all((result.ttft_ns or 0) >= 60_000_000 for result in results)
    statuses = [frame for frame in worker.frames if isinstance(frame, Status)]
    assert any(status.in_flight for status in statuses)
    assert all(status.backlog_bytes <= 1 for status in statuses)
    left = {
        (line["id"], line["seq"]): line["left_ns"]
        for line in origin.truth() if line["kind"] == "event"
    }  # fmt: skip
    # No event arrives before it was sent, and most events arrive before the next one is sent.
    firsts = sorted(at for (_, seq), at in left.items() if seq == 1)
    arrivals = sorted(result.reads[0].at_ns for result in results)
    assert all(a <= b for a, b in zip(firsts, arrivals, strict=True))
