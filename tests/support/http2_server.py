"""Small HTTP/2 servers in threads, with one script call per request."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events

from support.lossy_relay import plain_events
from support.threaded_server import TIMEOUT_S
from undam.http2.frames import GOAWAY, encode_frame

HEAD = ((":status", "200"), ("content-type", "text/event-stream"))


class ServerConnection:
    """Server side of one connection; ``fields`` and ``body`` belong to the current request."""

    def __init__(self, conn: socket.socket) -> None:
        config = h2.config.H2Configuration(
            client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = h2.connection.H2Connection(config)
        self.fields: dict[str, str] = {}
        self.body = b""
        self.stream_id = 0
        self._conn = conn
        self.h2.initiate_connection()
        self.flush()

    def flush(self) -> None:
        """Send what h2 has queued."""
        self._conn.sendall(self.h2.data_to_send())

    def read_request(self, window_delay_s: float = 0.0) -> bool:
        """Read one request; return ``False`` if the client has closed the connection."""
        self.body, ended = b"", False
        while not ended:
            data = self._conn.recv(65536)
            if not data:
                return False
            for event in self.h2.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    self.stream_id = event.stream_id
                    self.fields = {name.decode(): value.decode() for name, value in event.headers}
                elif isinstance(event, h2.events.DataReceived):
                    self.body += event.data
                    time.sleep(window_delay_s)
                    self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
                elif isinstance(event, h2.events.StreamEnded):
                    ended = True
            self.flush()
        return True

    def head(self, *fields: tuple[str, str]) -> None:
        """Send the response head for an event stream."""
        self.h2.send_headers(self.stream_id, [*HEAD, *fields])
        self.flush()

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send data immediately."""
        self.h2.send_data(self.stream_id, data, end_stream=end)
        self.flush()

    def send_goaway(self, code: int = 0, last_stream_id: int | None = None) -> None:
        """Send GOAWAY; the stream may continue."""
        last = self.stream_id if last_stream_id is None else last_stream_id
        payload = last.to_bytes(4, "big") + code.to_bytes(4, "big")
        self._conn.sendall(encode_frame(GOAWAY, 0, 0, payload))

    def goaway(self, code: int = 0, last_stream_id: int | None = None) -> None:
        """Send GOAWAY, half-close, and wait until the client closes the connection."""
        self.send_goaway(code, last_stream_id)
        self._conn.shutdown(socket.SHUT_WR)
        while self._conn.recv(65536):
            pass
        raise ConnectionAbortedError

    def stream(self, count: int = 20, gap_s: float = 0.01, *, end: bool = True) -> None:
        """Send a response head, ``count`` tokens and the end of the stream."""
        self.head()
        events = plain_events([f"word{n} " for n in range(count)])
        for event in events[:count]:
            self.send(event)
            time.sleep(gap_s)
        if end:
            self.send(b"".join(events[count:]), end=True)


@dataclass
class Http2Server:
    """Listening server that keeps the header fields of received requests."""

    port: int
    requests: list[dict[str, str]] = field(default_factory=list)

    def url(self, path: str = "/v1/chat/completions", scheme: str = "http") -> str:
        return f"{scheme}://localhost:{self.port}{path}"


Script = Callable[[ServerConnection], None]


@contextlib.contextmanager
def serving_http2(
    script: Script,
    tls: ssl.SSLContext | None = None,
    *,
    window_delay_s: float = 0.0,
) -> Iterator[Http2Server]:
    """Run ``script`` for each request on each connection.

    Args:
        window_delay_s: time after which the window is opened again for received data.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    server = Http2Server(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def serve(conn: socket.socket) -> None:
        conn.settimeout(TIMEOUT_S)
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError), conn:
            secure = conn if tls is None else tls.wrap_socket(conn, server_side=True)
            with secure:
                connection = ServerConnection(secure)
                while connection.read_request(window_delay_s):
                    server.requests.append(connection.fields)
                    script(connection)

    def accept() -> None:
        while True:
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
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(TIMEOUT_S)
