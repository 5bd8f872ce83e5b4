"""Fixtures: a simulator in a thread, and a client that uses plain sockets."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from undam.simulator import Simulator, SimulatorSettings
from undam.timing.distribution import constant

FAST = SimulatorSettings(ttft=constant(5), gap=constant(1), tokens=constant(5))


@dataclass
class Running:
    """Simulator that runs in a thread."""

    simulator: Simulator
    thread: threading.Thread
    truth_path: Path

    def connect(self) -> socket.socket:
        parts = urlsplit(self.simulator.url)
        return socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10)

    def request(self, request_line: str, *, body: bytes = b"", headers: str = "") -> bytes:
        """Send a request on a new connection and return the complete response."""
        length = f"Content-Length: {len(body)}\r\n" if body else ""
        head = f"{request_line} HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n{length}{headers}\r\n"
        return self.raw(head.encode() + body)

    def raw(self, data: bytes) -> bytes:
        """Send ``data`` and read until the server closes the connection."""
        with self.connect() as sock:
            sock.sendall(data)
            return read_to_end(sock)

    def truth(self) -> list[dict[str, Any]]:
        """Stop the simulator and return the parsed lines of the ground truth."""
        self.stop()
        return [json.loads(line) for line in self.truth_path.read_text().splitlines()]

    def wait_for_end(self) -> None:
        """Wait until the ground truth records the end of an exchange."""
        deadline = time.monotonic() + 10
        while b'"end"' not in self.truth_path.read_bytes():
            assert time.monotonic() < deadline, "no exchange ended"
            time.sleep(0.005)

    def stop(self) -> None:
        self.simulator.stop()
        self.thread.join(10)
        assert not self.thread.is_alive()


def read_to_end(sock: socket.socket) -> bytes:
    parts = []
    with contextlib.suppress(ConnectionResetError):
        while part := sock.recv(65536):
            parts.append(part)
    return b"".join(parts)


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Return ``serve(option=value, …)``, which starts a fast simulator."""
    started: list[Running] = []

    def start(**changes: Any) -> Running:
        truth = tmp_path / f"truth-{len(started)}.jsonl"
        simulator = Simulator(replace(FAST, truth=truth, **changes))
        thread = threading.Thread(target=simulator.serve)
        thread.start()
        started.append(Running(simulator, thread, truth))
        return started[-1]

    yield start
    for running in started:
        running.stop()
