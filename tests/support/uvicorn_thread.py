"""Helpers that serve ASGI applications with uvicorn in a thread, and record received bytes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvicorn

TIMEOUT_S = 20.0


@contextlib.contextmanager
def under_uvicorn(app: Any, loop: str = "asyncio") -> Iterator[str]:
    """Serve ``app`` with uvicorn; yield its URL ``http://127.0.0.1:PORT``."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, loop=loop, ws="none", lifespan="auto",
        log_level="critical", access_log=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    try:
        give_up = time.monotonic() + TIMEOUT_S
        while not server.started:
            assert thread.is_alive(), "uvicorn did not start"
            assert time.monotonic() < give_up, "uvicorn did not start in time"
            time.sleep(0.005)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_S)
        listener.close()
        assert not thread.is_alive(), "uvicorn does not stop"


@dataclass
class RawResponse:
    """Bytes received from a socket, including head and chunk framing, and the time of each read."""

    data: bytes = b""
    at: list[tuple[float, int]] = field(default_factory=list)
    """(time.monotonic in s, number of bytes received until then)."""

    @property
    def head(self) -> dict[str, str]:
        """Response headers; their names are in lower case."""
        lines = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        return {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def truncated(self) -> bool:
        """True if a chunked body has no last chunk."""
        assert self.head.get("transfer-encoding") == "chunked"
        return not self.data.endswith(b"0\r\n\r\n")

    def when(self, part: bytes) -> float:
        """Return the time at which all of ``part`` had arrived."""
        end = self.data.index(part) + len(part)
        return next(at for at, count in self.at if count >= end)


def read_raw(
    url: str,
    method: str = "GET",
    *,
    headers: tuple[str, ...] = (),
    body: bytes = b"",
    on_read: Callable[[RawResponse], bool] = lambda raw: True,
) -> RawResponse:
    """Request ``url``; read until the connection ends or ``on_read`` returns ``False``."""
    parts = urlsplit(url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target or '/'} HTTP/1.1", f"Host: {parts.netloc}", "Connection: close"]
    if body:
        lines += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
    request = "\r\n".join([*lines, *headers, "", ""]).encode() + body
    raw = RawResponse()
    with socket.create_connection((parts.hostname or "", parts.port or 80), TIMEOUT_S) as conn:
        conn.sendall(request)
        while True:
            try:
                data = conn.recv(65536)
            except ConnectionResetError:
                break
            if not data:
                break
            raw.data += data
            raw.at.append((time.monotonic(), len(raw.data)))
            if not on_read(raw):
                break
    return raw


class Gate:
    """Gate at which a stream waits until the client has received the first part of the stream.

    This detects buffering reliably, independent of the speed of the machine.
    """

    def __init__(self) -> None:
        self._seen = threading.Event()
        self.held = False
        """True if the client did not receive the first part in time."""

    def open(self) -> None:
        """Open the gate, because the client has received the first part."""
        self._seen.set()

    def wait(self) -> None:
        """Block this thread until the client has received the first part."""
        self.held = not self._seen.wait(TIMEOUT_S / 2)

    async def pass_through(self) -> None:
        """Wait on the event loop until the client has received the first part."""
        give_up = time.monotonic() + TIMEOUT_S / 2
        # The client runs in another thread or process, so the event loop has to poll.
        while not self._seen.is_set() and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self.held = not self._seen.is_set()
