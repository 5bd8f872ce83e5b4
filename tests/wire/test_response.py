"""Parsing responses: whole, byte by byte, and split at random offsets."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.wire.response import ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
CLOSE = OK + b"Content-Length: 2\r\nConnection: close\r\n\r\n"
NOT_FOUND = b"HTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nx"
# (bytes, method, status, framing, body, complete)
RESPONSES = [
    (OK + b"Content-Length: 5\r\n\r\nhello", "GET", 200, "length", b"hello", True),
    (OK + b"Content-Length: 5\r\n\r\nhel", "GET", 200, "length", b"hel", False),
    (OK + b"Content-Length: 0\r\n\r\n", "GET", 200, "length", b"", True),
    (OK + b"\r\nhello", "GET", 200, "close", b"hello", False),
    (b"HTTP/1.0 200 OK\r\n\r\nhi", "GET", 200, "close", b"hi", False),
    (
        OK + b"Transfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n",
        "GET", 200, "chunked", b"abc0123456789", True,
    ),
    (
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: 1\r\nU: 2\r\n\r\n",
        "POST", 200, "chunked", b"a", True,
    ),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", "GET", 200, "chunked", b"a", False),
    (OK + b"Transfer-Encoding: gzip\r\n\r\nabc", "GET", 200, "close", b"abc", False),
    (OK + b"Content-Length: 5\r\n\r\n", "HEAD", 200, "none", b"", True),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n", "HEAD", 200, "none", b"", True),
    (b"HTTP/1.1 204 No\r\n\r\n", "GET", 204, "none", b"", True),
    (b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", "GET", 304, "none", b"", True),
    (b"HTTP/1.1 200 Tunnel\r\n\r\n", "CONNECT", 200, "none", b"", True),
    (
        b"HTTP/1.1 100 Go\r\n\r\nHTTP/1.1 103 Hint\r\nLink: x\r\n\r\n" + NOT_FOUND,
        "GET", 404, "length", b"x", True,
    ),
    (CLOSE + b"hiJUNK", "GET", 200, "length", b"hi", True),
    (OK + b"Content-Length: 1\r\n\r\na" + OK + b"\r\nno", "GET", 200, "length", b"a", True),
]  # fmt: skip


def parse(data: bytes, method: str, cuts: list[int]) -> tuple[ResponseParser, bytes]:
    parser = ResponseParser(method=method)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in itertools.pairwise(edges)]
    body = b"".join(b"".join(parser.receive_data(piece)) for piece in pieces)
    return parser, body


def feed(parser: ResponseParser, pieces: list[bytes]) -> None:
    for piece in pieces:
        parser.receive_data(piece)


def check(index: int, cuts: list[int]) -> None:
    data, method, status, framing, body, complete = RESPONSES[index]
    parser, received = parse(data, method, cuts)
    assert parser.head is not None
    assert (parser.head.status, parser.framing, received, parser.complete) == (
        status,
        framing,
        body,
        complete,
    )


@pytest.mark.parametrize("index", range(len(RESPONSES)))
def test_a_response_is_parsed_whole_and_byte_by_byte(index: int) -> None:
    check(index, [])
    check(index, list(range(len(RESPONSES[index][0]))))


@given(st.integers(0, len(RESPONSES) - 1), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_response_is_parsed_with_any_cuts(index: int, cuts: list[int]) -> None:
    check(index, cuts)


def test_head_trailers_interim_and_transfer_codings_are_kept() -> None:
    data = (
        b"HTTP/1.1 103 Hint\r\nLink: no\r\n\r\n" + OK + b"X-A: \xe9\r\nx-a: 2\r\nEmpty:\r\n"
        b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\nTrailer: t\r\n\r\n"
    )
    parser, _ = parse(data, "GET", [])
    assert parser.head is not None
    assert parser.head.http_version == "1.1"
    assert parser.head.headers[:3] == (("X-A", "é"), ("x-a", "2"), ("Empty", ""))
    assert parser.head.all("X-a") == ("é", "2")
    assert parser.trailers == (("Trailer", "t"),)
    assert parser.interim == 1
    assert parser.transfer_codings == ("gzip",)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not use HTTP; it sent 'SSH-2.0-OpenSSH_9.6\\r\\n'"),
        (b"\x00\xffbinary", "it sent '\\x00\\xffbinary'"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "uses TLS on this port; try https://"),
        (b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18), "accepts only HTTP/2"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "the response head is not valid HTTP"),
        (OK + b"Content-Length: -1\r\n\r\n", "the response head is not valid HTTP"),
        (OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length"),
        (OK + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "Content-Length"),
        (b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81", "switched protocols"),
        (b"HTTP/1.1 101 S\r\n\r\n", "switched protocols"),
    ],
)
def test_an_invalid_response_is_reported(data: bytes, why: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        ResponseParser().receive_data(data)
    assert why in str(caught.value)


def test_body_bytes_before_an_invalid_chunk_are_kept() -> None:
    parser = ResponseParser()
    with pytest.raises(RemoteProtocolError, match="chunk size"):
        parser.receive_data(OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n")
    assert parser.take_body() == [b"abc"]
    assert parser.take_body() == []


@pytest.mark.parametrize("size", [1, 7, 1000, 65536])
def test_an_endless_head_is_bounded(size: int) -> None:
    parser = ResponseParser(max_head_bytes=5000)
    endless = [OK, *[b"X-Filler: " + b"y" * size + b"\r\n"] * 1000]
    with pytest.raises(RemoteProtocolError, match="head is larger than 5000 bytes"):
        feed(parser, endless)
    assert parser.received_bytes < 5000 + len(endless[-1])


def test_interim_heads_count_towards_the_bound() -> None:
    parser = ResponseParser(max_head_bytes=1000)
    with pytest.raises(RemoteProtocolError, match="larger than 1000"):
        feed(parser, [b"HTTP/1.1 100 Continue\r\n\r\n"] * 100)


@pytest.mark.parametrize("filler", [b"T: " + b"x" * 90 + b"\r\n", b"x" * 95])
def test_endless_trailers_are_bounded(filler: bytes) -> None:
    parser = ResponseParser(max_head_bytes=1000)
    parser.receive_data(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nT: ")
    with pytest.raises(RemoteProtocolError, match="larger than 1000"):
        feed(parser, [filler] * 100)


def test_the_body_does_not_count_towards_the_bound() -> None:
    parser = ResponseParser(max_head_bytes=1000)
    parser.receive_data(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(1000):
        assert parser.receive_data(b"5\r\nhello\r\n") == [b"hello"]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_errors_are_one_line_for_any_bytes(pieces: list[bytes]) -> None:
    for start in (b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"):
        parser = ResponseParser(max_head_bytes=200)
        message = ""
        try:
            feed(parser, [start, *pieces])
        except RemoteProtocolError as error:
            message = str(error)
        assert "\n" not in message
