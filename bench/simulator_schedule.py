"""Accuracy of the simulator's schedule with 500 streams of 50 events/s on one core.

The simulator runs on one core, and a reader that discards the data runs on another. On a machine
with a single core, both share it. The ground-truth log has the due time and the send time of each
event. Other programs on the core also cause lateness, so the result includes the time in which the
simulator was runnable but not scheduled.
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
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from bench import machine
from bench.progress import Progress
from undam.timing import quantile

STREAMS = 500
GAP_MS = 20
TOKENS = 300
_LIMIT_S = 60


def run() -> list[str]:
    """Measure with random start times, and with all streams starting at the same time.

    With a common start, 500 events are due at once every 20 ms. The lateness of the last one is
    then the time that 500 sends take.
    """
    progress = Progress(2)
    lines = []
    for name, spread_s in (("random starts", 1.0), ("common start", 0.0)):
        lines.append(_line(name, _measure(spread_s=spread_s)))
        progress.finish_round(name)
    return lines


@dataclass(frozen=True, slots=True)
class _Measurement:
    late_ms: list[float]
    seconds: float
    cpu_s: float
    wait_s: float
    steal_s: float


def _line(name: str, result: _Measurement) -> str:
    late_ms, seconds = result.late_ms, result.seconds
    p50, p99 = quantile(late_ms, 0.5), quantile(late_ms, 0.99)
    return (
        f"{STREAMS} streams x {1000 // GAP_MS}/s, {name}: sent late by p50 {p50:.2f} "
        f"p99 {p99:.2f} max {late_ms[-1]:.2f} ms; {len(late_ms) / seconds:.0f} events/s; "
        f"CPU {result.cpu_s / seconds:.0%}, runnable but not scheduled "
        f"{result.wait_s / seconds:.1%}, CPU steal {result.steal_s:.2f} s"
    )


def _measure(*, spread_s: float) -> _Measurement:
    with tempfile.TemporaryDirectory() as folder:
        truth = Path(folder) / "truth.jsonl"
        args = f"-m undam sim --ttft 500 --gap {GAP_MS} --tokens {TOKENS} --truth {truth}"
        with subprocess.Popen([sys.executable, *args.split()], stdout=subprocess.PIPE) as process:
            try:
                assert process.stdout is not None
                url = urlsplit(process.stdout.readline().decode().split()[-1])
                cores = sorted(os.sched_getaffinity(0))
                os.sched_setaffinity(process.pid, {cores[0]})
                os.sched_setaffinity(0, {cores[-1]})
                before = machine.run_and_wait_s(process.pid)
                steal_s = machine.steal_s(cores[0])
                try:
                    _read_all((url.hostname or "", url.port or 0), spread_s)
                finally:
                    os.sched_setaffinity(0, cores)
                after = machine.run_and_wait_s(process.pid)
                steal_s = machine.steal_s(cores[0]) - steal_s
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
        late_ms, seconds = _lateness(truth)
        return _Measurement(late_ms, seconds, after[0] - before[0], after[1] - before[1], steal_s)


def _read_all(address: tuple[str, int], spread_s: float) -> None:
    """Open all streams and read each one to its end."""
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
        raise RuntimeError(f"only {len(ends)} of {STREAMS} streams are complete")
    left = [line["left_ns"] for line in events]
    late_ms = sorted((line["left_ns"] - line["due_ns"]) / 1e6 for line in events)
    return late_ms, (max(left) - min(left)) / 1e9


if __name__ == "__main__":
    print(*run(), sep="\n")
