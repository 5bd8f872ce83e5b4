"""Bodies over real sockets: every framing with every coding, in the clear and through TLS."""

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

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

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
def test_a_body_comes_whole(
    servers: Any, client: Any, authority: Any, framing: str, coding: str, secure: bool
) -> None:
    far = servers.answer(reply(coding, framing), authority.server if secure else None)
    got = client.get(far.url("/", "https" if secure else "http"), cacert=authority.cacert)
    assert got.data == BODY
    assert (got.ending, got.stream.error) == (ENDINGS[framing], None)
    assert got.stream.framing == framing
    assert got.stream.head.get("content-type") == "text/event-stream"
    assert (got.stream.tls is not None) == secure
    if coding != "identity":
        assert sum(a.wire_bytes for a in got.arrivals) == len(CODINGS[coding](BODY))


def test_a_large_body_comes_whole_and_in_order(servers: Any, client: Any) -> None:
    body = b"".join(b"%08d" % i for i in range(1_000_000))
    got = client.get(servers.answer(reply("identity", "length", body)).url())
    assert got.data == body
    assert got.ending is Ending.COMPLETE


def test_a_large_request_goes_whole(servers: Any, client: Any, authority: Any) -> None:
    body = b"x" * 8_000_000
    for tls in (None, authority.server):
        far = servers.answer(b"HTTP/1.1 204 No\r\n\r\n", tls)
        url = far.url("/", "http" if tls is None else "https")
        got = client.get(Request(url=url, method="POST", body=body), cacert=authority.cacert)
        assert got.stream.head.status == 204
        assert far.heads[0].endswith(b"\r\n\r\n" + body)


@pytest.mark.parametrize(
    ("method", "data", "framing"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", "none"),
        ("GET", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", "none"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "length"),
    ],
)
def test_no_body(servers: Any, client: Any, method: str, data: bytes, framing: str) -> None:
    got = client.get(Request(url=servers.answer(data).url(), method=method))
    assert (got.arrivals, got.ending, got.stream.framing) == ([], Ending.COMPLETE, framing)


def test_interim_heads_are_skipped_and_counted(servers: Any, client: Any) -> None:
    data = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    )
    got = client.get(servers.answer(data).url())
    assert (got.stream.interim, got.data) == (1, b"a")
    assert got.stream.head.get("link") is None


def test_trailers_are_kept(servers: Any, client: Any) -> None:
    data = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n"
    assert client.get(servers.answer(data).url()).stream.trailers == (("X-Sum", "1"),)


def test_an_error_status_is_a_response_like_any_other(servers: Any, client: Any) -> None:
    data = b'HTTP/1.1 429 Slow\r\nContent-Length: 14\r\n\r\n{"error": "x"}'
    got = client.get(servers.answer(data).url())
    assert (got.stream.head.status, got.data) == (429, b'{"error": "x"}')


@pytest.mark.parametrize("drained", [True, False])
def test_an_answer_before_the_request_is_read_counts(
    servers: Any, client: Any, drained: bool
) -> None:
    def script(conn: Any) -> None:
        conn.recv(1000)
        conn.sendall(b"HTTP/1.1 413 Large\r\nContent-Length: 2\r\n\r\nno")
        while drained and conn.recv(1 << 20):
            pass

    request = Request(url=servers.start(script).url(), method="POST", body=b"x" * 20_000_000)
    got = client.get(request)
    assert (got.stream.head.status, got.data) == (413, b"no")
    assert (got.stream.stamps.sent_ns is not None) == drained


def test_the_request_as_it_arrives(servers: Any, client: Any) -> None:
    far = servers.answer(b"HTTP/1.1 204 No\r\n\r\n")
    client.get(Request(url=far.url("/v1?a=b#c"), method="POST", headers=(("X", "y"),), body=b"{}"))
    assert far.heads[0] == (
        b"POST /v1?a=b HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUser-Agent: undam\r\nAccept: */*\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\nContent-Length: 2\r\nX: y\r\n\r\n{}"
        % far.port
    )
