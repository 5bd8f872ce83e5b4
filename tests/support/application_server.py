"""FastCGI, SCGI and uwsgi application servers that stream events."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"tok"}}]}\n\n'
_HEAD = b"Content-Type: text/event-stream\r\n\r\n"
_STDOUT, _END = 6, 3

_SendStream = Callable[[Callable[[bytes], None]], None]
"""Sends the events of a stream with the function that it receives."""
_Protocol = Callable[[socket.socket, _SendStream], None]


def _uwsgi(conn: socket.socket, send_stream: _SendStream) -> None:
    (size,) = struct.unpack("<xHx", conn.recv(4, socket.MSG_WAITALL))
    conn.recv(size, socket.MSG_WAITALL)
    conn.sendall(b"HTTP/1.1 200 OK\r\n" + _HEAD)
    send_stream(conn.sendall)


def _scgi(conn: socket.socket, send_stream: _SendStream) -> None:
    conn.recv(65536)
    conn.sendall(b"Status: 200 OK\r\n" + _HEAD)
    send_stream(conn.sendall)


def _fastcgi(conn: socket.socket, send_stream: _SendStream) -> None:
    def record(kind: int, data: bytes) -> None:
        conn.sendall(struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data)

    conn.recv(65536)
    record(_STDOUT, b"Status: 200 OK\r\n" + _HEAD)
    send_stream(lambda data: record(_STDOUT, data))
    record(_STDOUT, b"")
    record(_END, bytes(8))


_PROTOCOLS: dict[str, _Protocol] = {"uwsgi": _uwsgi, "scgi": _scgi, "fastcgi": _fastcgi}


@contextmanager
def application_server(protocol: str, events: int = 300, gap_s: float = 0.005) -> Iterator[str]:
    """Run a server that answers each request with a stream; yield ``http://127.0.0.1:PORT``.

    Args:
        protocol: ``uwsgi``, ``scgi`` or ``fastcgi``.
    """
    serve = _PROTOCOLS[protocol]

    def stream(send: Callable[[bytes], None]) -> None:
        for _ in range(events):
            send(_EVENT)
            time.sleep(gap_s)
        send(b"data: [DONE]\n\n")

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                conn, _ = listener.accept()
                with conn, suppress(OSError):
                    serve(conn, stream)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
