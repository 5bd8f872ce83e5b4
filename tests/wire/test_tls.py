"""TLS: trust, client certificates, and the words for each failure."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
import trustme

from undam.errors import NetworkError, UsageError
from undam.record import Ending
from undam.wire import Request

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

NO_CONTENT = b"HTTP/1.1 204 No\r\n\r\n"


def test_a_trusted_server(servers: Any, client: Any, authority: Any) -> None:
    far = servers.answer(NO_CONTENT, authority.server)
    got = client.get(far.url("/", "https"), cacert=authority.cacert)
    assert got.stream.tls in {"TLSv1.3", "TLSv1.2"}
    stamps = got.stream.stamps
    assert stamps.start_ns < stamps.connect_ns < stamps.tls_ns < stamps.sent_ns <= stamps.head_ns


def test_the_name_is_sent_and_checked(servers: Any, client: Any, authority: Any) -> None:
    far = servers.answer(NO_CONTENT, authority.server)
    there = (("api.undam.test", far.port, "127.0.0.1"), ("other.test", far.port, "127.0.0.1"))
    url = far.url("/", "https", "api.undam.test")
    assert client.get(url, cacert=authority.cacert, resolve=there).stream.head.status == 204
    with pytest.raises(NetworkError, match=r"not valid for 'other.test'") as caught:
        client.get(far.url("/", "https", "other.test"), cacert=authority.cacert, resolve=there)
    assert caught.value.phase == "tls"


def test_an_untrusted_server_is_refused_with_advice(
    servers: Any, client: Any, authority: Any
) -> None:
    far = servers.answer(NO_CONTENT, authority.server)
    with pytest.raises(NetworkError, match=r"cannot be verified: .*--cacert FILE.*--insecure"):
        client.get(far.url("/", "https"))
    assert client.get(far.url("/", "https"), insecure=True).stream.head.status == 204


def test_a_plaintext_server_is_named(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        conn.recv(65536)

    with pytest.raises(NetworkError, match="does not speak TLS on this port; try http://"):
        client.get(servers.start(script).url("/", "https"))


def test_a_server_that_hangs_up_in_the_handshake(servers: Any, client: Any) -> None:
    with pytest.raises(NetworkError, match="closed the connection in the TLS handshake"):
        client.get(servers.start(lambda conn: conn.recv(65536) and None).url("/", "https"))


def test_a_handshake_that_never_ends(servers: Any, client: Any) -> None:
    done = threading.Event()
    far = servers.start(lambda conn: done.wait(10) and None)
    with pytest.raises(NetworkError, match=r"did not finish the TLS handshake within 0\.3 s"):
        client.get(far.url("/", "https"), connect_timeout_s=0.3)
    done.set()


def test_plaintext_to_a_tls_port_is_named(servers: Any, client: Any, authority: Any) -> None:
    far = servers.answer(NO_CONTENT, authority.server)
    with pytest.raises(Exception, match="https://"):
        client.get(far.url())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate(
    servers: Any, client: Any, authority: Any, version: ssl.TLSVersion
) -> None:
    authority.strict_server.maximum_version = version
    far = servers.answer(NO_CONTENT, authority.strict_server)
    url = far.url("/", "https")
    got = client.get(url, cacert=authority.cacert, cert=authority.client_cert)
    assert got.stream.tls == version.name.replace("_", ".")
    with pytest.raises(NetworkError, match="client certificate: --cert FILE") as caught:
        client.get(url, cacert=authority.cacert)
    assert caught.value.phase == "tls"


@pytest.mark.parametrize(
    ("alert", "why"),
    [(70, "TLS with 127.0.0.1 failed: .*protocol version"), (120, "offers no HTTP/1.1 over TLS")],
)
def test_an_alert_is_put_in_words(servers: Any, client: Any, alert: int, why: str) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(b"\x15\x03\x03\x00\x02\x02" + bytes([alert]))
        conn.recv(65536)

    with pytest.raises(NetworkError, match=why):
        client.get(servers.start(script).url("/", "https"))


def test_a_reset_in_the_handshake(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(1)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()

    with pytest.raises(NetworkError, match="handshake off: connection reset; if"):
        client.get(servers.start(script).url("/", "https"))


def test_a_secure_server_that_answers_nothing(servers: Any, client: Any, authority: Any) -> None:
    far = servers.answer(b"", authority.server)
    with pytest.raises(NetworkError, match=r"closed the connection without sending a byte$"):
        client.get(far.url("/", "https"), cacert=authority.cacert)


@pytest.mark.parametrize("option", ["cacert", "cert"])
def test_certificate_files_that_cannot_be_used(client: Any, tmp_path: Path, option: str) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("no certificate")
    for path in (tmp_path / "absent.pem", tmp_path, junk):
        with pytest.raises(UsageError, match=f"--{option} {path}: ."):
            client.get("https://127.0.0.1:1/", **{option: str(path)})


def test_a_key_that_needs_a_password_is_refused(client: Any, tmp_path: Path) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    leaf = trustme.CA().issue_cert("x@undam.test")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    path = tmp_path / "sealed.pem"
    path.write_bytes(sealed + leaf.cert_chain_pems[0].bytes())
    with pytest.raises(UsageError, match="key is encrypted"):
        client.get("https://127.0.0.1:1/", cert=str(path))


def test_a_tls_stream_that_just_stops_is_truncated(
    servers: Any, client: Any, authority: Any
) -> None:
    def script(conn: ssl.SSLSocket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
        # Close the TCP connection below without close_notify.
        conn.shutdown(socket.SHUT_WR)

    got = client.get(
        servers.start(script, authority.server).url("/", "https"), cacert=authority.cacert
    )
    assert (got.ending, got.data) == (Ending.TRUNCATED, b"abc")
    assert "close_notify" in got.stream.error


def test_a_broken_tls_record_in_the_body(servers: Any, client: Any, authority: Any) -> None:
    def script(conn: ssl.SSLSocket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
        with socket.socket(fileno=conn.fileno()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            conn.recv(65536)
            raw.detach()

    got = client.get(
        servers.start(script, authority.server).url("/", "https"), cacert=authority.cacert
    )
    assert (got.ending, got.data) == (Ending.BROKEN, b"abc")
    assert got.stream.error.startswith("TLS with 127.0.0.1 failed: ")


def test_one_byte_records(servers: Any, client: Any, authority: Any) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    def script(conn: ssl.SSLSocket) -> None:
        conn.recv(65536)
        for i in range(len(data)):
            conn.sendall(data[i : i + 1])

    far = servers.start(script, authority.server)
    got = client.get(Request(url=far.url("/", "https")), cacert=authority.cacert)
    assert (got.data, got.ending) == (b"hello", Ending.COMPLETE)
