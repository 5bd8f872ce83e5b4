"""HTTP/2 with hypercorn: a failed stream is reset, and the other streams continue."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import pytest
import trustme

from support.asgi_server_processes import RunningServer, Server, serving

pytestmark = [pytest.mark.live, pytest.mark.slow]

APP = "support.http2_app:app"
LIMIT_S = 10.0


@pytest.fixture(scope="module")
def hypercorn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningServer, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "server.pem")
    )
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    options = f"--certfile {folder / 'server.pem'} --keyfile {folder / 'server.pem'}"
    server = Server("hypercorn-h2", f"-m hypercorn -b 127.0.0.1:{{port}} {options} {{app}}")
    with serving(server, APP) as running:
        yield running, folder / "ca.pem"


class _Connection:
    """HTTP/2 connection with several streams."""

    def __init__(self, port: int, authority: Path) -> None:
        context = ssl.create_default_context(cafile=str(authority))
        context.set_alpn_protocols(["h2"])
        raw = socket.create_connection(("127.0.0.1", port), timeout=LIMIT_S)
        self._sock = context.wrap_socket(raw, server_hostname="localhost")
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self._h2.initiate_connection()
        self.data: dict[int, bytes] = {}
        self.end: dict[int, str] = {}
        self._flush()

    def get(self, path: str) -> int:
        number = self._h2.get_next_available_stream_id()
        names = ((":method", "GET"), (":path", path), (":scheme", "https"), (":authority", "x"))
        self._h2.send_headers(number, names, end_stream=True)
        self.data[number] = b""
        self._flush()
        return number

    def until(self, condition: Any) -> None:
        deadline = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < deadline, (self.data, self.end)
            data = self._sock.recv(65536)
            assert data, "the connection ended"
            for event in self._h2.receive_data(data):
                self._handle(event)
            self._flush()

    def _handle(self, event: Any) -> None:
        if isinstance(event, h2.events.DataReceived):
            self.data[event.stream_id] += event.data
            self._h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded | h2.events.StreamReset):
            self.end[event.stream_id] = type(event).__name__

    def _flush(self) -> None:
        self._sock.sendall(self._h2.data_to_send())

    def close(self) -> None:
        self._sock.close()


@pytest.mark.parametrize("path", ["/plain", "/framework", "/middleware", "/guarded"])
def test_a_failed_stream_is_reset_after_its_error_event(
    hypercorn: tuple[RunningServer, Path], path: str
) -> None:
    running, authority = hypercorn
    connection = _Connection(running.port, authority)
    alive = connection.get("/plain/endless")
    failed = connection.get(f"{path}/failing")
    complete = connection.get(f"{path}/complete")
    connection.until(lambda: {failed, complete} <= connection.end.keys())
    if path != "/middleware":  # The middleware puts a queue between the stream and the server.
        assert connection.end[failed] == "StreamReset"
    assert connection.end[complete] == "StreamEnded"
    assert b"event: error\n" in connection.data[failed]
    before = len(connection.data[alive])
    connection.until(lambda: len(connection.data[alive]) > before)
    assert alive not in connection.end
    connection.close()
