"""Response bodies over sockets: every framing with every content coding, with and without TLS."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from typing import Any

import brotli
import pytest

from support.chunked import chunk
from undam.record import Ending
from undam.wire import Request

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

BODY = b"".join(b'data: {"choices": [{"delta": {"content": "tok%d"}}]}\n\n' % i for i in range(300))


def zstandard(data: bytes) -> bytes:
    zstd: Any = pytest.importorskip("backports.zstd")
    compressed: bytes = zstd.compress(data)
    return compressed


CODINGS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard,
}
ENDINGS = {"chunked": Ending.COMPLETE, "length": Ending.COMPLETE, "close": Ending.CLOSED}


def reply(coding: str, framing: str, body: bytes = BODY) -> bytes:
    coded = CODINGS[coding](body)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
    if coding != "identity":
        head += b"Content-Encoding: " + coding.encode() + b"\r\n"
    if framing == "length":
        return head + b"Content-Length: %d\r\n\r\n" % len(coded) + coded
    if framing == "close":
        return head + b"\r\n" + coded
    parts = [coded[i : i + 999] for i in range(0, len(coded), 999)]
    framed = b"".join(map(chunk, parts))
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("framing", ENDINGS)
def test_a_body_is_received_completely(
    servers: Any, client: Any, authority: Any, framing: str, coding: str, secure: bool
) -> None:
    server = servers.answer(reply(coding, framing), authority.server if secure else None)
    received = client.get(server.url("/", "https" if secure else "http"), cacert=authority.cacert)
    assert received.data == BODY
    assert (received.ending, received.stream.error) == (ENDINGS[framing], None)
    assert received.stream.framing == framing
    assert received.stream.head.get("content-type") == "text/event-stream"
    assert (received.stream.tls is not None) == secure
    if coding != "identity":
        assert sum(a.wire_bytes for a in received.arrivals) == len(CODINGS[coding](BODY))


def test_a_large_body_is_received_in_order(servers: Any, client: Any) -> None:
    body = b"".join(b"%08d" % i for i in range(1_000_000))
    received = client.get(servers.answer(reply("identity", "length", body)).url())
    assert received.data == body
    assert received.ending is Ending.COMPLETE


def test_a_large_request_is_sent_completely(servers: Any, client: Any, authority: Any) -> None:
    body = b"x" * 8_000_000
    for tls in (None, authority.server):
        server = servers.answer(b"HTTP/1.1 204 No\r\n\r\n", tls)
        url = server.url("/", "http" if tls is None else "https")
        received = client.get(Request(url=url, method="POST", body=body), cacert=authority.cacert)
        assert received.stream.head.status == 204
        assert server.heads[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("method", "data", "framing"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "none"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "none"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "length"),
    ],
)
def test_a_response_without_a_body_is_complete(
    servers: Any, client: Any, method: str, data: bytes, framing: str
) -> None:
    received = client.get(Request(url=servers.answer(data).url(), method=method))
    assert (received.arrivals, received.ending, received.stream.framing) == (
        [],
        Ending.COMPLETE,
        framing,
    )


def test_interim_responses_are_skipped_and_counted(servers: Any, client: Any) -> None:
    data = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    )
    received = client.get(servers.answer(data).url())
    assert (received.stream.interim, received.data) == (1, b"a")
    assert received.stream.head.get("link") is None


def test_trailers_are_kept(servers: Any, client: Any) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"
    assert client.get(servers.answer(data).url()).stream.trailers == (("X-Sum", "1"),)


def test_an_error_status_is_not_an_error_of_the_client(servers: Any, client: Any) -> None:
    data = b'HTTP/1.1 429 Slow\r\nContent-Length: 14\r\n\r\n{"error": "x"}'
    received = client.get(servers.answer(data).url())
    assert (received.stream.head.status, received.data) == (429, b'{"error": "x"}')


@pytest.mark.parametrize("drained", [True, False])
def test_a_response_before_the_request_is_read_counts(
    servers: Any, client: Any, drained: bool
) -> None:
    def script(conn: Any) -> None:
        conn.recv(1000)
        conn.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
        while drained and conn.recv(1 << 20):
            pass

    request = Request(url=servers.start(script).url(), method="POST", body=b"x" * 20_000_000)
    received = client.get(request)
    assert (received.stream.head.status, received.data) == (413, b"no")
    assert (received.stream.stamps.sent_ns is not None) == drained


def test_the_request_line_and_headers_sent(servers: Any, client: Any) -> None:
    server = servers.answer(b"HTTP/1.1 204 No\r\n\r\n")
    client.get(
        Request(url=server.url("/v1?a=b#c"), method="POST", headers=(("X", "y"),), body=b"{}")
    )
    assert server.heads[0] == (
        b"POST /v1?a=b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: undam\r\nAccept: */*\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\nContent-Length: 2\r\nX: y\r\n\r\n{}"
        % server.port
    )
