"""A real gateway forwards requests and responses unchanged, except for hop-by-hop headers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.fake_upstream import (
    CHAT,
    DONE,
    STREAM_HEAD,
    FakeUpstream,
    RawConnection,
    UpstreamRequest,
    chat_request,
    event,
    fake_upstream,
    is_complete,
    send_raw,
    split_response,
)
from support.gateway_process import undam_commands
from support.undam_command import ListeningCommand

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_EVENTS = [event(), *(event(f"token {number} \N{SNOWMAN}") for number in range(20)), DONE]


def _stream(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    for one in _EVENTS:
        request.chunks(one)
        time.sleep(0.002)
    request.send(LAST_CHUNK)


def _once(request: UpstreamRequest) -> None:
    """Announce `Connection: close`, but let the gateway close the connection."""
    request.send(STREAM_HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    for one in _EVENTS:
        request.chunks(one)
        time.sleep(0.002)
    request.send(LAST_CHUNK)


def _upper_case(request: UpstreamRequest) -> None:
    """Send chunk-size lines with leading zeros and an extension, as hyper (Rust) writes them."""
    request.send(STREAM_HEAD)
    for one in _EVENTS:
        request.send(b"%X\r\n%b\r\n" % (len(one), one))
    request.send(b"0003;x=y\r\n: c\r\n", b"2\r\n\n\n\r\n", b"0\r\nX-Trailer: a\r\n\r\n")


def _cut_up(request: UpstreamRequest) -> None:
    """Send every byte in a separate write."""
    request.send(STREAM_HEAD)
    for byte in b"".join(chunk(one) for one in _EVENTS[-4:]) + LAST_CHUNK:
        request.send(bytes([byte]))


def _all_at_once(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD + b"".join(chunk(one) for one in _EVENTS) + LAST_CHUNK)


def _crlf(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    request.chunks(*(one.replace(b"\n", b"\r\n") for one in _EVENTS))
    request.send(LAST_CHUNK)


def _with_length(request: UpstreamRequest) -> None:
    body = b"".join(_EVENTS)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n"
    request.send(head % len(body), body)


def _until_close(request: UpstreamRequest) -> str:
    request.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", *_EVENTS)
    return "close"


def _echo(request: UpstreamRequest) -> None:
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n"
    )
    request.send(head % len(request.body), request.body)


def _bare_head(request: UpstreamRequest) -> str:
    request.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-Own: yes\r\n\r\n")
    return "close"


def _hints(request: UpstreamRequest) -> None:
    request.send(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    request.send(
        b"HTTP/1.1 201 Fine\r\nConnection: X-Private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\n"
        b"Content-Length: 2\r\n\r\nok"
    )


class Pair(NamedTuple):
    upstream: FakeUpstream
    gateway: ListeningCommand

    def last(self) -> UpstreamRequest:
        return self.upstream.requests[-1]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    handlers = {
        "stream": _stream, "upper_case": _upper_case, "cut_up": _cut_up, "crlf": _crlf,
        "all_at_once": _all_at_once, "with_length": _with_length, "until_close": _until_close,
        "echo": _echo, "bare_head": _bare_head, "hints": _hints,
        "once": _once,
    }  # fmt: skip
    with (
        fake_upstream(**handlers) as upstream,
        undam_commands(tmp_path_factory.mktemp("relay")) as run,
    ):
        gateway = run(
            "gateway", "--upstream", upstream.url + "/base", "--max-body", str(16 << 20),
        )  # fmt: skip
        yield Pair(upstream, gateway)


@pytest.mark.parametrize(
    "handler",
    ["stream", "all-at-once", "with-length", "until-close", "cut-up", "crlf", "upper-case"],
)
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_an_event_stream_arrives_byte_for_byte(pair: Pair, handler: str, version: bytes) -> None:
    request = chat_request(handler, headers=CLOSE).replace(b"HTTP/1.1", b"HTTP/" + version)
    response = send_raw(pair.gateway.port, request)
    head, body = split_response(response)
    expected = b"".join(_EVENTS[-4:] if handler == "cut-up" else _EVENTS)
    if handler == "crlf":
        expected = expected.replace(b"\n", b"\r\n")
    if handler == "upper-case":
        expected += b": c\n\n"
    assert body == expected
    low = head.lower()
    assert low.startswith(b"http/1.1 200 ")
    assert (b"transfer-encoding: chunked" in low) is (version == b"1.1")
    assert is_complete(response) is (version == b"1.1")
    for line in (b"no-transform", b"x-accel-buffering: no", b"incremental: ?1"):
        assert low.count(line) == 1
    assert b"keep-alive" not in low


def test_each_read_of_a_stream_is_one_write(pair: Pair) -> None:
    with RawConnection(pair.gateway.port, chat_request("stream", headers=CLOSE)) as connection:
        connection.rest()
    # Nearly every event arrives in a separate read; a few may share a read.
    assert len(connection.reads) > len(_EVENTS) * 0.6


def test_the_upstream_gets_forwarding_headers_and_no_hop_by_hop_headers(pair: Pair) -> None:
    headers = (
        f"{CLOSE}Authorization: Bearer k\r\nAccept-Encoding: gzip\r\nX-Request-Id: abc-1\r\n"
        "TE: trailers\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\nX-Hop: 1\r\n"
        "X-Forwarded-For: 9.9.9.9\r\nX-Forwarded-Proto: gopher\r\nForwarded: for=9.9.9.9\r\n"
        "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"
    )
    request = chat_request("stream", headers=headers).replace(b"close", b"close, X-Hop", 1)
    response = send_raw(pair.gateway.port, request)
    forwarded = pair.last()
    assert forwarded.head.startswith(f"POST /base{CHAT} HTTP/1.1\r\n".encode())
    assert forwarded.header("host") == f"127.0.0.1:{pair.upstream.port}"
    assert forwarded.header("authorization") == "Bearer k"
    assert forwarded.header("x-request-id") == "abc-1"
    assert b"X-Request-Id: abc-1\r\n" in response
    for gone in ("accept-encoding", "te", "keep-alive", "proxy-connection", "upgrade", "x-hop",
                 "connection", "transfer-encoding"):  # fmt: skip
        assert forwarded.header(gone) is None, gone
    assert forwarded.header("x-forwarded-for") == "9.9.9.9, 127.0.0.1"
    assert forwarded.header("x-forwarded-proto") == "http"
    assert forwarded.header("x-forwarded-host") == "gw"
    assert forwarded.header("forwarded") == 'for=9.9.9.9, for=127.0.0.1;proto=http;host="gw"'
    assert (forwarded.header("traceparent") or "").startswith(
        "00-0af7651916cd43dd8448eb211c80319c-"
    )
    assert forwarded.head.lower().count(b"x-forwarded-proto") == 1


def test_a_malformed_request_id_is_replaced(pair: Pair) -> None:
    send_raw(pair.gateway.port, chat_request("stream", headers=CLOSE + "X-Request-Id: a b<c>\r\n"))
    ident = pair.last().header("x-request-id") or ""
    assert len(ident) == 32
    assert ident.isalnum()


def test_any_path_and_method_are_forwarded(pair: Pair) -> None:
    body = bytes(range(256)) * 20
    head = (
        b"FROB /any/path?q=%%2e%%2e&x HTTP/1.1\r\nHost: gw\r\nX-Handler: echo\r\n"
        b"Connection: close\r\n"
    )
    length = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = (
        head
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunk(body[:99])
        + chunk(body[99:])
        + LAST_CHUNK
    )
    for request in (length.replace(b"%%", b"%"), chunks.replace(b"%%", b"%")):
        assert split_response(send_raw(pair.gateway.port, request))[1] == body
        assert pair.last().head.startswith(b"FROB /base/any/path?q=%2e%2e&x HTTP/1.1")


def test_an_absolute_url_is_reduced_to_its_path(pair: Pair) -> None:
    send_raw(
        pair.gateway.port, b"GET http://gw/x?y HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n\r\n"
    )
    assert pair.last().head.startswith(b"GET /base/x?y HTTP/1.1")


def test_the_response_to_head_keeps_its_length_and_has_no_body(pair: Pair) -> None:
    request = b"HEAD /x HTTP/1.1\r\nHost: gw\r\nX-Handler: bare-head\r\nConnection: close\r\n\r\n"
    head, body = split_response(send_raw(pair.gateway.port, request))
    assert b"Content-Length: 1234" in head
    assert body == b""


def test_interim_responses_and_hop_by_hop_headers_are_not_forwarded(pair: Pair) -> None:
    response = send_raw(pair.gateway.port, chat_request("hints", stream=False, headers=CLOSE))
    assert response.startswith(b"HTTP/1.1 201 Fine\r\n")
    assert response.endswith(b"\r\n\r\nok")
    assert b"private" not in response.lower()
    assert b"keep-alive" not in response.lower()


def test_pipelined_requests_are_answered_in_order_over_one_upstream_connection(pair: Pair) -> None:
    request = [chat_request("echo", stream=False, number=number) for number in range(5)]
    before = pair.upstream.connections
    with RawConnection(pair.gateway.port, b"".join(request)) as connection:
        connection.until(b'"number": 4}')
    positions = [connection.data.index(b'"number": %d}' % number) for number in range(5)]
    assert positions == sorted(positions)
    assert pair.upstream.connections - before <= 1


@pytest.mark.parametrize(("handler", "opened"), [("stream", 0), ("once", 3)])
def test_a_connection_is_reused_after_a_stream_if_the_upstream_allows_it(
    pair: Pair, handler: str, opened: int
) -> None:
    send_raw(pair.gateway.port, chat_request("stream", headers=CLOSE))
    before = pair.upstream.connections
    for _ in range(4):
        assert is_complete(send_raw(pair.gateway.port, chat_request(handler, headers=CLOSE)))
    assert pair.upstream.connections - before == opened


def test_a_client_may_wait_for_100_continue(pair: Pair) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: gw\r\nX-Handler: echo\r\nExpect: 100-continue\r\n"
    with RawConnection(
        pair.gateway.port, head + b"Connection: close\r\nContent-Length: 5\r\n\r\n"
    ) as connection:
        assert connection.until(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sock.sendall(b"hello")
        assert connection.rest().endswith(b"\r\n\r\nhello")
    assert pair.last().header("expect") is None


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_body_too_large_to_buffer_is_streamed(pair: Pair, framing: str) -> None:
    body = bytes(range(256)) * (43 << 10)
    head = b"POST /x HTTP/1.1\r\nHost: gw\r\nX-Handler: echo\r\nConnection: close\r\n"
    if framing == "length":
        request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        pieces = (body[at : at + 50_000] for at in range(0, len(body), 50_000))
        request = (
            head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(chunk, pieces)) + LAST_CHUNK
        )
    response = send_raw(pair.gateway.port, request)
    got = split_response(pair.last().head + b"\r\n\r\n" + pair.last().body)[1]
    assert got == body
    assert response.startswith(b"HTTP/1.1 200 ")


def test_a_streamed_body_over_the_limit_is_refused(pair: Pair) -> None:
    head = b"POST /x HTTP/1.1\r\nHost: gw\r\nTransfer-Encoding: chunked\r\n\r\n"
    with RawConnection(pair.gateway.port, head) as connection:
        for _ in range(20):
            connection.sock.sendall(chunk(bytes(1 << 20)))
        assert connection.rest().startswith(b"HTTP/1.1 413 ")
    assert pair.gateway.get("/-/healthz")[0] == 200
