"""Does the gateway leak? 300 clients that read, leave, stall, reset, go half-way and come again.

UNDAM_SOAK_S sets how long, 300 s if it is not given. Memory, files, threads and what is in flight
are looked at after each round, when all clients are gone; every request that was sent has a line in
the access log with the reason of its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

CLIENTS = 300
_ROUNDS = 10
_CALM_S = 15.0
# Allocators keep some of what was once in use; a leak of one stream's memory would be far more,
# as thousands of streams pass in a soak.
_GROWTH_MB = 6.0
_SIM = ("--ttft", "mix(0.03,800,lognormal(120,0.6))", "--gap", "lognormal(12,0.5)", "--tokens",
        "uniform(5,120)")  # fmt: skip
# More than the buffers on the way take, so that a client that stalls is behind.
_LARGE = ("--event-bytes", "30000")

_ENDS = {"complete", "incomplete", "client-left", "client-frozen", "upstream-refused",
         "upstream-timeout", "upstream-silent", "upstream-died", "upstream-error", "no-upstream",
         "refused", "bad-request"}  # fmt: skip


@dataclass(frozen=True)
class State:
    """What one process holds."""

    rss_mb: float
    files: int
    threads: int
    in_flight: float


@dataclass
class Soaked:
    """What a soak found."""

    states: list[State] = field(default_factory=list)
    asked: int = 0
    unsure: int = 0
    lines: list[dict[str, object]] = field(default_factory=list)
    errors: str = ""

    @property
    def ends(self) -> Counter[str]:
        """Why requests ended, by the access log."""
        return Counter(str(line.get("ended")) for line in self.lines)

    def faults(self) -> list[str]:
        """What is not as it must be; empty if all is well."""
        before, after = self.states[0], self.states[-1]
        found = []
        # The first rounds fill pools, caches and what the allocator keeps; a leak goes on.
        third = max(1, len(self.states) // 3)
        early = max(state.rss_mb for state in self.states[: third + 1])
        late = min(state.rss_mb for state in self.states[-third:])
        if late > early + _GROWTH_MB:
            found.append(f"memory grew from {early:.1f} to {late:.1f} MB")
        if after.files > before.files:
            found.append(f"open files grew from {before.files} to {after.files}")
        if after.threads > before.threads:
            found.append(f"threads grew from {before.threads} to {after.threads}")
        if any(state.in_flight for state in self.states):
            found.append("something stayed in flight")
        if not self.asked - self.unsure <= len(self.lines) <= self.asked:
            found.append(
                f"{self.asked} requests, {self.unsure} of which may never have arrived, have "
                f"{len(self.lines)} lines in the access log"
            )
        if strange := set(self.ends) - _ENDS:
            found.append(f"requests ended as {strange}")
        if self.errors:
            found.append(f"it said {self.errors[-500:]!r}")
        return found


def run() -> list[str]:
    """A soak, told in some lines."""
    seconds = float(os.environ.get("UNDAM_SOAK_S", "300"))
    soaked = soak(seconds, clients=CLIENTS)
    first, last = soaked.states[0], soaked.states[-1]
    ends = ", ".join(f"{reason} {count}" for reason, count in soaked.ends.most_common())
    return [
        f"{soaked.asked} requests of {CLIENTS} clients at a time in {seconds:.0f} s: {ends}",
        "memory after each round (MB): " + ", ".join(f"{one.rss_mb:.1f}" for one in soaked.states),
        f"files {first.files} and {last.files}, threads {first.threads} and {last.threads}",
        "; ".join(soaked.faults()) or "nothing leaks, and every request has its reason",
    ]


def soak(seconds: float, *, clients: int, rounds: int = _ROUNDS) -> Soaked:
    """Let ``clients`` come and go for ``seconds``, with so many looks at the process between."""
    found = Soaked()
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
            visitors = Visitors(url, random.Random(number))
            asyncio.run(visitors.visit(clients, seconds / rounds))
            found.asked += visitors.asked
            found.unsure += visitors.unsure
            found.states.append(_look(url, process.pid))
        process.terminate()
        process.wait(30)
        found.lines = [json.loads(line) for line in log.read_text().splitlines()]
        found.errors = _worrying((folder / "gateway.log").read_text())
    return found


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


def _worrying(said: str) -> str:
    """Tracebacks and warnings; upstreams that are set aside and come back are as asked."""
    return said if "Traceback" in said or "Warning" in said else ""


def _look(url: str, pid: int) -> State:
    """The process when nothing has been under way for some time."""
    give_up = time.monotonic() + _CALM_S
    while (in_flight := _in_flight(url)) and time.monotonic() < give_up:
        time.sleep(0.2)
    # Connections to upstreams stay in the pool; they are no leak, and there may be any number.
    status = Path(f"/proc/{pid}/status").read_text()
    files = [str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir() if one.is_symlink()]
    return State(
        rss_mb=int(status.split("VmRSS:")[1].split()[0]) / 1024,
        files=len([one for one in files if not one.startswith("socket:")])
        + _clients(urlsplit(url).port or 0),
        threads=int(status.split("Threads:")[1].split()[0]),
        in_flight=in_flight,
    )


def _clients(port: int) -> int:
    """Connections on the gateway's own port that it has not closed (man 5 proc: state 01, 08)."""
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


