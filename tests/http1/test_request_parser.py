"""The request parser agrees with llhttp on every accepted request, for any split into reads."""

from __future__ import annotations

import re

import httptools
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from undam.http1.request_parser import BadRequest, RequestHead, RequestParser, parse_request_head

_MAX = 2000


def _read(data: bytes, cuts: list[int]) -> list[tuple[RequestHead, bytes]]:
    parser, done = RequestParser(_MAX, _MAX), []
    head: RequestHead | None = None
    body = b""
    at = 0
    for size in [*cuts, len(data)]:
        parser.receive_data(data[at : at + size])
        at += size
        while True:
            if head is None and (head := parser.head()) is None:
                break
            piece, complete = parser.body()
            body += piece
            if not complete:
                break
            done.append((head, body))
            head, body = None, b""
    return done


class _Llhttp:
    def __init__(self) -> None:
        self.target = self.body = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.done: list[tuple[bytes, list[tuple[bytes, bytes]], bytes]] = []
        self.complete_head = False

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.complete_head:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self.complete_head = True

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.done.append((self.target, self.headers, self.body))
        self.target = self.body = b""
        self.headers, self.complete_head = [], False


_PIECES = st.sampled_from(
    [
        b"POST /a HTTP/1.1\r\n", b"GET / HTTP/1.1\r\n", b"POST /b?c HTTP/1.0\r\n", b"Host: gw\r\n",
        b"Host: gw\r\n\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"\r\n", b"abc",
        b"Transfer-Encoding: chunked\r\n", b"3\r\nabc\r\n", b"0\r\n\r\n", b"3;x=y\r\nabc\r\n",
        b"0\r\nA: b\r\n\r\n", b"\n", b"\r", b" ", b"\x00", b"X-A:  v \t\r\n", b"a:\r\n", b":",
        b"\xff", b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"00003\r\nabc\r\n",
        b"\t",
    ]
)  # fmt: skip


@given(st.lists(_PIECES, max_size=14), st.lists(st.integers(1, 30), max_size=20))
@example(
    [
        b"POST /a HTTP/1.1\r\n",
        b"Host: gw\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"\r\n",
        b"3;x=y\r\nabc\r\n",
        b"0\r\nA: b\r\n\r\n",
        b"GET / HTTP/1.1\r\n",
        b"Host: gw\r\n\r\n",
    ],
    [],
)
@example([b"POST /a HTTP/1.1\r\n", b"Host: gw\r\n", b"Content-Length: 3\r\n", b"\r\n", b"abc"], [])
@example([b"GET / HTTP/1.1\r\n", b"X-A:  v \t\r\n", b"Host: gw\r\n\r\n"], [])
def test_accepted_requests_are_parsed_the_same_by_llhttp(
    pieces: list[bytes], cuts: list[int]
) -> None:
    data = b"".join(pieces)
    try:
        done = _read(data, cuts)
    except BadRequest:
        return
    other = _Llhttp()
    try:
        httptools.HttpRequestParser(other).feed_data(data)
    except httptools.HttpParserError:
        # After the last complete message, llhttp may reject an incomplete message.
        assert len(other.done) >= len(done)
    for (head, body), (target, headers, llhttp_body) in zip(done, other.done, strict=False):
        assert head.target.encode() == target
        # llhttp keeps trailing spaces, which are not part of the value (RFC 9110, 5.5).
        assert [(name, value.rstrip(b" \t")) for name, value in headers] == head.headers
        assert body == llhttp_body
    assert len(other.done) >= len(done)


_NAMES = st.sampled_from(
    [b"Host", b"content-length", b"Transfer-Encoding", b"Connection", b"Upgrade", b"Expect", b"A",
     b"x-request-id", b"Content-Type", b"-", b"X_a", b"Proxy-Connection"]
)  # fmt: skip
_VALUES = st.sampled_from(
    [b"gw", b"gw:80", b"3", b"0", b"chunked", b"close", b"upgrade", b"keep-alive, upgrade", b"h2c",
     b"websocket", b"100-continue", b"a  b", b"a ", b"", b"\xe9", b"a:b", b"\"x\"", b"-1", b"1e3"]
)  # fmt: skip


@given(
    st.sampled_from([b"GET", b"POST", b"PUT", b"CONNECT"]),
    st.sampled_from([b"/", b"/v1/chat-completions_", b"/a?b", b"/../a", b"//a", b"*", b"/%2e%2e/"]),
    st.sampled_from([b"1.1", b"1.0", b"2.0"]),
    st.lists(st.tuples(_NAMES, _VALUES), max_size=5),
    st.booleans(),
)
def test_the_plain_pattern_gives_the_same_result_as_llhttp(
    method: bytes, target: bytes, version: bytes, fields: list[tuple[bytes, bytes]], host: bool
) -> None:
    fields = [(b"Host", b"gw")] * host + fields
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in fields)
    data = b"%b %b HTTP/%b\r\n%b\r\n" % (method, target, version, lines)
    plain = _result(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("undam.http1.request_parser._PLAIN", re.compile(rb"(?!)"))
        assert plain == _result(data)


def _result(data: bytes) -> RequestHead | tuple[int, str]:
    try:
        return parse_request_head(data)
    except BadRequest as error:
        return error.status, str(error)


def test_the_cuts_between_reads_do_not_matter() -> None:
    data = (
        b"POST /a HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\nA ; e=1\r\n0123456789\r\n0\r\nT: x\r\n\r\n"
        b"\r\nGET /b HTTP/1.1\r\nHost: gw\r\n\r\n"
    )
    whole = _read(data, [])
    assert [(head.target, body) for head, body in whole] == [("/a", b"abc0123456789"), ("/b", b"")]
    for size in range(1, 40):
        assert _read(data, [size] * len(data)) == whole


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (b"\x16\x03\x01", 400),
        (b"GET / HTTP/1.1\nHost", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rb", 400),
        (b"G" * (_MAX + 1), 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 500, 431),
    ],
)
def test_a_head_that_cannot_become_valid_is_refused_at_once(begin: bytes, status: int) -> None:
    parser = RequestParser(_MAX, _MAX)
    parser.receive_data(begin)
    with pytest.raises(BadRequest) as caught:
        parser.head()
    assert caught.value.status == status


@pytest.mark.parametrize(
    "body",
    [
        b"zz", b"2\n", b"2\r\nabcd", b"-1\r\n", b"123456789\r\n", b"2;" + b"x" * 300, b"2;\x01\r\n",
        b"\r\n", b" 2\r\n", b"2 2\r\n", b";x\r\n", b"0\r\nA b\r\n\r\n",
        b"0\r\n" + b"A: b\r\n" * 900,
        b"0\r\nA\x00: b\r\n\r\n", b"0\r\n b\r\n\r\n", b"0\r\nA: b\n\n", b"2\r\nab\rx",
        b"1\r\na\r\n" * 20000,
    ],
)  # fmt: skip
def test_a_malformed_chunked_body_is_refused(body: bytes) -> None:
    parser = RequestParser(_MAX, 1 << 20)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
    assert parser.head() is not None
    with pytest.raises(BadRequest) as caught:
        parser.body()
    assert caught.value.status == 400


def test_a_chunked_body_over_the_limit_is_refused() -> None:
    parser = RequestParser(_MAX, 10)
    parser.receive_data(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n")
    assert parser.head() is not None
    assert parser.body() == (b"", False)
    parser.receive_data(b"x" * 20)
    with pytest.raises(BadRequest) as caught:
        parser.body()
    assert caught.value.status == 413
