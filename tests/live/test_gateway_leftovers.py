"""What a request leaves behind is freed at once: the collector, which stops every stream while it
looks, looks so seldom in the gateway (`gateway/process/worker.py`) that cycles would pile up."""

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
TWICE = 8
# Requests after which the gateway knows what is usual, and in how many it may hedge one.
KNOWN, PER_HEDGE = 50, 25
CLOSE = "Connection: close\r\n"

# The command as it is, and a thread that tells on demand what only the collector can free: of
# whom, and how often Python has looked by itself.
GATEWAY = """
import gc, sys, threading
from undam.cli import main

def tell():
    for _ in sys.stdin:
        runs = sum(one["collections"] for one in gc.get_stats())
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        found = [type(one) for one in gc.garbage]
        ours = sorted(one.__qualname__ for one in found)
        print("left", len(found), "runs", runs, *ours, flush=True)
        gc.garbage.clear()
        gc.collect()

threading.Thread(target=tell, daemon=True).start()
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


class Watched:
    """A gateway that can be asked."""

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
        assert ready, "the gateway says nothing"
        return self._process.stdout.readline().strip()

    def left(self) -> tuple[int, int, str]:
        """How many objects, after how many of Python's own looks, and what is ours of them."""
        assert self._process.stdin is not None
        self._process.stdin.write("tell\n")
        said = re.fullmatch(r"left (\d+) runs (\d+) ?(.*)", self._line())
        assert said is not None
        return int(said[1]), int(said[2]), said[3]

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=10)


def _leave(port: int) -> None:
    with RawConnection(port, chat_request("endless")) as talk:
        talk.until(b'"one"')


def test_nothing_is_left_for_the_collector(tmp_path: Path) -> None:
    with fake_upstream(stream=_stream, endless=_endless, dying=_dying) as upstream:
        gateway = Watched(upstream.url, log=tmp_path / "log")
        try:
            # What is made once, at the first of its kind, does not count.
            for rounds in (2, ROUNDS):
                _, before, _ = gateway.left()
                for _ in range(rounds):
                    send_raw(gateway.port, chat_request("stream", headers=CLOSE))
                    send_raw(gateway.port, chat_request("dying", headers=CLOSE))
                    send_raw(gateway.port, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
                    _leave(gateway.port)
                found, after, ours = gateway.left()
        finally:
            gateway.stop()
    # The looks between are the test's own: with any of Python's it would not see all.
    assert after - before == 2
    assert found < ROUNDS, ours


def test_nor_of_what_was_asked_twice(tmp_path: Path) -> None:
    seen: set[str | None] = set()

    def again(request: UpstreamRequest) -> bool:
        ident = request.header("x-request-id")
        known = ident in seen
        seen.add(ident)
        return known

    def sick(request: UpstreamRequest) -> None:
        if again(request):
            _stream(request)
        else:
            request.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")

    def stalled(request: UpstreamRequest) -> str | None:
        if again(request):
            _stream(request)
            return None
        request.wait_for_disconnect(2.0)
        return "close"

    handlers = {"stream": _stream, "sick": sick, "stalled": stalled}
    with fake_upstream(**handlers) as one, fake_upstream(**handlers) as other:
        gateway = Watched(one.url, other.url, log=tmp_path / "log")
        try:
            # Nothing is usual yet, so this one is not hedged but dies, and is asked again.
            assert is_complete(send_raw(gateway.port, chat_request("stalled", headers=CLOSE)))
            for _ in range(KNOWN):
                send_raw(gateway.port, chat_request("stream", headers=CLOSE))
            for rounds in (3, TWICE):
                _, before, _ = gateway.left()
                for _ in range(rounds):
                    for _ in range(PER_HEDGE):
                        send_raw(gateway.port, chat_request("stream", headers=CLOSE))
                    assert is_complete(send_raw(gateway.port, chat_request("sick", headers=CLOSE)))
                    assert is_complete(
                        send_raw(gateway.port, chat_request("stalled", headers=CLOSE))
                    )
                found, after, ours = gateway.left()
        finally:
            gateway.stop()
    requests = one.requests + other.requests
    assert len(requests) == 2 + KNOWN + (3 + TWICE) * (PER_HEDGE + 2 + 2)
    # The first one died; that nobody is hedged while much else goes on is no matter here.
    assert sum(request.disconnected_at is not None for request in requests) >= TWICE // 2
    assert after - before == 2
    assert found < TWICE, ours
