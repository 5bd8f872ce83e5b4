"""A real gateway refuses malformed and ambiguous requests and forwards no part of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.fake_upstream import FakeUpstream, RawConnection, fake_upstream, send_raw
from support.gateway_process import undam_commands
from support.undam_command import ListeningCommand

pytestmark = pytest.mark.live

_LIMIT = 32 << 10
_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: gw\r\n\r\n"


def _post(headers: bytes, body: bytes = b"") -> bytes:
    return b"POST /x HTTP/1.1\r\nHost: gw\r\n" + headers + b"\r\n" + body


def _get(headers: bytes) -> bytes:
    return b"GET /x HTTP/1.1\r\nHost: gw\r\n" + headers + b"\r\n"


_CHUNKED = b"Transfer-Encoding: chunked\r\n"

MALFORMED: dict[str, tuple[bytes, int]] = {
    "length and coding": (
        _post(b"Content-Length: 4\r\n" + _CHUNKED, b"0\r\n\r\n" + _SMUGGLED), 400,
    ),
    "coding and length": (
        _post(_CHUNKED + b"Content-Length: 4\r\n", b"0\r\n\r\n" + _SMUGGLED), 400,
    ),
    "two lengths that differ": (
        _post(b"Content-Length: 0\r\nContent-Length: 5\r\n", b"abcde"), 400,
    ),
    "two lengths that agree": (_post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"abcde"), 400),
    "a list of lengths": (_post(b"Content-Length: 5, 5\r\n", b"abcde"), 400),
    "a length with a sign": (_post(b"Content-Length: +5\r\n", b"abcde"), 400),
    "a negative length": (_post(b"Content-Length: -1\r\n"), 400),
    "a hexadecimal length": (_post(b"Content-Length: 0x5\r\n", b"abcde"), 400),
    "an empty length": (_post(b"Content-Length: \r\n"), 400),
    "a length of 30 digits": (_post(b"Content-Length: " + b"9" * 30 + b"\r\n"), 400),
    "a length over the limit": (_post(b"Content-Length: 99999999999\r\n"), 413),
    "coding twice": (_post(_CHUNKED * 2, b"0\r\n\r\n"), 400),
    "coding chunked, chunked": (
        _post(b"Transfer-Encoding: chunked, chunked\r\n", b"0\r\n\r\n"), 501,
    ),
    "coding identity": (_post(b"Transfer-Encoding: identity\r\n"), 501),
    "coding gzip, chunked": (_post(b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"), 501),
    "coding xchunked": (_post(b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"), 501),
    "coding in quotes": (_post(b'Transfer-Encoding: "chunked"\r\n', b"0\r\n\r\n"), 501),
    "coding with a vertical tab": (_post(b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"), 400),
    "coding in HTTP/1.0": (b"POST /x HTTP/1.0\r\n" + _CHUNKED + b"\r\n0\r\n\r\n", 400),
    "coding folded": (_post(b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"), 400),
    "coding, space before the colon": (
        _post(b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"), 400,
    ),
    "coding with an underscore": (_post(b"Transfer_Encoding: chunked\r\n", b"0\r\n\r\n"), 400),
    "length with an underscore": (_post(b"Content_Length: 5\r\n"), 400),
    "a folded header": (_get(b"X-A: b\r\n c: d\r\n"), 400),
    "a line of spaces": (_get(b" \r\n"), 400),
    "a bare LF in a header": (_get(b"X-A: b\nX-B: c\r\n"), 400),
    "bare LFs throughout": (b"GET /x HTTP/1.1\nHost: gw\n\n", 400),
    "a bare CR in a header": (_get(b"X-A: b\rX-B: c\r\n"), 400),
    "a NUL in a value": (_get(b"X-A: b\x00c\r\n"), 400),
    "a control character in a value": (_get(b"X-A: b\x01c\r\n"), 400),
    "a NUL in a name": (_get(b"X\x00A: b\r\n"), 400),
    "no colon": (_get(b"Nonsense\r\n"), 400),
    "no name": (_get(b": value\r\n"), 400),
    "a space in a name": (_get(b"X A: b\r\n"), 400),
    "no host": (b"GET /x HTTP/1.1\r\n\r\n", 400),
    "two hosts": (_get(b"Host: other\r\n"), 400),
    "a host with a path": (b"GET /x HTTP/1.1\r\nHost: gw/x\r\n\r\n", 400),
    "a host with user information": (b"GET /x HTTP/1.1\r\nHost: a@gw\r\n\r\n", 400),
    "a URL of another host": (b"GET http://other/x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "a URL of another scheme": (b"GET ftp://gw/x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "a target without a slash": (b"GET x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "a space in the target": (b"GET /x y HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "a control character in the target": (b"GET /x\x7f HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "a fragment": (b"GET /x#y HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "dots in the path": (b"GET /a/../-/x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "encoded dots in the path": (b"GET /a/%2E%2e/x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "a tab in the request line": (b"GET\t/x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "no version": (b"GET /x\r\nHost: gw\r\n\r\n", 400),
    "the HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/1.2": (b"GET /x HTTP/1.2\r\nHost: gw\r\n\r\n", 505),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "an empty method": (b" /x HTTP/1.1\r\nHost: gw\r\n\r\n", 400),
    "CONNECT": (b"CONNECT gw:443 HTTP/1.1\r\nHost: gw:443\r\n\r\n", 501),
    "TRACE": (b"TRACE /x HTTP/1.1\r\nHost: gw\r\n\r\n", 405),
    "a WebSocket handshake with a body": (
        _post(b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n"), 400,
    ),
    "an unknown expectation": (_post(b"Expect: 200-ok\r\nContent-Length: 1\r\n"), 417),
    "a chunk size that is not a number": (_post(_CHUNKED, b"zz\r\nab\r\n0\r\n\r\n"), 400),
    "a chunk size with 0x": (_post(_CHUNKED, b"0x2\r\nab\r\n0\r\n\r\n"), 400),
    "a chunk size with a sign": (_post(_CHUNKED, b"+2\r\nab\r\n0\r\n\r\n"), 400),
    "a chunk size of 17 digits": (_post(_CHUNKED, b"10000000000000002\r\nab\r\n0\r\n\r\n"), 400),
    "an empty chunk size": (_post(_CHUNKED, b"\r\nab\r\n0\r\n\r\n"), 400),
    "a bare LF after a chunk size": (_post(_CHUNKED, b"2\nab\r\n0\r\n\r\n"), 400),
    "a chunk that is too long": (_post(_CHUNKED, b"2\r\nabc\r\n0\r\n\r\n"), 400),
    "a bare LF after a chunk": (_post(_CHUNKED, b"2\r\nab\n0\r\n\r\n"), 400),
    "an extension of 1000 bytes": (
        _post(_CHUNKED, b"2;" + b"e" * 1000 + b"\r\nab\r\n0\r\n\r\n"), 400,
    ),
    "a bare CR in an extension": (_post(_CHUNKED, b"2;a\rb\r\nab\r\n0\r\n\r\n"), 400),
    "a trailer without a colon": (_post(_CHUNKED, b"0\r\nnonsense\r\n\r\n"), 400),
    "a head over the limit": (_get(b"X-A: " + b"a" * _LIMIT + b"\r\n"), 431),
    "a request line over the limit": (b"GET /" + b"a" * (_LIMIT + 1), 431),
    "too many headers": (_get(b"A: b\r\n" * 200), 431),
}  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[FakeUpstream]:
    with fake_upstream() as one:
        yield one


@pytest.fixture(scope="module")
def gateway(
    upstream: FakeUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ListeningCommand]:
    folder: Path = tmp_path_factory.mktemp("smuggling")
    with undam_commands(folder) as run:
        yield run("gateway", "--upstream", upstream.url)


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_request_is_refused_and_not_forwarded(
    name: str, gateway: ListeningCommand, upstream: FakeUpstream
) -> None:
    data, status = MALFORMED[name]
    before = len(upstream.received)
    # Data after a malformed request must not be parsed as another request.
    response = send_raw(gateway.port, data + (b"" if status in (413, 431) else _SMUGGLED))
    assert response.startswith(b"HTTP/1.1 %d " % status)
    assert response.count(b"\r\n\r\n") == 1
    assert b'"message":' in response
    assert upstream.received[before:] == b""


def test_a_valid_request_is_still_served_afterwards(
    gateway: ListeningCommand, upstream: FakeUpstream
) -> None:
    before = len(upstream.requests)
    assert send_raw(gateway.port, _get(b"Connection: close\r\n")).endswith(b"\r\n\r\nok")
    assert len(upstream.requests) == before + 1


def test_a_malformed_request_behind_a_valid_one_is_refused(
    gateway: ListeningCommand, upstream: FakeUpstream
) -> None:
    before = len(upstream.requests)
    with RawConnection(
        gateway.port, _get(b"") + _post(b"Content-Length: 1\r\n" + _CHUNKED)
    ) as connection:
        responses = connection.rest()
    assert responses.startswith(b"HTTP/1.1 200 ")
    assert responses.count(b"HTTP/1.1 400 ") == 1
    assert len(upstream.requests) == before + 1
