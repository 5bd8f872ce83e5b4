"""TLS: trust in certificates, client certificates, and failure messages."""

from __future__ import annotations

import re
import socket
import ssl
import struct
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import trustme

from undam.errors import NetworkError, UsageError
from undam.record import Ending
from undam.wire import Request
from undam.wire.tls import expiry_of, issuer_of

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

NO_CONTENT = b"HTTP/1.1 204 No\r\n\r\n"


def test_a_trusted_server_is_accepted(servers: Any, client: Any, authority: Any) -> None:
    server = servers.answer(NO_CONTENT, authority.server)
    received = client.get(server.url("/", "https"), cacert=authority.cacert)
    assert received.stream.tls in {"TLSv1.3", "TLSv1.2"}
    stamps = received.stream.stamps
    assert stamps.start_ns < stamps.connect_ns < stamps.tls_ns < stamps.sent_ns <= stamps.head_ns


def test_the_name_is_sent_and_checked(servers: Any, client: Any, authority: Any) -> None:
    server = servers.answer(NO_CONTENT, authority.server)
    resolve = (
        ("api.undam.test", server.port, "127.0.0.1"),
        ("other.test", server.port, "127.0.0.1"),
    )
    url = server.url("/", "https", "api.undam.test")
    assert client.get(url, cacert=authority.cacert, resolve=resolve).stream.head.status == 204
    with pytest.raises(NetworkError, match=r"not valid for 'other.test'") as caught:
        client.get(server.url("/", "https", "other.test"), cacert=authority.cacert, resolve=resolve)
    assert caught.value.phase == "tls"


def test_an_untrusted_server_is_rejected_with_a_remedy(
    servers: Any, client: Any, authority: Any
) -> None:
    server = servers.answer(NO_CONTENT, authority.server)
    with pytest.raises(NetworkError, match=r"cannot be verified: .*--cacert FILE.*--insecure"):
        client.get(server.url("/", "https"))
    assert client.get(server.url("/", "https"), insecure=True).stream.head.status == 204


def test_a_server_without_tls_is_reported(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        conn.recv(65536)

    with pytest.raises(NetworkError, match="does not use TLS on this port; try http://"):
        client.get(servers.start(script).url("/", "https"))


def test_a_close_during_the_handshake_is_reported(servers: Any, client: Any) -> None:
    with pytest.raises(NetworkError, match="closed the connection during the TLS handshake"):
        client.get(servers.start(lambda conn: conn.recv(65536) and None).url("/", "https"))


def test_a_handshake_that_does_not_end_times_out(servers: Any, client: Any) -> None:
    done = threading.Event()
    server = servers.start(lambda conn: done.wait(10) and None)
    with pytest.raises(NetworkError, match=r"did not finish the TLS handshake within 0\.3 s"):
        client.get(server.url("/", "https"), connect_timeout_s=0.3)
    done.set()


def test_http_to_a_tls_port_is_reported(servers: Any, client: Any, authority: Any) -> None:
    server = servers.answer(NO_CONTENT, authority.server)
    with pytest.raises(Exception, match="https://"):
        client.get(server.url())


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate_is_presented(
    servers: Any, client: Any, authority: Any, version: ssl.TLSVersion
) -> None:
    authority.strict_server.maximum_version = version
    server = servers.answer(NO_CONTENT, authority.strict_server)
    url = server.url("/", "https")
    received = client.get(url, cacert=authority.cacert, cert=authority.client_cert)
    assert received.stream.tls == version.name.replace("_", ".")
    with pytest.raises(NetworkError, match="client certificate: --cert FILE") as caught:
        client.get(url, cacert=authority.cacert)
    assert caught.value.phase == "tls"


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (70, "TLS with 127.0.0.1 failed: .*protocol version"),
        (120, "does not offer this version of HTTP over TLS"),
    ],
)
def test_an_alert_is_explained(servers: Any, client: Any, alert: int, why: str) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(b"\x15\x03\x03\x00\x02\x02" + bytes([alert]))
        conn.recv(65536)

    with pytest.raises(NetworkError, match=why):
        client.get(servers.start(script).url("/", "https"))


