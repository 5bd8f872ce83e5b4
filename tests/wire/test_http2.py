"""HTTP/2 responses: ALPN, prior knowledge, resets, GOAWAY and flow control."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.http2_server import ServerConnection, serving_http2
from support.threaded_server import DONE, serving, token
from support.threaded_server import head as http1_head
from undam.errors import NetworkError, RemoteProtocolError, UsageError
from undam.record import Ending
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream
from undam.wire.config import HttpVersion


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[trustme.CA, str]:
    ca = trustme.CA()
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return ca, str(path)


def _context(ca: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("localhost").configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


def _read(url: str, body: bytes = b"{}", **config: Any) -> tuple[Stream, list[Arrival]]:
    async def run() -> tuple[Stream, list[Arrival]]:
        options = ClientConfig(timeout_s=10, **config)
        request = Request(url=url, method="POST", body=body, headers=(("Connection", "close"),))
        async with await open_stream(request, options) as stream:
            return stream, [arrival async for arrival in stream]

    return asyncio.run(run())


def _prior(url: str, **more: Any) -> tuple[Stream, list[Arrival]]:
    return _read(url, http_version="2", **more)


def test_events_arrive_one_by_one_with_the_time_of_the_kernel() -> None:
    with serving_http2(lambda c: c.stream(20, 0.01)) as server:
        stream, arrivals = _prior(server.url())
    assert (stream.head.status, stream.head.http_version) == (200, "2")
    assert stream.head.get("Content-Type") == "text/event-stream"
    assert (stream.ending, stream.framing, stream.clock) == (Ending.COMPLETE, "frames", "kernel")
    assert len(arrivals) >= 20
    assert arrivals[-1].at_ns - arrivals[0].at_ns > 150_000_000
    assert b"".join(arrival.data for arrival in arrivals).endswith(b"data: [DONE]\n\n")


def test_fields_of_the_request() -> None:
    with serving_http2(lambda c: c.stream(1)) as server:
        _prior(server.url("/a?b=c"))
    (fields,) = server.requests
    assert fields[":method"] == "POST"
    assert fields[":path"] == "/a?b=c"
    assert fields[":scheme"] == "http"
    assert fields[":authority"] == f"localhost:{server.port}"
    assert fields["content-length"] == "2"
    assert not {"host", "connection"} & fields.keys()


@pytest.mark.parametrize(
    ("offered", "wanted", "spoken"),
    [
        (("h2", "http/1.1"), "auto", "2"),
        (("h2",), "auto", "2"),
        (("h2", "http/1.1"), "2", "2"),
    ],
)
def test_http2_over_tls(
    authority: tuple[trustme.CA, str], offered: tuple[str, ...], wanted: HttpVersion, spoken: str
) -> None:
    ca, path = authority
    with serving_http2(lambda c: c.stream(3), _context(ca, *offered)) as server:
        stream, _ = _read(server.url(scheme="https"), cacert=path, http_version=wanted)
    assert stream.head.http_version == spoken
    assert stream.ending is Ending.COMPLETE


@pytest.mark.parametrize(
    ("offered", "wanted"),
    [((), "auto"), (("http/1.1",), "auto"), (("h2", "http/1.1"), "1.1")],
)
def test_http1_over_tls(
    authority: tuple[trustme.CA, str], offered: tuple[str, ...], wanted: HttpVersion
) -> None:
    ca, path = authority
    with serving(
        lambda c, _: c.sendall(http1_head(chunked=False) + token() + DONE), _context(ca, *offered)
    ) as server:
        url = f"https://localhost:{server.port}/"
        stream, _ = _read(url, cacert=path, http_version=wanted)
    assert stream.head.http_version == "1.1"


def test_a_server_without_http2_is_an_error_with_a_remedy(
    authority: tuple[trustme.CA, str],
) -> None:
    ca, path = authority
    with (
        serving(lambda c, _: c.sendall(http1_head()), _context(ca)) as server,
        pytest.raises(NetworkError, match="does not offer HTTP/2; try --http1"),
    ):
        _read(f"https://localhost:{server.port}/", cacert=path, http_version="2")


def test_an_http1_server_does_not_speak_http2() -> None:
    reply = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"
    with (
        serving(lambda c, _: c.sendall(reply)) as server,
        pytest.raises((RemoteProtocolError, NetworkError)),
    ):
        _prior(server.url("/"))


def test_prior_knowledge_cannot_pass_an_http_proxy() -> None:
    with pytest.raises(UsageError, match="--http2"):
        _prior("http://example.test/", proxy="http://127.0.0.1:1")


@pytest.mark.parametrize(("code", "name"), [(2, "INTERNAL_ERROR"), (8, "CANCEL"), (99, "error 99")])
def test_a_reset_in_mid_stream_is_named(code: int, name: str) -> None:
    def script(connection: ServerConnection) -> None:
        connection.stream(5, end=False)
        connection.h2.reset_stream(connection.stream_id, code)
        connection.flush()

    with serving_http2(script) as server:
        stream, arrivals = _prior(server.url())
    assert stream.ending is Ending.RESET
    assert stream.error == f"the server reset the stream (RST_STREAM, {name})"
    assert stream.http2 is not None
    assert stream.http2.reset == name
    assert arrivals


def test_a_reset_before_the_head_is_an_error() -> None:
    def script(connection: ServerConnection) -> None:
        connection.h2.reset_stream(connection.stream_id, 13)
        connection.flush()

    with serving_http2(script) as server, pytest.raises(RemoteProtocolError, match="try --http1"):
        _prior(server.url())


def test_goaway_in_mid_stream() -> None:
    def script(connection: ServerConnection) -> None:
        connection.stream(5, end=False)
        connection.goaway()

    with serving_http2(script) as server:
        stream, _ = _prior(server.url())
    assert stream.ending is Ending.TRUNCATED
    assert stream.http2 is not None
    assert stream.http2.goaway == "NO_ERROR"
    assert "GOAWAY (NO_ERROR)" in str(stream.error)


def test_goaway_that_ignores_the_request_is_an_error() -> None:
    with (
        serving_http2(lambda c: c.goaway(11, last_stream_id=0)) as server,
        pytest.raises(RemoteProtocolError, match="GOAWAY"),
    ):
        _prior(server.url())


def test_the_wait_for_the_window_of_the_server_is_measured() -> None:
    with serving_http2(lambda c: c.stream(2), window_delay_s=0.1) as server:
        stream, _ = _prior(server.url(), body=b"x" * 100_000)
    assert stream.http2 is not None
    assert stream.http2.send_stall_ns > 150_000_000


def test_a_large_head_is_rejected() -> None:
    def script(connection: ServerConnection) -> None:
        connection.head(*((f"x-{n}", "y" * 1000) for n in range(80)))

    with serving_http2(script) as server, pytest.raises(RemoteProtocolError):
        _prior(server.url())


def test_trailers_and_compressed_bodies() -> None:
    import gzip  # noqa: PLC0415

    def script(connection: ServerConnection) -> None:
        connection.head(("content-encoding", "gzip"))
        connection.send(gzip.compress(b"data: x\n\n"))
        connection.h2.send_headers(connection.stream_id, [("x-end", "1")], end_stream=True)
        connection.flush()

    with serving_http2(script) as server:
        stream, arrivals = _prior(server.url())
    assert b"".join(a.data for a in arrivals) == b"data: x\n\n"
    assert stream.trailers == (("x-end", "1"),)
    assert stream.ending is Ending.COMPLETE


def test_the_context_is_not_shared_between_versions(tmp_path: Path) -> None:
    from undam.wire.tls import make_context  # noqa: PLC0415

    assert make_context(ClientConfig(http_version="auto")) is not make_context(ClientConfig())
