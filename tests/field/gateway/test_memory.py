"""Memory use of a gateway process while many clients send bodies that they never complete."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_upstream import fake_upstream
from support.gateway_process import undam_commands

pytestmark = pytest.mark.live

_CLIENTS = 60
_BODY_MB = 4


def _resident_mb(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(text.partition("VmRSS:")[2].split()[0]) >> 10


@contextlib.contextmanager
def _uploads(port: int) -> Iterator[None]:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
        b"Content-Length: 10000000\r\n\r\n"
    )
    clients = [socket.create_connection(("127.0.0.1", port), 10) for _ in range(_CLIENTS)]
    try:
        for client in clients:
            client.sendall(head)
            client.settimeout(0.3)
        piece = b"a" * (1 << 18)
        for _ in range(_BODY_MB * 4):
            for client in clients:
                with contextlib.suppress(OSError):
                    client.send(piece)
        time.sleep(0.3)
        yield
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    ("with_keys", "growth_mb"),
    [pytest.param(True, 15, id="without the key"), pytest.param(False, 8 + 32, id="no keys")],
)
def test_unfinished_bodies_take_little_memory(
    tmp_path: Path, with_keys: bool, growth_mb: int
) -> None:
    keys = tmp_path / "keys"
    keys.write_text("alice gw-key-0123456789abcdef\n")
    options = ("--keys", str(keys)) if with_keys else ("--body-budget", str(8 << 20))
    with fake_upstream() as upstream, undam_commands(tmp_path) as run:
        gateway = run("gateway", "--upstream", upstream.url, *options)
        pid = gateway.process.pid
        before = _resident_mb(pid)
        with _uploads(gateway.port):
            during = _resident_mb(pid)
        print(f"{before} MB before, {during} MB with {_CLIENTS} unfinished bodies")
        assert during - before <= growth_mb
        assert gateway.get("/-/healthz")[0] == 200