def test_a_reset_during_the_handshake_is_reported(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(1)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        conn.close()

    with pytest.raises(NetworkError, match="aborted the TLS handshake: connection reset; if"):
        client.get(servers.start(script).url("/", "https"))


def test_a_close_after_the_handshake_is_reported(servers: Any, client: Any, authority: Any) -> None:
    server = servers.answer(b"", authority.server)
    with pytest.raises(NetworkError, match=r"closed the connection without sending a byte$"):
        client.get(server.url("/", "https"), cacert=authority.cacert)


@pytest.mark.parametrize("option", ["cacert", "cert"])
def test_invalid_certificate_files_are_rejected(client: Any, tmp_path: Path, option: str) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("not a certificate")
    for path in (tmp_path / "absent.pem", tmp_path, junk):
        with pytest.raises(UsageError, match=f"--{option} {path}: ."):
            client.get("https://127.0.0.1:1/", **{option: str(path)})


def test_an_encrypted_key_is_rejected(client: Any, tmp_path: Path) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    leaf = trustme.CA().issue_cert("x@undam.test")
    key = serialization.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    path = tmp_path / "encrypted.pem"
    path.write_bytes(encrypted + leaf.cert_chain_pems[0].bytes())
    with pytest.raises(UsageError, match="key is encrypted"):
        client.get("https://127.0.0.1:1/", cert=str(path))


def test_a_tls_stream_without_close_notify_is_truncated(
    servers: Any, client: Any, authority: Any
) -> None:
    def script(conn: ssl.SSLSocket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
        # Close the TCP connection without sending close_notify.
        conn.shutdown(socket.SHUT_WR)

    received = client.get(
        servers.start(script, authority.server).url("/", "https"), cacert=authority.cacert
    )
    assert (received.ending, received.data) == (Ending.TRUNCATED, b"abc")
    assert "close_notify" in received.stream.error


def test_an_invalid_tls_record_in_the_body_is_an_ending(
    servers: Any, client: Any, authority: Any
) -> None:
    def script(conn: ssl.SSLSocket) -> None:
        conn.recv(65536)
        conn.sendall(b"HTTP/1.1 200 OK\r\n\r\nabc")
        with socket.socket(fileno=conn.fileno()) as raw:
            raw.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
            conn.recv(65536)
            raw.detach()

    received = client.get(
        servers.start(script, authority.server).url("/", "https"), cacert=authority.cacert
    )
    assert (received.ending, received.data) == (Ending.BROKEN, b"abc")
    assert received.stream.error.startswith("TLS with 127.0.0.1 failed: ")


def test_records_of_one_byte_are_received(servers: Any, client: Any, authority: Any) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"

    def script(conn: ssl.SSLSocket) -> None:
        conn.recv(65536)
        for i in range(len(data)):
            conn.sendall(data[i : i + 1])

    server = servers.start(script, authority.server)
    received = client.get(Request(url=server.url("/", "https")), cacert=authority.cacert)
    assert (received.data, received.ending) == (b"hello", Ending.COMPLETE)


@pytest.mark.parametrize("reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_plain_http_server_that_waits_for_a_request_is_detected(
    servers: Any, client: Any, reply: bytes
) -> None:
    def script(conn: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            data = conn.recv(65536)
            if not data:
                return
            received += data
        conn.sendall(reply)

    server = servers.start(script)
    with pytest.raises(NetworkError, match=r"does not use TLS on this port.*try http://") as caught:
        client.get(server.url("/", "https"))
    assert caught.value.phase == "tls"


def test_a_silent_server_is_not_called_a_plain_http_server(servers: Any, client: Any) -> None:
    server = servers.start(lambda conn: bool(conn.recv(65536)) and conn.recv(65536) and None)
    with pytest.raises(NetworkError, match=r"did not finish the TLS handshake within 1\.5 s"):
        client.get(server.url("/", "https"), connect_timeout_s=1.5)


def test_the_issuer_of_the_certificate_is_known_with_and_without_verification(
    servers: Any, client: Any, authority: Any
) -> None:
    server = servers.answer(NO_CONTENT, authority.server)
    for trust in ({"cacert": authority.cacert}, {"insecure": True}):
        issuer = client.get(server.url("/", "https"), **trust).stream.tls_issuer
        assert re.fullmatch(r"O=trustme v[\d.]+, OU=Testing CA #\S+", issuer), issuer
    assert client.get(servers.answer(NO_CONTENT).url()).stream.tls_issuer is None


@pytest.mark.parametrize("der", [b"", b"\x30", b"\x30\x03abc", b"\x30\x82\xff\xff", bytes(40)])
def test_a_malformed_certificate_has_no_issuer_and_no_expiry(der: bytes) -> None:
    assert issuer_of(der) == ""
    assert expiry_of(der) is None


def test_the_expiry_of_the_certificate_is_known_with_and_without_verification(
    servers: Any, client: Any, authority: Any
) -> None:
    server = servers.answer(NO_CONTENT, authority.server)
    for trust in ({"cacert": authority.cacert}, {"insecure": True}):
        expires_s = client.get(server.url("/", "https"), **trust).stream.tls_expires_s
        assert expires_s > time.time()
    assert client.get(servers.answer(NO_CONTENT).url()).stream.tls_expires_s is None


@pytest.mark.parametrize(
    ("not_after", "seconds"),
    [
        (b"\x17\x0d261128123456Z", 1795869296),
        (b"\x17\x0d500101000000Z", -631152000),
        (b"\x17\x0d491231235959Z", 2524607999),
        (b"\x18\x0f20501231235959Z", 2556143999),
        (b"\x17\x0d261328123456Z", None),
        (b"\x17\x0d26112812345\xffZ", None),
    ],
)
def test_both_forms_of_a_date_are_parsed(not_after: bytes, seconds: int | None) -> None:
    validity = element(0x30, b"\x17\x0d200101000000Z" + not_after)
    fields = element(0xA0, b"") + element(2, b"\x01") + element(0x30, b"") * 2 + validity
    assert expiry_of(element(0x30, element(0x30, fields))) == seconds
    assert expiry_of(element(0x30, element(0x30, fields[2:]))) == seconds


def element(tag: int, content: bytes) -> bytes:
    """Return a short DER-encoded element."""
    assert len(content) < 128
    return bytes([tag, len(content)]) + content