class Visitors:
    """Clients of every sort.

    Attributes:
        asked: requests that were sent whole.
        unsure: those of them whose client left before it got a byte: a reset throws away what its
            peer has not read, and on a busy machine that is the request.
    """

    def __init__(self, url: str, chance: random.Random) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 0)
        self._chance = chance
        self.asked = self.unsure = 0

    async def visit(self, clients: int, seconds: float) -> None:
        """So many at a time, for so long; then all leave."""
        until = time.monotonic() + seconds

        async def one() -> None:
            await asyncio.sleep(self._chance.uniform(0, min(1.0, seconds / 4)))
            while time.monotonic() < until:
                with contextlib.suppress(OSError, TimeoutError):
                    await asyncio.wait_for(self._once(), 20)

        await asyncio.gather(*(one() for _ in range(clients)))

    async def _once(self) -> None:
        sorts: list[Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]]
        sorts = [self._read_all] * 5 + [
            self._leave_early,
            self._leave_late,
            self._stall,
            self._reset,
        ]
        sorts += [self._read_twice, self._half_a_request, self._not_a_stream]
        visit = self._chance.choice(sorts)
        sock = socket.socket()
        sock.setblocking(False)
        if visit == self._stall:
            # Otherwise the kernel takes a whole answer for a client that takes nothing.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await asyncio.get_running_loop().sock_connect(sock, self._address)
        reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 14)
        try:
            await visit(reader, writer)
        finally:
            writer.transport.abort()

    def _ask(
        self, writer: asyncio.StreamWriter, *, close: bool = True, stream: bool = True
    ) -> None:
        body = json.dumps({"model": "m", "stream": stream, "messages": [], "max_tokens": 60})
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nContent-Length: {len(body)}\r\n"
        )
        head += "Connection: close\r\n" if close else ""
        writer.write((head + "\r\n" + body).encode())
        self.asked += 1

    async def _read_all(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ask(writer)
        while await reader.read(1 << 14):
            pass

    async def _read_twice(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for close in (False, True):
            self._ask(writer, close=close)
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                data = await reader.read(1 << 14)
                if not data:
                    return
                tail = (tail + data)[-5:]

    async def _not_a_stream(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._ask(writer, stream=False)
        while await reader.read(1 << 14):
            pass

    async def _leave_early(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ask(writer)
        await writer.drain()
        self.unsure += 1
        await asyncio.sleep(self._chance.uniform(0.01, 0.1))

    async def _leave_late(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ask(writer)
        for _ in range(self._chance.randint(1, 20)):
            await reader.read(1 << 12)

    async def _reset(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ask(writer)
        await reader.read(1 << 12)
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    async def _stall(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ask(writer)
        await reader.read(1 << 12)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(self._chance.uniform(0.5, 3.0))

    async def _half_a_request(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: soak\r\nContent-Length: 99\r\n\r\n{"
        )
        await writer.drain()
        await asyncio.sleep(self._chance.uniform(0, 0.5))


if __name__ == "__main__":
    print(*run(), sep="\n")
