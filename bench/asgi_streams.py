"""CPU cost and delay of streams served with undam.asgi, Starlette and sse-starlette.

All serve the same events from the same source under uvicorn with uvloop. Each server is a process
of its own on one core; the reader runs on another core. Peers alternate within each round, so that
other load on the machine affects all of them. A ratio is the median over rounds of the ratio within
a round, with quartiles. A round with CPU steal is repeated, up to twice the number of rounds in
total; the result states how many were.
"""

from __future__ import annotations

import contextlib
import gc
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from bench import machine
from bench.asgi_apps import HEARTBEAT_S, PEERS, TOKEN
from bench.progress import Progress
from undam.timing import quantile

ROUNDS = 7
_LATENESS_ROUNDS = 9
_FAIRNESS_ROUNDS = 5
_EVENT_BYTES = len(f"data: {TOKEN}\n\n") + len("c8\r\n\r\n")
_DUE_NS = re.compile(rb"data: (\d{19}) ")
_SO_TIMESTAMPNS = 35
_READ_BYTES = 1 << 18


def run() -> list[str]:
    """Run all comparisons; return one line per comparison, with each ratio and the goal."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    gc.disable()
    try:
        return [
            *_compare("CPU per token, 100 streams", "us", _cpu_per_token, ROUNDS,
                      bounds={"starlette": 1.1, "sse-starlette": 0.5}),
            *_compare("memory per idle stream, 1000 streams", "KB", _memory, 1,
                      bounds={"bare ASGI": 1.4, "sse-starlette": 0.5}),
            *_compare("CPU of 2000 heartbeats/s", "%", _heartbeats, 3,
                      bounds={"sse-starlette": 0.65}),
            *_compare("due to arrival p99, 1000 streams x 20/s", "ms", _lateness(1000, 20),
                      _LATENESS_ROUNDS, bounds={"starlette": 1.0, "sse-starlette": 1.0}),
            *_compare("due to arrival p99, 100 streams x 50/s", "ms", _lateness(100, 50),
                      _LATENESS_ROUNDS, bounds={"starlette": 1.0, "sse-starlette": 1.0}),
            _fairness(),
        ]  # fmt: skip
    finally:
        gc.enable()
        os.sched_setaffinity(0, cores)


@dataclass
class _Server:
    process: subprocess.Popen[bytes]
    port: int

    def cpu_ns(self) -> int:
        """Return the CPU time that all threads of the server have used so far."""
        tasks = Path(f"/proc/{self.process.pid}/task").iterdir()
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)

    def resident_kb(self) -> int:
        """Return the server's resident set size."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


@dataclass
class _Readers:
    """Client that reads many streams in one loop, with kernel timestamps."""

    server: _Server
    paths: list[str]
    sockets: dict[int, socket.socket] = field(default_factory=dict)
    received: int = 0

    def __enter__(self) -> _Readers:
        for path in self.paths:
            sock = socket.create_connection(("127.0.0.1", self.server.port))
            sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            sock.setblocking(False)
            self.sockets[sock.fileno()] = sock
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self.sockets.values():
            sock.close()
        time.sleep(0.1)

    def drain(self, seconds: float) -> int:
        """Read for ``seconds`` and return the number of bytes received."""
        buffer, before = bytearray(_READ_BYTES), self.received
        for sock in self._ready(seconds):
            with contextlib.suppress(BlockingIOError):
                self.received += sock.recv_into(buffer)
        return self.received - before

    def arrivals(self, seconds: float) -> Iterator[tuple[int, int, bytes]]:
        """Yield the file descriptor, the arrival time in ns and the data for each read."""
        for sock in self._ready(seconds):
            try:
                data, ancillary, _, _ = sock.recvmsg(_READ_BYTES, 64)
            except BlockingIOError:
                continue
            for _, kind, value in ancillary:
                if kind == _SO_TIMESTAMPNS:
                    second, nano = struct.unpack("qq", value)
                    yield sock.fileno(), second * 10**9 + nano, data

    def _ready(self, seconds: float) -> Iterator[socket.socket]:
        with select.epoll() as epoll:
            for number in self.sockets:
                epoll.register(number, select.EPOLLIN)
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                for number, _ in epoll.poll(0.05):
                    yield self.sockets[number]


@contextlib.contextmanager
def _serving(name: str) -> Iterator[_Server]:
    command = [sys.executable, "-m", "bench.asgi_apps", name]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            core = min(os.sched_getaffinity(1))
            for task in Path(f"/proc/{process.pid}/task").iterdir():
                os.sched_setaffinity(int(task.name), {core})
            yield _Server(process, port)
        finally:
            process.kill()


