"""Gateway leak test with 300 clients that read, disconnect, stall, reset or send half a request.

UNDAM_SOAK_S sets the duration (default 300 s). Memory, open files, threads and requests in flight
are checked after each round, when all clients are gone. Each request that was sent must have a line
in the access log with the reason of its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from bench.progress import Progress
from undam.http1.sockets import reset_on_close

CLIENTS = 300
_ROUNDS = 10
_IDLE_TIMEOUT_S = 15.0
# Allocators retain some freed memory. A leak per stream would be far larger than this limit.
_GROWTH_MB = 6.0
_SIM = ("--ttft", "mix(0.03,800,lognormal(120,0.6))", "--gap", "lognormal(12,0.5)", "--tokens",
        "uniform(5,120)")  # fmt: skip
# With events of this size, a response exceeds all buffers, so a stalled client falls behind.
_LARGE = ("--event-bytes", "30000")

_ENDS = {"complete", "incomplete", "client-left", "client-frozen", "upstream-refused",
         "upstream-timeout", "upstream-silent", "upstream-died", "upstream-error", "no-upstream",
         "refused", "bad-request"}  # fmt: skip


@dataclass(frozen=True)
class ProcessState:
    """Resource usage of the gateway process."""

    rss_mb: float
    files: int
    threads: int
    in_flight: float


@dataclass
class SoakResult:
    """Result of a soak test.

    Attributes:
        states: state of the process after each round.
        sent: number of requests that were sent completely.
        uncertain: number of these that may not have arrived; see ``Clients``.
        lines: lines of the access log.
        errors: tracebacks and warnings of the gateway.
    """

    states: list[ProcessState] = field(default_factory=list)
    sent: int = 0
    uncertain: int = 0
    lines: list[dict[str, object]] = field(default_factory=list)
    errors: str = ""

    @property
    def ends(self) -> Counter[str]:
        """Number of requests for each end reason, from the access log."""
        return Counter(str(line.get("ended")) for line in self.lines)

    def faults(self) -> list[str]:
        """Return a description of each leak or error; empty if there is none."""
        before, after = self.states[0], self.states[-1]
        faults = []
        # The first rounds fill pools, caches and the allocator. Memory that grows later is leaked.
        third = max(1, len(self.states) // 3)
        early = max(state.rss_mb for state in self.states[: third + 1])
        late = min(state.rss_mb for state in self.states[-third:])
        if late > early + _GROWTH_MB:
            faults.append(f"memory grew from {early:.1f} to {late:.1f} MB")
        if after.files > before.files:
            faults.append(f"open files grew from {before.files} to {after.files}")
        if after.threads > before.threads:
            faults.append(f"threads grew from {before.threads} to {after.threads}")
        if any(state.in_flight for state in self.states):
            faults.append("requests stayed in flight")
        if not self.sent - self.uncertain <= len(self.lines) <= self.sent:
            faults.append(
                f"{self.sent} requests ({self.uncertain} may not have arrived) have "
                f"{len(self.lines)} lines in the access log"
            )
        if unexpected := set(self.ends) - _ENDS:
            faults.append(f"requests ended with unexpected reasons: {unexpected}")
        if self.errors:
            faults.append(f"the gateway logged {self.errors[-500:]!r}")
        return faults


def run() -> list[str]:
    """Run a soak test and return the result."""
    seconds = float(os.environ.get("UNDAM_SOAK_S", "300"))
    result = soak(seconds, clients=CLIENTS)
    first, last = result.states[0], result.states[-1]
    ends = ", ".join(f"{reason} {count}" for reason, count in result.ends.most_common())
    return [
        f"{result.sent} requests from {CLIENTS} concurrent clients in {seconds:.0f} s: {ends}",
        "memory after each round (MB): "
        + ", ".join(f"{state.rss_mb:.1f}" for state in result.states),
        f"files {first.files} to {last.files}, threads {first.threads} to {last.threads}",
        "; ".join(result.faults()) or "no leak, and every request is logged with its reason",
    ]


def soak(seconds: float, *, clients: int, rounds: int = _ROUNDS) -> SoakResult:
    """Run ``clients`` clients for ``seconds`` and check the gateway process after each round."""
    result = SoakResult()
    progress = Progress(rounds)
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        models = [
            stack.enter_context(_started(["sim", *_SIM, *more], folder)) for more in ((), _LARGE)
        ]
        dying = stack.enter_context(_started(["sim", *_SIM, "--die-after", "20"], folder))
        log = folder / "access.jsonl"
        command = ["gateway", "--listen", "127.0.0.1:0", "--heartbeat", "0.05", "--hedge", "auto",
                   "--send-timeout", "1", "--client-buffer", "65536", "--queue-timeout", "5",
                   "--max-streams", str(clients * 2), "--access-log", str(log)]  # fmt: skip
        for url, _ in [*models, dying]:
            command += ["--upstream", url]
        url, process = stack.enter_context(_started(command, folder))
        for number in range(rounds):
            visitors = Clients(url, random.Random(number))
            asyncio.run(visitors.run(clients, seconds / rounds))
            result.sent += visitors.sent
            result.uncertain += visitors.uncertain
            result.states.append(_process_state(url, process.pid))
            progress.finish_round(f"{result.states[-1].rss_mb:.1f} MB, {result.sent} requests")
        process.terminate()
        process.wait(30)
        result.lines = [json.loads(line) for line in log.read_text().splitlines()]
        result.errors = _errors_in((folder / "gateway.log").read_text())
    return result


@contextlib.contextmanager
def _started(command: list[str], folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    with (folder / f"{command[0]}.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-W", "always::ResourceWarning", "-m", "undam", *command],
            stdout=subprocess.PIPE,
            stderr=log,
        )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().split()[-1], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _errors_in(log: str) -> str:
    """Return the log if it contains tracebacks or Python warnings; ejections are expected."""
    return log if "Traceback" in log or "Warning" in log else ""


def _process_state(url: str, pid: int) -> ProcessState:
    """Return the process state once no request is in flight."""
    give_up = time.monotonic() + _IDLE_TIMEOUT_S
    while (in_flight := _in_flight(url)) and time.monotonic() < give_up:
        time.sleep(0.2)
    # Idle upstream connections in the pool are not a leak, so they are not counted.
    status = Path(f"/proc/{pid}/status").read_text()
    links = Path(f"/proc/{pid}/fd").iterdir()
    files = [str(link.readlink()) for link in links if link.is_symlink()]
    return ProcessState(
        rss_mb=int(status.split("VmRSS:")[1].split()[0]) / 1024,
        files=len([file for file in files if not file.startswith("socket:")])
        + _client_connections(urlsplit(url).port or 0),
        threads=int(status.split("Threads:")[1].split()[0]),
        in_flight=in_flight,
    )


def _client_connections(port: int) -> int:
    """Count connections to this port that the gateway has not closed (proc(5): states 01, 08)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(
        1 for row in rows if int(row[1].split(":")[1], 16) == port and row[3] in {"01", "08"}
    )


