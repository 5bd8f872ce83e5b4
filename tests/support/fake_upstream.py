"""Scripted upstream with one handler per request kind, and raw client connections to a gateway.

The upstream records every request byte and when a reader disconnects. Each connection runs in its
own thread.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from support.chunked import LAST_CHUNK, chunk

CHAT = "/v1/chat/completions"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_LONG_S = 20.0


def event(text: str = "", **more: object) -> bytes:
    """Return a chat chunk as an event; without ``text``, return the role chunk."""
    delta = {"content": text} if text else {"role": "assistant", "content": ""}
    payload = {"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **more}
    return b"data: " + json.dumps(payload).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


@dataclass
class UpstreamRequest:
    """Request received by the upstream, with methods for responding."""

    sock: socket.socket
    head: bytes
    body: bytes
    number: int
    disconnected_at: float | None = None

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.sock.sendall(part)

    def chunks(self, *events: bytes) -> None:
        """Send each event as a separate chunk in a separate write."""
        for one in events:
            self.sock.sendall(chunk(one))

    def wait_for_disconnect(self, seconds: float = _LONG_S) -> bool:
        """Wait until the client disconnects, and record the time of the disconnect."""
        ready, _, _ = select.select([self.sock], [], [], seconds)
        if not ready:
            return False
        with contextlib.suppress(OSError):
            assert self.sock.recv(65536) == b"", "more bytes instead of an end"
        self.disconnected_at = time.monotonic()
        return True

    def header(self, name: str) -> str | None:
        for line in self.head.decode("latin-1").split("\r\n")[1:]:
            key, _, value = line.partition(":")
            if key.lower() == name:
                return value.strip()
        return None


Handler = Callable[[UpstreamRequest], object]


@dataclass
class FakeUpstream:
    """HTTP server that handles each request with ``handlers[X-Handler]``, or else ``default``."""

    handlers: dict[str, Handler] = field(default_factory=dict)
    default: Handler = lambda request: request.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    )
    requests: list[UpstreamRequest] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    connections: int = 0
    errors: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._sockets: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._listener.close()
        for sock in self._sockets:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._sockets.append(sock)
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        sock.settimeout(_LONG_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock:
            data = b""
            while True:
                try:
                    request, data = self._read(sock, data)
                    if request is None:
                        return
                    self.requests.append(request)
                    play = self.handlers.get(request.header("x-handler") or "", self.default)
                    if play(request) == "close":
                        return
                except OSError:
                    return
                except BaseException as error:
                    self.errors.append(error)
                    raise

    def _read(self, sock: socket.socket, data: bytes) -> tuple[UpstreamRequest | None, bytes]:
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            self.received += more
            if not more:
                return None, b""
            data += more
        head, _, data = data.partition(b"\r\n\r\n")
        request = UpstreamRequest(sock, head, b"", len(self.requests))
        length = int(request.header("content-length") or 0)
        chunked = request.header("transfer-encoding") == "chunked"
        while len(data) < length or (chunked and not data.endswith(LAST_CHUNK)):
            more = sock.recv(65536)
            self.received += more
            if not more:
                raise ConnectionError("the request's body broke off")
            data += more
        request.body = data if chunked else data[:length]
        return request, b"" if chunked else data[length:]


@contextlib.contextmanager
def fake_upstream(**handlers: Handler) -> Iterator[FakeUpstream]:
    """Run an upstream with these handlers; underscores in their names become hyphens."""
    upstream = FakeUpstream({name.replace("_", "-"): play for name, play in handlers.items()})
    try:
        yield upstream
    finally:
        upstream.close()
    assert upstream.errors == []


def chat_request(
    play: str = "", *, path: str = CHAT, stream: bool = True, headers: str = "", **body: object
) -> bytes:
    """Return the bytes of a chat request."""
    payload = json.dumps({"model": "m", "messages": [], "stream": stream, **body})
    return (
        f"POST {path} HTTP/1.1\r\nHost: gw\r\nX-Handler: {play}\r\n{headers}"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n{payload}"
    ).encode()


class RawConnection:
    """Raw client connection that sends bytes and records the received bytes."""

    def __init__(self, port: int, data: bytes = b"") -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=_LONG_S)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        self.reads: list[tuple[float, bytes]] = []
        if data:
            self.sock.sendall(data)

    def __enter__(self) -> RawConnection:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def until(self, mark: bytes) -> bytes:
        """Read until ``mark`` has been received."""
        while mark not in self.data:
            assert self.read(), f"the end came before {mark!r}: {self.data!r}"
        return self.data

    def read(self) -> bytes:
        piece = self.sock.recv(65536)
        self.reads.append((time.monotonic(), piece))
        self.data += piece
        return piece

    def rest(self) -> bytes:
        """Read until the connection ends."""
        with contextlib.suppress(ConnectionError):
            while self.read():
                pass
        return self.data


def send_raw(port: int, data: bytes) -> bytes:
    """Send ``data`` (with ``Connection: close``); return everything received until the end."""
    with RawConnection(port, data) as talk:
        return talk.rest()


def split_response(answer: bytes) -> tuple[bytes, bytes]:
    """Return the head and body of a response; chunk framing is removed from the body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return head, body
    out = b""
    while body:
        size, _, body = body.partition(b"\r\n")
        if not int(size, 16):
            return head, out
        out, body = out + body[: int(size, 16)], body[int(size, 16) + 2 :]
    return head, out


def is_complete(answer: bytes) -> bool:
    """Return whether a chunked body is complete."""
    return answer.endswith(LAST_CHUNK)
