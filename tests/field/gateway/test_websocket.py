"""WebSocket connections pass through the gateway and end in the same ways as streams."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from support.eventually import eventually_async
from support.gateway_in_loop import LoopGateway, LoopUpstream, UpstreamCall, loop_gateway

_KEY = "gw-key-0123456789abcdef"
_HANDSHAKE = (
    b"GET /v1/realtime?model=m HTTP/1.1\r\nHost: gw\r\nConnection: Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: abc\r\n"
    b"Authorization: Bearer %b\r\n\r\n" % _KEY.encode()
)
_SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: xyz\r\n\r\n"
)
Exchange = Callable[[UpstreamCall, asyncio.StreamReader], Awaitable[None]]


class _Upstream(LoopUpstream):
    """Upstream that switches protocols and then runs ``exchange`` on the raw connection."""

    def __init__(self, exchange: Exchange) -> None:
        super().__init__()
        self.exchange = exchange
        self.ended = 0

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._tasks.add(asyncio.current_task())
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            call = UpstreamCall(await reader.readuntil(b"\r\n\r\n"), b"", writer)
            self.calls.append(call)
            await self.exchange(call, reader)
        self.ended += 1
        writer.transport.abort()


async def _echo(call: UpstreamCall, reader: asyncio.StreamReader) -> None:
    call.writer.write(_SWITCHED + b"hello")
    while data := await reader.read(1 << 16):
        call.writer.write(data)
        await call.writer.drain()


@contextlib.asynccontextmanager
async def _opened(
    running: LoopGateway, more: bytes = b""
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    writer.write(_HANDSHAKE + more)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def test_data_passes_unchanged_in_both_directions() -> None:
    async def main() -> None:
        upstream = await _Upstream(_echo).start()
        async with (
            loop_gateway(upstream, keys=f"a {_KEY}\n") as running,
            _opened(running, b"early") as (reader, writer),
        ):
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 101 ")
            assert b"Upgrade: websocket\r\n" in head
            assert b"Sec-WebSocket-Accept: xyz" in head
            assert b"Transfer-Encoding" not in head
            assert await reader.readexactly(10) == b"helloearly"
            for size in (1, 100, 300_000):
                data = bytes(range(256)) * (size // 256 + 1)
                writer.write(data)
                assert await reader.readexactly(len(data)) == data
            call = upstream.calls[0]
            assert call.header("Upgrade") == "websocket"
            assert call.header("Authorization") is None
            assert running.gateway.active_requests == 1

    asyncio.run(main())


def test_when_the_client_leaves_the_upstream_connection_ends() -> None:
    async def main() -> None:
        upstream = await _Upstream(_echo).start()
        async with loop_gateway(upstream) as running:
            async with _opened(running) as (reader, _):
                await reader.readuntil(b"hello")
            await eventually_async(lambda: upstream.ended == 1)
            await eventually_async(lambda: running.gateway.active_requests == 0)
            await eventually_async(lambda: bool(running.records))
            assert running.records[0].end_reason == "client-left"
            assert running.records[0].status == 101

    asyncio.run(main())


def test_when_the_upstream_ends_the_client_connection_ends() -> None:
    async def exchange(call: UpstreamCall, reader: asyncio.StreamReader) -> None:
        call.writer.write(_SWITCHED + b"bye")
        await call.writer.drain()
        call.writer.close()
        await call.writer.wait_closed()

    async def main() -> None:
        upstream = await _Upstream(exchange).start()
        async with loop_gateway(upstream) as running, _opened(running) as (reader, _):
            assert (await reader.read(-1)).endswith(b"\r\n\r\nbye")

    asyncio.run(main())


def test_limits_keys_and_idle_timeouts_apply() -> None:
    async def main() -> None:
        upstream = await _Upstream(_echo).start()
        async with loop_gateway(upstream, idle_timeout=0.4, max_streams=1, queue=0) as running:
            async with _opened(running) as (reader, writer):
                await reader.readuntil(b"hello")
                assert b" 503 " in await running.send(_HANDSHAKE, until=b"\r\n")
                for _ in range(4):  # Data from the client also counts as activity.
                    await asyncio.sleep(0.2)
                    writer.write(b"x")
                    assert await reader.readexactly(1) == b"x"
                assert await reader.read(1) == b""
            await eventually_async(lambda: len(running.records) == 2)
            assert running.records[-1].end_reason == "upstream-silent"
        upstream = await _Upstream(_echo).start()
        async with loop_gateway(upstream, keys="a another-key-0123456789\n") as running:
            assert b" 401 " in await running.send(_HANDSHAKE, until=b"\r\n")
            assert upstream.calls == []

    asyncio.run(main())


def test_the_drain_waits_for_tunnels_and_then_cuts_them() -> None:
    async def main() -> None:
        upstream = await _Upstream(_echo).start()
        async with loop_gateway(upstream) as running, _opened(running) as (reader, _):
            await reader.readuntil(b"hello")
            draining = asyncio.create_task(running.gateway.drain())
            await asyncio.sleep(0.1)
            assert not draining.done()
            assert running.gateway.end_all() == 1
            with contextlib.suppress(ConnectionError):
                assert await reader.read(-1) == b""
            await draining

    asyncio.run(main())


def test_an_upstream_that_does_not_switch_answers_once() -> None:
    async def exchange(call: UpstreamCall, reader: asyncio.StreamReader) -> None:
        await call.respond(426, b"no")
        await reader.read(1)

    async def main() -> None:
        upstream = await _Upstream(exchange).start()
        async with loop_gateway(upstream) as running:
            smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
            response = await running.send(_HANDSHAKE + smuggled)
            assert response.startswith(b"HTTP/1.1 426 ")
            assert response.endswith(b"\r\n\r\nno")
            assert len(upstream.calls) == 1

    asyncio.run(main())


def test_an_upstream_may_not_switch_without_a_request_to_do_so() -> None:
    async def exchange(call: UpstreamCall, reader: asyncio.StreamReader) -> None:
        call.writer.write(_SWITCHED)
        await reader.read(1)

    async def main() -> None:
        upstream = await _Upstream(exchange).start()
        async with loop_gateway(upstream) as running:
            for upgrade in (b"h2c", b""):
                request = _HANDSHAKE.replace(b"Upgrade: websocket", b"Upgrade: " + upgrade)
                assert b" 502 " in await running.send(request, until=b"\r\n")

    asyncio.run(main())


@pytest.mark.parametrize(
    "request_bytes",
    [
        _HANDSHAKE.replace(b"GET", b"POST"),
        _HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        _HANDSHAKE.replace(b"Host: gw", b"Host: gw\r\nContent-Length: 3"),
        _HANDSHAKE.replace(b"Host: gw", b"Host: gw\r\nTransfer-Encoding: chunked"),
    ],
)
def test_other_requests_are_not_handshakes(request_bytes: bytes) -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream) as running:
            assert b" 400 " in await running.send(request_bytes, until=b"\r\n")
            assert upstream.calls == []

    asyncio.run(main())