def _in_flight(url: str) -> float:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), 10) as conn:
        conn.sendall(b"GET /-/metrics HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n\r\n")
        page = b"".join(iter(lambda: conn.recv(65536), b"")).decode()
    names = ("undam_gateway_requests_in_flight", "undam_gateway_upstream_in_flight",
             "undam_gateway_queued")  # fmt: skip
    lines = [line for line in page.splitlines() if line.startswith(names)]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


class Clients:
    """Load from clients with random behavior.

    Attributes:
        sent: number of requests whose head was sent completely.
        uncertain: number of these whose client disconnected before it received a byte. A reset
            discards data that the peer has not read; on a busy machine that can be the request.
    """

    def __init__(self, url: str, rng: random.Random) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._rng = rng
        self.sent = self.uncertain = 0

    async def run(self, clients: int, seconds: float) -> None:
        """Run ``clients`` concurrent clients for ``seconds``, then disconnect all clients."""
        until = time.monotonic() + seconds

        async def client() -> None:
            await asyncio.sleep(self._rng.uniform(0, min(1.0, seconds / 4)))
            while time.monotonic() < until:
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(self._once(), 20)

        await asyncio.gather(*(client() for _ in range(clients)))

    async def _once(self) -> None:
        behaviors: list[Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]]
        behaviors = [self._read_all] * 5 + [
            self._disconnect_early,
            self._disconnect_late,
            self._stall,
            self._reset,
        ]
        behaviors += [self._read_twice, self._send_half_a_request, self._read_without_streaming]
        behavior = self._rng.choice(behaviors)
        sock = socket.socket()
        sock.setblocking(False)
        if behavior == self._stall:
            # A small receive buffer cannot store a whole response, so the gateway detects the
            # stall.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, self._address)
        reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 14)
        try:
            await behavior(reader, writer)
        finally:
            writer.transport.abort()

    def _send_request(
        self, writer: asyncio.StreamWriter, *, close: bool = True, stream: bool = True
    ) -> None:
        body = json.dumps({"model": "m", "stream": stream, "messages": [], "max_tokens": 60})
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(body)}\r\n"
        )
        head += "Connection: close\r\n" if close else ""
        writer.write((head + "\r\n" + body).encode())
        self.sent += 1

    async def _read_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._send_request(writer)
        while await reader.read(1 << 14):
            pass

    async def _read_twice(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for close in (False, True):
            self._send_request(writer, close=close)
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                data = await reader.read(1 << 14)
                if not data:
                    return
                tail = (tail + data)[-5:]

    async def _read_without_streaming(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._send_request(writer, stream=False)
        while await reader.read(1 << 14):
            pass

    async def _disconnect_early(
        self, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._send_request(writer)
        await writer.drain()
        self.uncertain += 1
        await asyncio.sleep(self._rng.uniform(0.01, 0.1))

    async def _disconnect_late(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._send_request(writer)
        for _ in range(self._rng.randint(1, 20)):
            await reader.read(1 << 12)

    async def _reset(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._send_request(writer)
        await reader.read(1 << 12)
        reset_on_close(writer.get_extra_info("socket"))

    async def _stall(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._send_request(writer)
        await reader.read(1 << 12)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(self._rng.uniform(0.5, 3.0))

    async def _send_half_a_request(
        self, _: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nContent-Length: 99\r\n\r\n{"
        )
        await writer.drain()
        self.sent += 1
        self.uncertain += 1
        await asyncio.sleep(self._rng.uniform(0, 0.5))


if __name__ == "__main__":
    print(*run(), sep="\n")