def _compare(
    title: str, unit: str, measure: Callable[[_Server], float], rounds: int,
    *, bounds: dict[str, float],
) -> list[str]:  # fmt: skip
    clean: list[dict[str, float]] = []
    disturbed: list[dict[str, float]] = []
    names = ["undam", *(name for name in PEERS if name in bounds)]
    progress = Progress(rounds)
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(_serving(name)) for name in names}
        for number in range(2 * rounds):
            steal_s, results = machine.steal_s(), {}
            for name in names if number % 2 else reversed(names):
                results[name] = measure(servers[name])
            is_clean = machine.steal_s() - steal_s <= machine.MAX_STEAL_S
            (clean if is_clean else disturbed).append(results)
            values = ", ".join(f"{name} {value:.2f}" for name, value in results.items())
            note = "" if is_clean else " (CPU steal: repeated)"
            progress.finish_round(f"{title} ({unit}), {values}{note}")
            if len(clean) == rounds:
                break
    used = clean + disturbed[: rounds - len(clean)]
    values = ", ".join(f"{name} {_spread([row[name] for row in used])}" for name in names)
    comparisons = ""
    for name, bound in bounds.items():
        ratios = sorted(row["undam"] / row[name] for row in used)
        low, ratio, high = (quantile(ratios, q) for q in (0.25, 0.5, 0.75))
        met = "within" if ratio <= bound else "OVER"
        comparisons += f"; {ratio:.2f} ({low:.2f}-{high:.2f}) x {name}, {met} {bound}"
    note = f"; {len(disturbed)} rounds with CPU steal" if disturbed else ""
    return [f"{title} ({unit}): {values}{comparisons}{note}"]


def _spread(values: list[float]) -> str:
    ordered = sorted(values)
    return f"{quantile(ordered, 0.5):.2f} ({ordered[0]:.2f}-{ordered[-1]:.2f})"


def _cpu_per_token(server: _Server) -> float:
    with _Readers(server, ["/flood"] * 100) as readers:
        readers.drain(0.3)
        before = server.cpu_ns()
        tokens = readers.drain(1.0) / _EVENT_BYTES
        return (server.cpu_ns() - before) / 1000 / tokens


def _memory(server: _Server) -> float:
    # The first streams fill the allocator's pools, which is not a cost per stream.
    with _Readers(server, ["/idle"] * 50) as readers:
        readers.drain(0.3)
    before = server.resident_kb()
    with _Readers(server, ["/idle"] * 1000) as readers:
        readers.drain(1.0)
        return (server.resident_kb() - before) / 1000


def _heartbeats(server: _Server) -> float:
    with _Readers(server, ["/quiet"] * int(2000 * HEARTBEAT_S)) as readers:
        readers.drain(HEARTBEAT_S * 3)
        before = server.cpu_ns()
        readers.drain(3.0)
        return (server.cpu_ns() - before) / 3e9 * 100


def _lateness(streams: int, per_second: int) -> Callable[[_Server], float]:
    gap_ms = 1000 / per_second

    def measure(server: _Server) -> float:
        paths = [f"/paced?{gap_ms},{1000 + gap_ms * i / streams}" for i in range(streams)]
        late_ns: list[int] = []
        with _Readers(server, paths) as readers:
            deque(readers.arrivals(1.5), maxlen=0)
            for _, at_ns, data in readers.arrivals(2.0):
                late_ns += [at_ns - int(due_ns) for due_ns in _DUE_NS.findall(data)]
        return quantile(sorted(late_ns), 0.99) / 1e6

    return measure


def _fairness() -> str:
    alone, beside = [], []
    progress = Progress(_FAIRNESS_ROUNDS)
    with _serving("undam") as server:
        for _ in range(_FAIRNESS_ROUNDS):
            alone.append(_p99_gap(server))
            with _Readers(server, ["/never"]) as greedy:
                beside.append(_p99_gap(server, greedy))
            progress.finish_round(f"p99 gap {alone[-1]:.2f} ms alone, {beside[-1]:.2f} ms beside")
    ratio = quantile(sorted(b / a for a, b in zip(alone, beside, strict=True)), 0.5)
    return (
        f"p99 gap of 20 streams x 50/s (ms): alone {_spread(alone)}, beside a stream that never "
        f"suspends {_spread(beside)}; {ratio:.2f} x, {'within' if ratio <= 2 else 'OVER'} 2"
    )


def _p99_gap(server: _Server, greedy: _Readers | None = None) -> float:
    paths = [f"/paced?20,{500 + i}" for i in range(20)]
    arrivals: dict[int, list[int]] = {}
    with _Readers(server, paths) as readers:
        paced = set(readers.sockets)
        if greedy is not None:
            readers.sockets.update(greedy.sockets)
        for number, at_ns, data in readers.arrivals(2.5):
            if number in paced:
                arrivals.setdefault(number, []).extend([at_ns] * data.count(b"data: "))
        readers.sockets = {number: readers.sockets[number] for number in paced}
    gaps = sorted(b - a for times in arrivals.values() for a, b in pairwise(times))
    return quantile(gaps, 0.99) / 1e6


if __name__ == "__main__":
    print(*run(), sep="\n")
