"""Requests to the gateway must not leave reference cycles behind.

The garbage collector pauses every stream, so `gateway/process/worker.py` runs it rarely, and cycles
would accumulate.
"""

from __future__ import annotations

import re
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.chunked import LAST_CHUNK
from support.fake_upstream import (
    DONE,
    STREAM_HEAD,
    RawConnection,
    UpstreamRequest,
    chat_request,
    event,
    fake_upstream,
    is_complete,
    send_raw,
)

pytestmark = pytest.mark.live

ROUNDS = 30
REPEATED = 8
# Requests needed for the TTFT baseline, and requests per hedge in the hedge budget.
BASELINE_REQUESTS, PER_HEDGE = 50, 25
CLOSE = "Connection: close\r\n"

# Runs the gateway command. An extra thread reports on demand which objects only the garbage
# collector can free, and how often the collector has run.
GATEWAY = """
import gc, sys, threading
from undam.cli import main

def report():
    for _ in sys.stdin:
        runs = sum(one["collections"] for one in gc.get_stats())
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        count = [type(one) for one in gc.garbage]
        types = sorted(one.__qualname__ for one in count)
        print("left", len(count), "runs", runs, *types, flush=True)
        gc.garbage.clear()
        gc.collect()

threading.Thread(target=report, daemon=True).start()
sys.argv[0] = "undam"
main()
"""


def _stream(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    request.chunks(event(), *(event(f"token {number}") for number in range(5)), DONE)
    request.send(LAST_CHUNK)


def _endless(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("one"))
    request.wait_for_disconnect()


def _dying(request: UpstreamRequest) -> str:
    request.send(STREAM_HEAD)
    request.chunks(event(), event("one"))
    return "close"


class ObservedGateway:
    """Gateway process that reports which objects are in reference cycles."""

    def __init__(self, *upstreams: str, log: Path) -> None:
        arguments = ["gateway", "--listen", "127.0.0.1:0"]
        arguments += [part for url in upstreams for part in ("--upstream", url)]
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", GATEWAY, *arguments, "--hedge", "auto", "--heartbeat", "15"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True, bufsize=1,
            )  # fmt: skip
        self.port = int(self._line().rpartition(":")[2])

    def _line(self) -> str:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], 30)
        assert ready, "the gateway printed nothing"
        return self._process.stdout.readline().strip()

    def garbage(self) -> tuple[int, int, str]:
        """Return the number of objects in cycles, the number of collections, and the types."""
        assert self._process.stdin is not None
        self._process.stdin.write("report\n")
        match = re.fullmatch(r"left (\d+) runs (\d+) ?(.*)", self._line())
        assert match is not None
        return int(match[1]), int(match[2]), match[3]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=10)


def _disconnect(port: int) -> None:
    with RawConnection(port, chat_request("endless")) as connection:
        connection.until(b'"one"')


def test_requests_leave_no_reference_cycles(tmp_path: Path) -> None:
    with fake_upstream(stream=_stream, endless=_endless, dying=_dying) as upstream:
        gateway = ObservedGateway(upstream.url, log=tmp_path / "log")
        try:
            # The first requests of each kind create objects that are kept, so they are not counted.
            for rounds in (2, ROUNDS):
                _, before, _ = gateway.garbage()
                for _ in range(rounds):
                    send_raw(gateway.port, chat_request("stream", headers=CLOSE))
                    send_raw(gateway.port, chat_request("dying", headers=CLOSE))
                    send_raw(gateway.port, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
                    _disconnect(gateway.port)
                count, after, types = gateway.garbage()
        finally:
            gateway.stop()
    # The two collector runs of this test must be the only ones; others could have freed objects.
    assert after - before == 2
    assert count < ROUNDS, types


def test_retried_and_hedged_requests_leave_no_reference_cycles(tmp_path: Path) -> None:
    request_ids: set[str | None] = set()

    def is_repeated(request: UpstreamRequest) -> bool:
        request_id = request.header("x-request-id")
        repeated = request_id in request_ids
        request_ids.add(request_id)
        return repeated

    def unavailable(request: UpstreamRequest) -> None:
        if is_repeated(request):
            _stream(request)
        else:
            request.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    def stalled(request: UpstreamRequest) -> str | None:
        if is_repeated(request):
            _stream(request)
            return None
        request.wait_for_disconnect(2.0)
        return "close"

    handlers = {"stream": _stream, "unavailable": unavailable, "stalled": stalled}
    with fake_upstream(**handlers) as one, fake_upstream(**handlers) as other:
        gateway = ObservedGateway(one.url, other.url, log=tmp_path / "log")
        try:
            # Without a TTFT baseline, this request is retried after its failure, but not hedged.
            assert is_complete(send_raw(gateway.port, chat_request("stalled", headers=CLOSE)))
            for _ in range(BASELINE_REQUESTS):
                send_raw(gateway.port, chat_request("stream", headers=CLOSE))
            for rounds in (3, REPEATED):
                _, before, _ = gateway.garbage()
                for _ in range(rounds):
                    for _ in range(PER_HEDGE):
                        send_raw(gateway.port, chat_request("stream", headers=CLOSE))
                    assert is_complete(
                        send_raw(gateway.port, chat_request("unavailable", headers=CLOSE))
                    )
                    assert is_complete(
                        send_raw(gateway.port, chat_request("stalled", headers=CLOSE))
                    )
                count, after, types = gateway.garbage()
        finally:
            gateway.stop()
    requests = one.requests + other.requests
    assert len(requests) == 2 + BASELINE_REQUESTS + (3 + REPEATED) * (PER_HEDGE + 2 + 2)
    # On a busy machine, some requests are not hedged; half of them are enough for this test.
    assert sum(request.disconnected_at is not None for request in requests) >= REPEATED // 2
    assert after - before == 2
    assert count < REPEATED, types
