"""ASGI servers as subprocesses on free ports, and a client that records each read."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TESTS = Path(__file__).parent.parent
_LIMIT_S = 20.0
GRACE_S = 15


@dataclass(frozen=True)
class Server:
    """ASGI server, with its command line.

    Args:
        command: arguments of Python with the placeholders ``{port}`` and ``{app}``.
    """

    name: str
    command: str


UVICORN_UVLOOP = Server(
    "uvicorn-uvloop",
    f"-m uvicorn --port {{port}} --loop uvloop --log-level warning"
    f" --timeout-graceful-shutdown {GRACE_S} {{app}}",
)
UVICORN_ASYNCIO = Server(
    "uvicorn-asyncio", UVICORN_UVLOOP.command.replace("--loop uvloop", "--loop asyncio")
)
HYPERCORN = Server(
    "hypercorn", f"-m hypercorn -b 127.0.0.1:{{port}} --graceful-timeout {GRACE_S} {{app}}"
)
GRANIAN = Server(
    "granian",
    f"-m granian --interface asgi --port {{port}} --workers-kill-timeout {GRACE_S} {{app}}",
)
SERVERS = (UVICORN_UVLOOP, UVICORN_ASYNCIO, HYPERCORN, GRANIAN)


@dataclass
class RunningServer:
    """Running server."""

    server: Server
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    def read(self, path: str, *, method: str = "GET") -> ResponseReader:
        """Request ``path`` on a new connection."""
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=_LIMIT_S)
        head = f"{method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n"
        sock.sendall(head.encode())
        return ResponseReader(sock)

    def state(self, name: str) -> dict[str, Any]:
        """Return the application's record of the stream ``name``."""
        with self.read("/state") as reading:
            reading.until(lambda: b"\r\n\r\n" in reading.raw and reading.raw.endswith(b"}"))
            states: dict[str, dict[str, Any]] = json.loads(reading.raw.split(b"\r\n\r\n", 1)[1])
        return states[name]

    def until_state(self, name: str, key: str, value: object) -> dict[str, Any]:
        """Wait until ``key`` in the application's record of the stream has ``value``."""
        deadline = time.monotonic() + _LIMIT_S
        while (state := self.state(name))[key] != value:
            assert time.monotonic() < deadline, f"{key} never became {value}: {state}"
            time.sleep(0.02)
        return state

    def stop(self) -> float:
        """Send SIGTERM and wait; return the seconds until the process exited."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=GRACE_S * 3)
        return time.monotonic() - began


@dataclass
class ResponseReader:
    """Response in progress, with each read recorded."""

    sock: socket.socket
    reads: list[bytes] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    ended: bool = False

    def __enter__(self) -> ResponseReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def step(self, timeout_s: float = _LIMIT_S) -> bytes:
        """Read once; return ``b""`` if the connection has ended."""
        self.sock.settimeout(timeout_s)
        try:
            data = self.sock.recv(1 << 16)
        except ConnectionResetError:
            data = b""
        self.ended = not data
        self.reads.append(data)
        self.at.append(time.monotonic())
        return data

    def until(self, condition: Any) -> ResponseReader:
        """Read until ``condition`` is true; fail if the connection ends first."""
        while not condition():
            assert self.step(), f"the connection ended: {self.raw[-300:]!r}"
        return self

    def until_end(self) -> ResponseReader:
        """Read until the body or the connection ends."""
        while not self.complete and self.step():
            pass
        return self

    @property
    def raw(self) -> bytes:
        return b"".join(self.reads)

    @property
    def head(self) -> bytes:
        return self.raw.split(b"\r\n\r\n", 1)[0].lower()

    @property
    def complete(self) -> bool:
        """True if the last chunk has arrived."""
        return self.raw.endswith(b"\r\n0\r\n\r\n")

    @property
    def body(self) -> bytes:
        """The body received so far, without chunk framing."""
        rest, parts = self.raw.split(b"\r\n\r\n", 1)[1], []
        while b"\r\n" in rest:
            size, _, rest = rest.partition(b"\r\n")
            parts.append(rest[: int(size, 16)])
            rest = rest[int(size, 16) + 2 :]
        return b"".join(parts)


@contextlib.contextmanager
def serving(server: Server, app: str = "support.asgi_test_app:app") -> Iterator[RunningServer]:
    """Run ``server`` with ``app`` on a free port."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        port = _free_port()
        command = [part.format(port=port, app=app) for part in server.command.split()]
        environment = {**os.environ, "PYTHONPATH": str(_TESTS)}
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, *command], stdout=out, stderr=out, env=environment,
                start_new_session=True,
            )  # fmt: skip
        try:
            _wait_until_it_serves(port, process, log)
            yield RunningServer(server, port, process, log)
        finally:
            # Kill the server's workers as well, which are in the same session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=_LIMIT_S)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def _wait_until_it_serves(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _LIMIT_S
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)
