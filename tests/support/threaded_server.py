"""Small servers in threads, which can behave in hostile ways; a script handles each request."""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from support.chunked import LAST_CHUNK, chunk

TIMEOUT_S = 20.0

Script = Callable[[socket.socket], None]

SSE = (("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache, no-transform"))
JSON = (("Content-Type", "application/json"),)


@dataclass
class Server:
    """Listening server that keeps the requests it receives."""

    port: int
    requests: list[bytes] = field(default_factory=list)

    def url(self, path: str = "/v1/chat/completions", *, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.port}{path}"

    @property
    def text(self) -> str:
        """All received requests, as one text."""
        return b"\n".join(self.requests).decode("latin-1")


@contextlib.contextmanager
def serving(
    script: Callable[[socket.socket, bytes], None], tls: ssl.SSLContext | None = None
) -> Iterator[Server]:
    """Run a server that calls ``script(connection, request)`` per request, then disconnects."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(listener.getsockname()[1])
    threads: list[threading.Thread] = []
    over = threading.Event()

    def serve(conn: socket.socket) -> None:
        conn.settimeout(TIMEOUT_S)
        with contextlib.suppress(OSError), conn:
            if tls is not None:
                with tls.wrap_socket(conn, server_side=True) as secure:
                    answer(secure)
                    secure.unwrap()
            else:
                answer(conn)

    def answer(conn: socket.socket) -> None:
        request = read_request(conn)
        if request:
            server.requests.append(request)
            script(conn, request)

    def accept() -> None:
        while not over.is_set():
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(conn,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        over.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive(), "a server thread is still running"


def replying(reply: bytes, tls: ssl.SSLContext | None = None) -> contextlib.AbstractContextManager[
    Server
]:  # fmt: skip
    """Run a server that sends the same bytes in reply to every request."""
    return serving(lambda conn, _: conn.sendall(reply), tls)


def read_request(conn: socket.socket) -> bytes:
    """Read a request whose body has a known length.

    The request is partial if the peer disconnects or uses TLS.
    """
    data = b""
    while b"\r\n\r\n" not in data and data[:1] != b"\x16":
        more = conn.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += conn.recv(65536)
    return head + b"\r\n\r\n" + body


def head(
    status: str = "200 OK", headers: Iterable[tuple[str, str]] = SSE, *, chunked: bool = True
) -> bytes:
    """Return a response head."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in headers)]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    return "\r\n".join([*lines, "", ""]).encode("utf-8")


def whole(body: bytes, status: str = "200 OK", headers: Iterable[tuple[str, str]] = SSE) -> bytes:
    """Return a response with Content-Length."""
    length = ("Content-Length", str(len(body)))
    return head(status, (*headers, length), chunked=False) + body


def token(text: str = " tok", **more: Any) -> bytes:
    """Return a chat chunk as an event."""
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


DONE = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


def stream(conn: socket.socket, count: int, gap_s: float = 0.01, *, end: bool = True) -> None:
    """Send a response head, ``count`` tokens and the end of the stream."""
    conn.sendall(head())
    for _ in range(count):
        conn.sendall(chunk(token()))
        time.sleep(gap_s)
    if end:
        conn.sendall(chunk(DONE) + LAST_CHUNK)


def wait_for_disconnect(conn: socket.socket) -> None:
    """Keep the connection open until the client closes it."""
    with contextlib.suppress(OSError):
        while conn.recv(65536):
            pass


def reset(conn: socket.socket) -> None:
    """Reset the connection."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def gzip_bomb(megabytes: int) -> bytes:
    """Return compressed event data that expands to ``megabytes`` MB."""
    coder = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = b"data: " + b"0" * (1 << 20) + b"\n\n"
    return b"".join(coder.compress(block) for _ in range(megabytes)) + coder.flush()


def gzipped(data: bytes) -> bytes:
    return gzip.compress(data)
