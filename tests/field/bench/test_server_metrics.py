"""`--server-metrics` during a run: a simulated queue, and metrics that cannot be read."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.server_metrics import vllm
from support.threaded_server import JSON, head, serving, token, whole
from support.undam_command import run_undam

pytestmark = pytest.mark.live


class EngineServer:
    """Server with a limited number of concurrent requests, which publishes vLLM's metrics.

    Args:
        slots: number of requests at a time; others wait in the queue.
        engine_s: time until the first token of a request that has a slot.
        hop_s: time from the engine to the client.
    """

    def __init__(self, slots: int = 1, engine_s: float = 0.02, hop_s: float = 0.0) -> None:
        self._engine_s, self._hop_s = engine_s, hop_s
        self._lock = threading.Lock()
        self._turn = threading.Semaphore(slots)
        self._waiting = self._running = self._requests = 0
        self._ttft_s = self._queue_s = 0.0

    def __call__(self, conn: socket.socket, request: bytes) -> None:
        line = request.split(b"\r\n")[0]
        if b"/models" in line:
            conn.sendall(whole(b'{"data":[{"id":"m"}]}', headers=JSON))
        elif b"/metrics" in line:
            conn.sendall(whole(self._text().encode(), headers=(("Content-Type", "text/plain"),)))
        else:
            self._answer(conn)

    def _answer(self, conn: socket.socket) -> None:
        came = time.monotonic()
        self._count(waiting=1)
        with self._turn:
            begun = time.monotonic()
            self._count(waiting=-1, running=1)
            time.sleep(self._engine_s)
            with self._lock:
                self._requests += 1
                self._running -= 1
                self._queue_s += begun - came
                self._ttft_s += time.monotonic() - came
        time.sleep(self._hop_s)
        conn.sendall(head() + chunk(token()) + chunk(b"data: [DONE]\n\n") + LAST_CHUNK)

    def _count(self, *, waiting: int = 0, running: int = 0) -> None:
        with self._lock:
            self._waiting += waiting
            self._running += running

    def _text(self) -> str:
        with self._lock:
            count = max(1, self._requests)
            return vllm(
                running=self._running, waiting=self._waiting, requests=self._requests,
                ttft_s=self._ttft_s / count, queue_s=self._queue_s / count,
            )  # fmt: skip


@pytest.mark.parametrize(
    ("late", "server"),
    [
        ("engine", {"slots": 20, "engine_s": 0.15}),
        ("hop", {"slots": 20, "hop_s": 0.15}),
    ],
)
def test_slow_engine_and_slow_hop_are_named(late: str, server: dict[str, Any]) -> None:
    with serving(EngineServer(**server)) as at:
        base = at.url("")
        load = ("-c", "12", "-n", "80", "--server-metrics", base)
        done = run_undam("bench", f"{base}/v1", *load, "--json", "-", timeout_s=60)
    assert done.code in {0, 1}, done.err
    found = done.json["server"]
    parts = found["ttft_parts_ms"]
    assert found["late"] == late, parts
    assert 150 <= parts[late] < 300
    assert all(value < 100 for name, value in parts.items() if name != late)


def test_queue_of_the_server_is_named_and_drawn(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    with serving(EngineServer()) as at:
        base = at.url("")
        done = run_undam(
            "bench", f"{base}/v1", "-c", "12", "-n", "80", "--server-metrics", base,
            "--html", str(page), "--json", "-", timeout_s=60,
        )  # fmt: skip
    assert done.code in {0, 1}, done.err
    server = json.loads(done.out)["server"]
    assert (server["engine"], server["late"]) == ("vllm", "queue")
    assert server["waiting_max"] >= 5
    assert server["samples"] >= 3
    assert server["ttft_parts_ms"]["queue"] > 5 * server["ttft_parts_ms"]["engine"]
    html = page.read_text(encoding="utf-8")
    assert 'id="server"' in html
    assert "mostly queue of the server" in html


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1:1", "cannot be read"),
        ("ftp://x", "expected http://HOST:PORT"),
        ("MODEL/v1/models", "no vLLM, SGLang, TGI or llama.cpp metrics"),
    ],
)
def test_metrics_that_cannot_be_read_end_the_command_with_one_line(url: str, reason: str) -> None:
    with serving(EngineServer()) as at:
        base = at.url("")
        metrics = url.replace("MODEL", base)
        done = run_undam("bench", f"{base}/v1", "-n", "2", "--server-metrics", metrics)
    assert done.code == 2
    assert reason in done.err
    assert done.err.count("\n") == 1
