"""Case research/08: check uses the HTTP version that the server selects, and reports its faults."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from support.http2_server import ServerConnection, serving_http2
from support.lossy_relay import plain_events
from support.threaded_server import head, read_request
from support.undam_command import CompletedCommand, run_undam

Script = Callable[[ServerConnection], None]


def _check(url: str, *args: str) -> CompletedCommand:
    return run_undam("check", url, "--model", "m", "--json", *args)


def _found(done: CompletedCommand, code: str) -> dict[str, object]:
    (found,) = [one for one in done.json["findings"] if one["code"] == code]
    assert isinstance(found, dict)
    return found


def test_prior_knowledge_and_a_healthy_stream() -> None:
    with serving_http2(lambda c: c.stream(20)) as server:
        done = _check(server.url(), "--http2")
    assert done.json["hops"][0]["http_version"] == "2"
    assert done.json["verdict"] == "streaming"
    assert done.code == 0, done.out


@pytest.mark.parametrize(("code", "name"), [(2, "INTERNAL_ERROR"), (8, "CANCEL")])
def test_a_reset_in_mid_stream_is_named(code: int, name: str) -> None:
    def script(connection: ServerConnection) -> None:
        connection.stream(10, end=False)
        connection.h2.reset_stream(connection.stream_id, code)
        connection.flush()

    with serving_http2(script) as server:
        done = _check(server.url(), "--http2")
    assert name in str(_found(done, "UD641")["message"])
    assert not {"UD601", "UD602"} & set(done.codes)


def test_a_reset_after_silence_names_the_silence() -> None:
    def script(connection: ServerConnection) -> None:
        connection.stream(10, end=False)
        time.sleep(2.2)
        connection.h2.reset_stream(connection.stream_id, 2)
        connection.flush()

    with serving_http2(script) as server:
        done = _check(server.url(), "--http2")
    assert "s of silence" in str(_found(done, "UD641")["message"])


def test_goaway_in_mid_stream_is_named() -> None:
    def script(connection: ServerConnection) -> None:
        connection.stream(10, end=False)
        connection.goaway()

    with serving_http2(script) as server:
        done = _check(server.url(), "--http2")
    assert "GOAWAY NO_ERROR" in str(_found(done, "UD642")["message"])


def test_goaway_that_lets_the_stream_end_is_no_fault() -> None:
    def script(connection: ServerConnection) -> None:
        connection.head()
        events = plain_events([f"word{n} " for n in range(12)])
        for event in events[:12]:
            connection.send(event)
            time.sleep(0.01)
        connection.send_goaway()
        connection.send(b"".join(events[12:]), end=True)

    with serving_http2(script) as server:
        done = _check(server.url(), "--http2")
    assert done.code == 0, done.out


def test_a_stall_of_the_window_is_named(tmp_path: Path) -> None:
    body = tmp_path / "body.json"
    body.write_text('{"model": "m", "messages": [], "pad": "%s"}' % ("x" * 100_000))
    with serving_http2(lambda c: c.stream(12), window_delay_s=0.1) as server:
        done = _check(server.url(), "--http2", "--data", f"@{body}")
    assert "flow-control window of the server" in str(_found(done, "UD115")["message"])


@pytest.mark.parametrize(
    ("name", "value"),
    [("connection", "keep-alive"), ("transfer-encoding", "chunked"), ("keep-alive", "timeout=5")],
)
def test_forbidden_fields_are_named(name: str, value: str) -> None:
    def script(connection: ServerConnection) -> None:
        connection.head((name, value))
        connection.send(b"".join(plain_events([f"word{n} " for n in range(12)])), end=True)

    with serving_http2(script) as server:
        done = _check(server.url(), "--http2")
    assert value in str(_found(done, "UD203")["message"])


class _BothVersions:
    """TLS server that holds the stream in only one of the two HTTP versions."""

    def __init__(self, tmp_path: Path, held: str) -> None:
        authority = trustme.CA()
        self.cacert = str(tmp_path / "ca.pem")
        authority.cert_pem.write_to_path(self.cacert)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("localhost").configure_cert(self._context)
        self._context.set_alpn_protocols(["h2", "http/1.1"])
        self._held = held
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://localhost:{self._listener.getsockname()[1]}/v1/chat/completions"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                conn, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(conn,), daemon=True).start()

    def _serve(self, conn: socket.socket) -> None:
        try:
            conn.settimeout(20)
            with self._context.wrap_socket(conn, server_side=True) as secure:
                if secure.selected_alpn_protocol() == "h2":
                    connection = ServerConnection(secure)
                    while connection.read_request():
                        connection.head()
                        self._send(connection.send, "2")
                        connection.send(b"", end=True)
                elif read_request(secure):
                    secure.sendall(head(chunked=False))
                    self._send(secure.sendall, "1.1")
                    secure.unwrap()
        except OSError:
            pass

    def _send(self, send: Callable[[bytes], None], version: str) -> None:
        events = plain_events([f"word{n} " for n in range(40)])
        if version == self._held:
            time.sleep(0.6)
            send(b"".join(events))
            return
        for event in events:
            send(event)
            time.sleep(0.03)


@pytest.mark.parametrize("held", ["2", "1.1", ""])
def test_versions_that_differ_are_reported(tmp_path: Path, held: str) -> None:
    server = _BothVersions(tmp_path, held)
    try:
        done = _check(server.url, "--cacert", server.cacert)
        alone = _check(server.url, "--cacert", server.cacert, "--http1")
    finally:
        server.close()
    assert done.json["hops"][0]["http_version"] == "2"
    assert alone.json["hops"][0]["http_version"] == "1.1"
    assert "UD114" not in alone.codes
    # A fast model may also send its whole body at once, so the verdict may be unknown.
    if not held:
        assert "UD114" not in done.codes
    elif done.json["verdict"] != "unknown" != alone.json["verdict"]:
        assert "UD114" in done.codes


def test_watch_and_its_flags() -> None:
    with serving_http2(lambda c: c.stream(20)) as server:
        done = run_undam("watch", server.url(), "Hi", "--model", "m", "--http2")
    assert done.code == 0, done.err
    assert "word19" in done.out
