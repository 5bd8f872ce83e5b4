"""Applications on real servers, in threads of this process, and a reader that sees the wire."""

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
    """Serve ``app`` with uvicorn; gives ``http://127.0.0.1:PORT``."""
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
        assert not thread.is_alive(), "uvicorn hangs"


@dataclass
class RawResponse:
    """What came over a socket, read by read, with the head and the framing of the transfer."""

    data: bytes = b""
    at: list[tuple[float, int]] = field(default_factory=list)
    """(when, in s of time.monotonic; how many bytes there were then)."""

    @property
    def head(self) -> dict[str, str]:
        """The headers of the response, names in lower case."""
        lines = self.data.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        return {name.lower(): value.strip() for name, _, value in pairs}

    @property
    def status(self) -> int:
        return int(self.data.split(b" ", 2)[1])

    @property
    def truncated(self) -> bool:
        """A chunked body without its last chunk."""
        assert self.head.get("transfer-encoding") == "chunked"
        return not self.data.endswith(b"0\r\n\r\n")

    def when(self, part: bytes) -> float:
        """When ``part`` was there for the first time."""
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
    """Ask for ``url`` and read until the server closes; ``on_read`` may end it with ``False``."""
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
    """A stream waits before it goes on until its reader says that the first part has come.

    Whatever holds a stream is found out for certain, and no test depends on how fast a machine is.
    """

    def __init__(self) -> None:
        self._seen = threading.Event()
        self.held = False
        """The reader did not say so in time: something kept it from seeing what was sent."""

    def open(self) -> None:
        """The first part has come."""
        self._seen.set()

    def wait(self) -> None:
        """For a source in a thread."""
        self.held = not self._seen.wait(TIMEOUT_S / 2)

    async def pass_through(self) -> None:
        """For a source in a loop."""
        give_up = time.monotonic() + TIMEOUT_S / 2
        # The reader is in another thread, or in another process.
        while not self._seen.is_set() and time.monotonic() < give_up:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        self.held = not self._seen.is_set()
