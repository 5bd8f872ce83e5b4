"""HTTP/2 on the TLS listener: many streams per connection, each handled as with HTTP/1.1."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import pytest
import trustme

from support.eventually import eventually_async
from support.gateway_in_loop import LoopGateway, LoopUpstream, UpstreamCall, loop_gateway
from undam.gateway.http.response_splitter import ResponseSplitter
from undam.gateway.relay import http2_session
from undam.gateway.relay.http2_session import Http2Session, _request_head

_BODY = {"model": "m", "stream": True, "messages": []}
_REQUEST = [(":method", "POST"), (":scheme", "https"), (":authority", "x")]
_PATH = "/v1/chat/completions"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@contextlib.asynccontextmanager
async def _running(
    authority: trustme.CA, upstream: LoopUpstream, **values: object
) -> AsyncIterator[tuple[LoopGateway, httpx.AsyncClient]]:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    server.set_alpn_protocols(["h2", "http/1.1"])
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with loop_gateway(upstream, tls=server, **values) as running:  # type: ignore[arg-type]
        url = f"https://127.0.0.1:{running.port}"
        async with httpx.AsyncClient(
            http1=False, http2=True, verify=trusting, base_url=url
        ) as client:
            yield running, client


async def _tokens(call: UpstreamCall) -> None:
    await call.stream(*"abcdefghij", gap_s=0.02)


def test_ten_streams_share_one_connection(authority: trustme.CA) -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_tokens).start()
        async with _running(authority, upstream) as (running, client):

            async def one() -> int:
                reads = 0
                async with client.stream("POST", _PATH, json=_BODY) as response:
                    assert (response.status_code, response.http_version) == (200, "HTTP/2")
                    assert response.headers["content-type"] == "text/event-stream"
                    body = b""
                    async for piece in response.aiter_raw():
                        reads += 1
                        body += piece
                assert body.count(b'"content"') == 10
                assert body.endswith(b"data: [DONE]\n\n")
                return reads

            reads = await asyncio.gather(*(one() for _ in range(10)))
            assert min(reads) >= 5  # The tokens arrived one by one.
            assert len(running.gateway.context.sessions) == 1
            await eventually_async(lambda: not running.gateway._clients)
            assert {one.end_reason for one in running.records} == {"complete"}

    asyncio.run(main())


def test_requests_and_responses_of_all_kinds(authority: trustme.CA) -> None:
    large = b"A" * 3_000_000

    async def handler(call: UpstreamCall) -> None:
        if call.head.startswith(b"HEAD"):
            call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n")
        elif call.target == "/empty":
            call.writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        elif call.target == "/large":
            await call.respond(body=large)
        else:
            await call.respond(201, call.body, head="Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n")

    async def main() -> None:
        upstream = await LoopUpstream(handler).start()
        async with _running(authority, upstream) as (running, client):
            echoed = await client.post("/echo?x=1", content=large)
            assert (echoed.status_code, echoed.content) == (201, large)
            assert echoed.headers.get_list("set-cookie") == ["a=1", "b=2"]

            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(3):
                    yield b"piece"
                    await asyncio.sleep(0.01)

            assert (await client.post("/echo", content=pieces())).content == b"piece" * 3
            assert (await client.get("/large")).content == large
            empty = await client.get("/empty")
            assert (empty.status_code, empty.content) == (204, b"")
            assert (await client.head("/x")).headers["content-length"] == "7"
            assert upstream.calls[0].target == "/echo?x=1"
            assert upstream.calls[0].header("X-Forwarded-Proto") == "https"
            assert upstream.calls[0].header("X-Forwarded-Host") == f"127.0.0.1:{running.port}"

    asyncio.run(main())


def test_errors_of_the_gateway_can_be_read(authority: trustme.CA) -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_tokens).start()
        keys = "alice gw-key-0123456789abcdef\n"
        values = {"keys": keys, "cors_origins": ("https://app.test",)}
        async with _running(authority, upstream, **values) as (_, client):
            headers = {"Origin": "https://app.test"}
            refused = await client.post(_PATH, json=_BODY, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["access-control-allow-origin"] == "https://app.test"
            assert "API key" in refused.json()["error"]["message"]
            preflight = {**headers, "Access-Control-Request-Method": "POST"}
            assert (await client.options(_PATH, headers=preflight)).status_code == 200
            key = {**headers, "Authorization": "Bearer gw-key-0123456789abcdef"}
            assert b"[DONE]" in (await client.post(_PATH, json=_BODY, headers=key)).content

    asyncio.run(main())


def test_a_stream_that_the_client_cancels_is_cancelled_upstream(authority: trustme.CA) -> None:
    async def handler(call: UpstreamCall) -> None:
        await call.stream(*"abcdefghij" * 100, gap_s=0.05)

    async def main() -> None:
        upstream = await LoopUpstream(handler).start()
        async with _running(authority, upstream) as (running, _):
            reader, writer = await _raw(authority, running.port)
            client = h2.connection.H2Connection(h2.config.H2Configuration())
            client.initiate_connection()
            client.send_headers(1, [*_REQUEST, (":path", _PATH)])
            client.send_data(1, b'{"stream":true}', end_stream=True)
            writer.write(client.data_to_send())
            received = b""
            while b"data: " not in received:
                received += await reader.read(1 << 16)
            client.reset_stream(1)
            writer.write(client.data_to_send())
            await eventually_async(lambda: bool(running.records))
            assert running.records[0].end_reason == "client-left"
            upstream_transport = upstream.calls[0].writer.transport
            await eventually_async(upstream_transport.is_closing)
            assert len(running.gateway.context.sessions) == 1  # The connection remains open.
            writer.transport.abort()

    asyncio.run(main())


def test_a_stream_that_breaks_off_is_reset(authority: trustme.CA) -> None:
    async def handler(call: UpstreamCall) -> str:
        call.writer.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n9\r\ndata: a\n\n\r\n"
        )
        await call.writer.drain()
        return "close"

    async def main() -> None:
        upstream = await LoopUpstream(handler).start()
        async with _running(authority, upstream) as (_, client):
            body = b""

            async def read() -> None:
                nonlocal body
                async with client.stream("POST", _PATH, json=_BODY) as response:
                    async for piece in response.aiter_raw():
                        body += piece

            with pytest.raises(httpx.RemoteProtocolError):
                await read()
            assert b"closed the connection" in body
            assert (await client.get("/-/healthz")).status_code == 200

    asyncio.run(main())


def test_a_client_that_does_not_read_pauses_the_upstream(authority: trustme.CA) -> None:
    sent = 0

    async def handler(call: UpstreamCall) -> None:
        nonlocal sent
        call.writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(400):
            call.writer.write(b"%x\r\n%b\r\n" % (50_000, b"a" * 50_000))
            await call.writer.drain()
            sent += 50_000
        call.writer.write(b"0\r\n\r\n")

    async def main() -> None:
        upstream = await LoopUpstream(handler).start()
        async with _running(authority, upstream) as (_, client):
            async with client.stream("GET", "/large") as response:
                pieces = response.aiter_raw()
                received = len(await anext(pieces))
                await asyncio.sleep(0.5)
                assert sent < 19_000_000
                async for piece in pieces:
                    received += len(piece)
            assert received == 20_000_000

    asyncio.run(main())


async def _raw(
    authority: trustme.CA, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2"])
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


def test_a_client_that_cancels_many_streams_is_disconnected(authority: trustme.CA) -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_tokens).start()
        async with _running(authority, upstream) as (running, _):
            reader, writer = await _raw(authority, running.port)
            client = h2.connection.H2Connection(h2.config.H2Configuration())
            client.initiate_connection()
            headers = [
                (":method", "GET"), (":path", "/v1/models"), (":scheme", "https"),
                (":authority", "x"),
            ]  # fmt: skip
            for number in range(1, 1001, 2):
                client.send_headers(number, headers, end_stream=True)
                client.reset_stream(number)
            writer.write(client.data_to_send())
            ended = False
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                ended = await asyncio.wait_for(reader.read(-1), 10) is not None
            assert ended or reader.at_eof()
            await eventually_async(lambda: not running.gateway._clients)
            assert len(upstream.calls) < 250
            writer.transport.abort()

    asyncio.run(main())


def _client() -> h2.connection.H2Connection:
    config = h2.config.H2Configuration(
        validate_outbound_headers=False, normalize_outbound_headers=False
    )
    client = h2.connection.H2Connection(config)
    client.initiate_connection()
    return client


async def _events(
    client: h2.connection.H2Connection, reader: asyncio.StreamReader
) -> list[h2.events.Event]:
    """Return all events up to the end of the connection."""
    events: list[h2.events.Event] = []
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        async with asyncio.timeout(10):
            while data := await reader.read(1 << 16):
                events += client.receive_data(data)
    return events


_GOAWAY = b"\0\0\x08\x07" + b"\0" * 9


@pytest.mark.parametrize("error_code", [0, 2])
def test_streams_continue_after_an_orderly_goaway(authority: trustme.CA, error_code: int) -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_tokens).start()
        async with _running(authority, upstream) as (running, _):
            reader, writer = await _raw(authority, running.port)
            client = _client()
            client.send_headers(1, [*_REQUEST, (":path", _PATH)])
            client.send_data(1, b'{"stream":true}', end_stream=True)
            writer.write(client.data_to_send())
            await eventually_async(lambda: bool(upstream.calls))
            window = b"\0\0\x04\x08\0\0\0\0\0\0\0\1\0" if error_code == 0 else b""
            writer.write(_GOAWAY + error_code.to_bytes(4, "big") + window)
            events = await _events(client, reader)
            ended = any(isinstance(event, h2.events.StreamEnded) for event in events)
            assert ended == (error_code == 0)
            await eventually_async(lambda: bool(running.records))
            reason = running.records[0].end_reason
            assert reason == ("complete" if error_code == 0 else "client-left")
            for session in running.gateway.context.sessions:
                assert session._transport.is_closing()  # type: ignore[attr-defined]
            writer.transport.abort()

    asyncio.run(main())


class _Transport(asyncio.Transport):
    """Transport of a client that may have stopped reading."""

    def __init__(self) -> None:
        super().__init__()
        self.unsent_bytes = 0
        self.aborted = False

    def write(self, data: Any) -> None:
        self.unsent_bytes += len(data)

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def abort(self) -> None:
        self.aborted = True


@pytest.mark.parametrize(
    "frame",
    [b"\0\0\x08\x06\0\0\0\0\0pingpong", b"\0\0\0\x04\0\0\0\0\0"],
    ids=["ping", "settings"],
)
@pytest.mark.parametrize("reads", [False, True])
def test_a_client_that_reads_no_answers_to_control_frames_is_disconnected(
    frame: bytes, reads: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http2_session, "_MAX_UNSENT_BYTES", 5_000)

    async def main() -> None:
        async with loop_gateway(await LoopUpstream().start()) as running:
            session, transport = Http2Session(running.gateway.context, set()), _Transport()
            session.connection_made(transport)
            session.data_received(_client().data_to_send())
            if not reads:
                session.pause_writing()
            for _ in range(15):
                session.data_received(frame * 50)
                if transport.aborted:
                    break
                if reads:
                    transport.unsent_bytes = 0
            assert transport.aborted != reads
            assert transport.unsent_bytes < 6_000
            session.connection_lost(None)

    asyncio.run(main())


@pytest.mark.parametrize(
    "header",
    [
        ("x-api-key", " gw-key-0123456789abcdef "), ("connection", "close"),
        ("content-length", "5"), ("transfer-encoding:chunked", "gw-key-0123456789abcdef"),
    ],
)  # fmt: skip
def test_a_malformed_request_is_logged_without_its_headers(
    authority: trustme.CA, header: tuple[str, str]
) -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with _running(authority, upstream) as (running, _):
            _, writer = await _raw(authority, running.port)
            client = _client()
            client.send_headers(1, [*_REQUEST, (":path", "/x"), header], end_stream=True)
            writer.write(client.data_to_send())
            await eventually_async(lambda: bool(running.records))
            [record] = running.records
            assert (record.status, record.end_reason) == (400, "bad-request")
            assert record.request.client == "127.0.0.1"
            assert record.detail
            assert "gw-key" not in record.detail
            assert upstream.calls == []
            writer.transport.abort()

    asyncio.run(main())


def test_the_drain_lets_streams_end_and_accepts_no_further_ones(authority: trustme.CA) -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_tokens).start()
        async with _running(authority, upstream) as (running, client):
            running_request = asyncio.create_task(client.post(_PATH, json=_BODY))
            await eventually_async(lambda: bool(upstream.calls))
            await running.gateway.drain()
            assert (await running_request).content.endswith(b"[DONE]\n\n")
            [session] = running.gateway.context.sessions
            assert session._transport.is_closing()  # type: ignore[attr-defined]

    asyncio.run(main())


@pytest.mark.parametrize(
    "more",
    [
        [(b"x", b"a\r\nHost: evil")], [(b"x", b"a\x00b")], [(b"x\r\ny", b"a")],
        [(b"transfer-encoding", b"chunked")], [(b"connection", b"close")],
    ],
)  # fmt: skip
def test_headers_that_would_change_the_meaning_are_refused(more: list[tuple[bytes, bytes]]) -> None:
    headers = [(b":method", b"GET"), (b":path", b"/x"), (b":authority", b"a")]
    assert _request_head([*headers, *more], ended=True) == (b"", False)


@pytest.mark.parametrize(
    ("method", "path"), [(b"GET /y", b"/x"), (b"GET", b"/x /y"), (b"GET", b"")]
)
def test_request_lines_with_spaces_are_refused(method: bytes, path: bytes) -> None:
    assert _request_head([(b":method", method), (b":path", path)], ended=True) == (b"", False)


def test_a_request_head_is_translated() -> None:
    headers = [
        (b":method", b"POST"), (b":scheme", b"https"), (b":path", b"/x"), (b":authority", b"a:1"),
        (b"host", b"other"), (b"cookie", b"a=1"), (b"accept", b"*/*"), (b"cookie", b"b=2"),
    ]  # fmt: skip
    head, chunked = _request_head(headers, ended=False)
    assert chunked
    assert head == (
        b"POST /x HTTP/1.1\r\nhost: a:1\r\naccept: */*\r\ncookie: a=1; b=2\r\n"
        b"transfer-encoding: chunked\r\n\r\n"
    )


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_response_is_split_however_it_was_written(size: int) -> None:
    data = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    splitter = ResponseSplitter(without_body=False)
    found, body = None, b""
    for at in range(0, len(data), size):
        headers, piece = splitter.receive_data(data[at : at + size])
        found = headers or found
        body += piece
    assert found == [(b":status", b"200"), (b"a", b"b")]
    assert (body, splitter.ended) == (b"abcde", True)
