"""Probes over real sockets: results, refused connections, and streams that never end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from support.threaded_server import serving
from undam.monitor.probe_result import ProbeResult
from undam.monitor.scheduler import probe_target
from undam.monitor.settings import MonitorTarget
from undam.probe import CheckOptions, Place
from undam.wire import ClientConfig

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nServer: origin\r\n"


def event(number: int) -> bytes:
    choice = {"index": 0, "delta": {"content": f" {number}"}}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def probe(
    script: Callable[[socket.socket, bytes], None], *, timeout_s: float = 10.0, model: str = "m"
) -> ProbeResult:
    """Return the result of one probe against a server that runs this script."""
    with serving(script) as server:
        options = CheckOptions(
            places=(Place("edge", server.url()),), model=model, experiments=False,
            client=ClientConfig(timeout_s=timeout_s),
        )  # fmt: skip
        return asyncio.run(probe_target(MonitorTarget("chat", options)))


@pytest.mark.parametrize(
    ("lines", "status", "pause_s"),
    [
        (b"429 Too Many Requests\r\nRetry-After: 120\r\n", 429, 120.0),
        (b"429 Too Many Requests\r\n", 429, None),
        (b"401 Unauthorized\r\nRetry-After: soon\r\n", 401, None),
        (b"403 Forbidden\r\n", 403, None),
    ],
)
def test_a_refusal_is_counted_apart_and_names_its_pause(
    lines: bytes, status: int, pause_s: float | None
) -> None:
    def script(conn: socket.socket, _: bytes) -> None:
        conn.sendall(b"HTTP/1.1 " + lines + b"Content-Length: 2\r\n\r\n{}")

    result = probe(script)
    assert (result.status, result.retry_after_s) == (status, pause_s)
    assert result.is_refused
    assert not result.is_conclusive()
    assert result.error is not None


def test_an_unavailable_server_is_a_failure_with_its_pause() -> None:
    def script(conn: socket.socket, _: bytes) -> None:
        conn.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 30\r\nContent-Length: 0\r\n\r\n")

    result = probe(script)
    assert (result.status, result.retry_after_s, result.is_refused) == (503, 30.0, False)
    assert result.is_conclusive()


def test_a_stream_without_an_end_is_read_until_the_time_limit() -> None:
    def script(conn: socket.socket, _: bytes) -> None:
        conn.sendall(HEAD + b"\r\n")
        with contextlib.suppress(OSError):
            for number in range(10_000):
                conn.sendall(event(number))
                time.sleep(0.02)

    start = time.monotonic()
    result = probe(script, timeout_s=1.0)
    assert time.monotonic() - start < 8
    assert result.error is None
    assert 5 < result.events <= 50
    assert len(result.arrivals_ms) == result.events


def test_an_unreachable_target_is_a_failure() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1/chat/completions"
    target = MonitorTarget("chat", CheckOptions(places=(Place("edge", url),), model="m"))
    result = asyncio.run(probe_target(target))
    assert result.error is not None
    assert result.is_conclusive()


def test_an_edge_that_fails_before_a_healthy_model_is_down() -> None:
    def refuse(conn: socket.socket, _: bytes) -> None:
        conn.sendall(b"HTTP/1.1 429 No\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n")

    def stream(conn: socket.socket, _: bytes) -> None:
        conn.sendall(HEAD + b"Connection: close\r\n\r\n: ping\n\n")
        for number in range(20):
            conn.sendall(event(number))
            time.sleep(0.01)
        conn.sendall(b"data: [DONE]\n\n")

    with serving(refuse) as edge, serving(stream) as model:
        places = (Place("edge", edge.url()), Place("model", model.url()))
        options = CheckOptions(places=places, model="m", experiments=False)
        result = asyncio.run(probe_target(MonitorTarget("chat", options)))
        inner = replace(options, places=places[1:])
        healthy = asyncio.run(probe_target(MonitorTarget("chat", inner)))
    assert (result.status, result.retry_after_s, result.is_complete) == (429, 9.0, False)
    assert result.is_refused
    assert [one.name for one in result.hops] == ["edge", "model"]
    assert (healthy.heartbeats, healthy.events, healthy.is_complete) == (1, 20, True)
    assert healthy.hops[0].server == "origin"
    assert healthy.tokens_per_s is not None
