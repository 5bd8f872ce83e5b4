"""Does the simulator keep its schedule? 500 streams of 50 events/s from one core.

The simulator runs on one core, a reader that only takes bytes on another. The truth file tells
when each event was due and when it left. Where there is one core only, both share it; where
it is allowed, both go before the machine's other work, which is not what is measured here.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from undam.timing import quantile

STREAMS = 500
GAP_MS = 20
TOKENS = 300
_LIMIT_S = 60
_FIRST = -20


def run() -> list[str]:
    """Play the load twice: streams that started at any time, and all at the same moment.

    In the second case 500 events are due at once every 20 ms, so the lateness of the last is
    the time that 500 sends take.
    """
    return [
        _line("spread starts", *_play(spread_s=1.0)),
        _line("one common start", *_play(spread_s=0.0)),
    ]


def _line(name: str, late_ms: list[float], seconds: float) -> str:
    p50, p99 = quantile(late_ms, 0.5), quantile(late_ms, 0.99)
    return (
        f"simulator, {STREAMS} streams x {1000 // GAP_MS}/s on one core, {name}: left - due "
        f"p50 {p50:.2f} p99 {p99:.2f} max {late_ms[-1]:.2f} ms, {len(late_ms)} events, "
        f"{len(late_ms) / seconds:.0f} events/s"
    )


def _play(*, spread_s: float) -> tuple[list[float], float]:
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.jsonl"
        args = f"-m undam sim --ttft 500 --gap {GAP_MS} --tokens {TOKENS} --truth {truth}"
        with subprocess.Popen([sys.executable, *args.split()], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                url = urlsplit(process.stdout.readline().decode().split()[-1])
                cores = sorted(os.sched_getaffinity(0))
                with contextlib.suppress(PermissionError):
                    os.setpriority(os.PRIO_PROCESS, process.pid, _FIRST)
                os.sched_setaffinity(process.pid, {cores[0]})
                os.sched_setaffinity(0, {cores[-1]})
                try:
                    _read_all((url.hostname or "", url.port or 0), spread_s)
                finally:
                    os.sched_setaffinity(0, cores)
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
        return _lateness(truth)


def _read_all(address: tuple[str, int], spread_s: float) -> None:
    """Open every stream and read it to its end."""
    request = b"GET /v1/chat/completions HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n"
    socks = {
        sock.fileno(): sock for sock in (socket.create_connection(address) for _ in range(STREAMS))
    }
    rng = random.Random(1)
    starts = sorted((rng.uniform(0, spread_s), fd) for fd in socks)
    begun = time.monotonic()
    with contextlib.ExitStack() as stack, select.epoll() as epoll:
        for fd, sock in socks.items():
            stack.enter_context(sock)
            sock.setblocking(False)
            epoll.register(fd, select.EPOLLIN)
        open_ones = len(socks)
        while open_ones and time.monotonic() - begun < _LIMIT_S:
            while starts and time.monotonic() - begun >= starts[0][0]:
                socks[starts.pop(0)[1]].sendall(request)
            for fd, _ in epoll.poll(0.001 if starts else 1):
                if not socks[fd].recv(1 << 16):
                    epoll.unregister(fd)
                    open_ones -= 1


def _lateness(truth: Path) -> tuple[list[float], float]:
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    events = [line for line in lines if line["kind"] == "event"]
    ends = [line for line in lines if line["kind"] == "end"]
    if len(ends) != STREAMS or any(line["reason"] != "complete" for line in ends):
        raise RuntimeError(f"only {len(ends)} of {STREAMS} streams were read to their end")
    left = [line["left_ns"] for line in events]
    late_ms = sorted((line["left_ns"] - line["due_ns"]) / 1e6 for line in events)
    return late_ms, (max(left) - min(left)) / 1e9


if __name__ == "__main__":
    print(*run(), sep="\n")
