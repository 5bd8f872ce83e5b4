"""Does the simulator keep its schedule? 500 streams of 50 events/s from one core.

The simulator runs on one core, a reader that only takes bytes on another. The truth file tells
when each event was due and when it left. Where there is one core only, both share it. What
other programs take of that core shows as lateness, too, so the time in which the simulator
wanted to run and could not is told beside it.
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
from undam.timing import quantile

STREAMS = 500
GAP_MS = 20
TOKENS = 300
_LIMIT_S = 60


def run() -> list[str]:
    """Play the load twice: streams that started at any time, and all at the same moment.

    In the second case 500 events are due at once every 20 ms, so the lateness of the last is
    the time that 500 sends take.
    """
    return [
        _line("spread starts", _play(spread_s=1.0)),
        _line("one common start", _play(spread_s=0.0)),
    ]


@dataclass(frozen=True, slots=True)
class _Played:
    late_ms: list[float]
    seconds: float
    cpu_s: float
    denied_s: float
    stolen_s: float


def _line(name: str, played: _Played) -> str:
    late_ms, seconds = played.late_ms, played.seconds
    p50, p99 = quantile(late_ms, 0.5), quantile(late_ms, 0.99)
    return (
        f"{STREAMS} streams x {1000 // GAP_MS}/s, {name}: left - due p50 {p50:.2f} "
        f"p99 {p99:.2f} max {late_ms[-1]:.2f} ms; {len(late_ms) / seconds:.0f} events/s; "
        f"core used {played.cpu_s / seconds:.0%}, taken by others while it was wanted "
        f"{played.denied_s / seconds:.1%}, by the hypervisor {played.stolen_s:.2f} s"
    )


def _play(*, spread_s: float) -> _Played:
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
                before = machine.on_cpu_and_waiting_s(process.pid)
                stolen_s = machine.stolen_s(cores[0])
                try:
                    _read_all((url.hostname or "", url.port or 0), spread_s)
                finally:
                    os.sched_setaffinity(0, cores)
                after = machine.on_cpu_and_waiting_s(process.pid)
                stolen_s = machine.stolen_s(cores[0]) - stolen_s
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=30)
        late_ms, seconds = _lateness(truth)
        return _Played(late_ms, seconds, after[0] - before[0], after[1] - before[1], stolen_s)


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
