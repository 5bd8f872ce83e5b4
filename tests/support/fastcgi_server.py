"""FastCGI server that streams; the simulator speaks only HTTP."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"tok"}}]}\n\n'
_HEAD = b"Status: 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
_STDOUT, _END = 6, 3


@contextmanager
def fastcgi_origin(events: int = 300, gap_s: float = 0.005) -> Iterator[str]:
    """Run a server that sends ``events`` events per request; yield its ``http://127.0.0.1:PORT``."""

    def serve(conn: socket.socket) -> None:
        def record(kind: int, data: bytes) -> None:
            conn.sendall(struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data)

        conn.recv(65536)
        record(_STDOUT, _HEAD)
        for _ in range(events):
            record(_STDOUT, _EVENT)
            time.sleep(gap_s)
        record(_STDOUT, b"data: [DONE]\n\n")
        record(_STDOUT, b"")
        record(_END, bytes(8))

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                conn, _ = listener.accept()
                with conn, suppress(OSError):
                    serve(conn)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
