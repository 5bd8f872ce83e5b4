"""Limits on time, size and memory, and closing of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from undam.errors import NetworkError
from undam.record import Ending
from undam.wire import ClientConfig, Request, open_stream

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


class Endless:
    """Server that sends data until the client disconnects."""

    def __init__(self, servers: Any, *, head: bytes = CHUNKED, piece: bytes = b"2\r\nab\r\n",
                 pause_s: float = 0.0, tls: Any = None) -> None:  # fmt: skip
        self.disconnected = threading.Event()
        self.disconnect_error: OSError | None = None
        self.sent_bytes = 0
        self._head, self._piece, self._pause_s = head, piece, pause_s
        self.server = servers.start(self._script, tls)

    def _script(self, conn: socket.socket) -> None:
        conn.recv(65536)
        try:
            conn.sendall(self._head)
            while True:
                self.sent_bytes += conn.send(self._piece)
                time.sleep(self._pause_s)
        except OSError as error:
            self.disconnect_error = error
            self.disconnected.set()


def open_sockets() -> set[str]:
    links = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            links.add(str(descriptor.readlink()))
    return {link for link in links if link.startswith("socket:")}


def test_an_endless_stream_ends_at_the_time_limit(servers: Any, client: Any) -> None:
    endless = Endless(servers, pause_s=0.01)
    received = client.get(endless.server.url(), timeout_s=0.8)
    assert received.ending is Ending.TIMEOUT
    assert received.stream.error == "the stream was still open after 0.8 s (--timeout)"
    assert received.arrivals
    assert received.stream.ended_ns >= received.arrivals[-1].at_ns
    assert endless.disconnected.wait(10)


def test_a_silent_stream_ends_at_the_time_limit(servers: Any, client: Any) -> None:
    done = threading.Event()

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        done.wait(10)

    received = client.get(servers.start(script).url(), timeout_s=0.8)
    done.set()
    assert (received.ending, received.arrivals) == (Ending.TIMEOUT, [])


def test_a_peer_that_only_pings_and_never_reads_does_not_stop_the_clock(
    servers: Any, client: Any
) -> None:
    """The replies to PING frames fill the connection, so that the client cannot send them."""
    settings, ping = b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\6\0\0\0\0\0" + b"12345678"
    head = settings + b"\0\0\1\1\4\0\0\0\1\x88"
    for first in (head, settings):
        endless = Endless(servers, head=first, piece=ping * 500)
        begun = time.monotonic()
        config: dict[str, Any] = {"timeout_s": 0.4, "http_version": "2"}
        if first is head:
            assert client.get(endless.server.url(), **config).ending is Ending.TIMEOUT
        else:
            with pytest.raises(NetworkError, match="--timeout"):
                client.get(endless.server.url(), **config)
        assert time.monotonic() - begun < 5
        assert endless.disconnected.wait(10)


def test_an_endless_body_ends_at_the_size_limit(servers: Any, client: Any) -> None:
    endless = Endless(servers, head=CLOSE, piece=b"x" * 50_000)
    received = client.get(endless.server.url(), max_body_bytes=1_000_000)
    assert (received.ending, len(received.data)) == (Ending.LIMIT, 1_000_000)
    assert received.stream.error == "the body is larger than 1000000 bytes"
    assert endless.disconnected.wait(10)


def test_a_gzip_bomb_ends_at_the_size_limit(servers: Any, client: Any) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    server = servers.answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + bomb)
    received = client.get(server.url(), max_body_bytes=100_000)
    assert (received.ending, len(received.data)) == (Ending.LIMIT, 100_000)


def test_an_event_of_10_mb_is_received_completely(servers: Any, client: Any) -> None:
    event = b"data: " + b"x" * 10_000_000 + b"\n\n"
    received = client.get(servers.answer(CLOSE + event).url())
    assert (received.data, received.ending) == (event, Ending.CLOSED)


def test_a_slow_reader_causes_back_pressure(servers: Any, client: Any) -> None:
    """The client stops reading at its limit, so the server's send buffer fills and send blocks."""
    endless = Endless(servers, head=CLOSE, piece=b"x" * 65536)

    async def run() -> tuple[int, int]:
        async with await open_stream(Request(url=endless.server.url()), ClientConfig()) as stream:
            stalled = -1
            while stalled != endless.sent_bytes:
                stalled = endless.sent_bytes
                await asyncio.sleep(0.2)
            received = 0
            while received < stalled + 5_000_000:
                received += len((await anext(stream)).data)
            return stalled, received

    stalled, received = client.run(run())
    # Both ends' socket buffers add to the limit of the read buffer.
    assert 1_000_000 < stalled < 40_000_000
    assert received >= stalled + 5_000_000


def test_a_body_in_one_byte_segments_is_received_completely(servers: Any, client: Any) -> None:
    data = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"

    def script(conn: socket.socket) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn.recv(65536)
        for i in range(len(data)):
            conn.sendall(data[i : i + 1])
            time.sleep(0.001)

    received = client.get(servers.start(script).url())
    assert (received.data, received.ending) == (b"hello", Ending.COMPLETE)
    assert len(received.arrivals) > 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("abort", [False, True])
def test_closing_early_leaves_no_socket_open(
    servers: Any, client: Any, authority: Any, secure: bool, abort: bool
) -> None:
    endless = Endless(servers, pause_s=0.001, tls=authority.server if secure else None)
    url = endless.server.url("/", "https" if secure else "http")

    async def run() -> Any:
        before = open_sockets()
        stream = await open_stream(Request(url=url), ClientConfig(cacert=authority.cacert))
        await anext(stream)
        assert open_sockets() > before
        await stream.aclose(abort=abort)
        await stream.aclose()
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        return stream

    stream = client.run(run())
    assert (stream.ending, stream.error) == (None, None)
    assert endless.disconnected.wait(10)


def test_an_aborted_connection_is_reset(servers: Any, client: Any) -> None:
    events: list[str] = []

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        try:
            conn.recv(1)
            events.append("closed")
        except ConnectionResetError:
            events.append("reset")

    async def run(abort: bool) -> None:
        stream = await open_stream(Request(url=servers.start(script).url()), ClientConfig())
        await stream.aclose(abort=abort)

    for abort in (False, True):
        client.run(run(abort))
        deadline = time.monotonic() + 10
        while len(events) <= abort and time.monotonic() < deadline:
            time.sleep(0.01)
    assert events == ["closed", "reset"]


@pytest.mark.parametrize("reply", [b"", b"HTTP/1.1 ", CHUNKED], ids=["nothing", "some", "head"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_cancelling_leaves_no_socket_open(
    servers: Any, client: Any, authority: Any, reply: bytes, secure: bool
) -> None:
    requested, disconnected = threading.Event(), threading.Event()

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(reply)
        requested.set()
        # Wait for the disconnect. With TLS, a disconnect without close_notify raises an error.
        with contextlib.suppress(OSError):
            conn.recv(65536)
        disconnected.set()

    server = servers.start(script, authority.server if secure else None)

    async def read() -> None:
        request = Request(url=server.url("/", "https" if secure else "http"))
        async with await open_stream(request, ClientConfig(cacert=authority.cacert)) as stream:
            async for _ in stream:
                pass

    async def run() -> None:
        task = asyncio.ensure_future(read())
        assert await asyncio.to_thread(requested.wait, 10)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    client.run(run())
    assert disconnected.wait(10)


def test_cancelling_a_wait_loses_no_data(servers: Any, client: Any) -> None:
    go = threading.Event()

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        go.wait(10)
        conn.sendall(b"2\r\nab\r\n0\r\n\r\n")

    async def run() -> list[bytes]:
        async with await open_stream(
            Request(url=servers.start(script).url()), ClientConfig()
        ) as stream:
            for _ in range(3):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(anext(stream), 0.02)
            go.set()
            return [arrival.data async for arrival in stream]

    assert client.run(run()) == [b"ab"]


def test_closing_ends_a_wait(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        conn.recv(1)

    async def run() -> list[Any]:
        stream = await open_stream(Request(url=servers.start(script).url()), ClientConfig())
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(stream.aclose()))
        return [arrival async for arrival in stream]

    assert client.run(run()) == []


def test_a_failed_exchange_leaves_no_socket_open(servers: Any, client: Any) -> None:
    async def run() -> None:
        before = open_sockets()
        for reply in (b"", b"junk", b"HTTP/1.1 2"):
            with contextlib.suppress(Exception):
                await open_stream(Request(url=servers.answer(reply).url()), ClientConfig())
        with pytest.raises(NetworkError):
            await open_stream(Request(url="http://127.0.0.1:1/"), ClientConfig())
        # The remaining sockets belong to scripted servers: listeners, and connections being closed.
        await asyncio.sleep(0.1)
        assert len(open_sockets() - before) <= 3

    client.run(run())


def test_many_streams_run_concurrently(servers: Any, client: Any) -> None:
    server = servers.answer(CHUNKED + b"2\r\nab\r\n" * 20 + b"0\r\n\r\n")

    async def one() -> bytes:
        async with await open_stream(Request(url=server.url()), ClientConfig()) as stream:
            return b"".join([arrival.data async for arrival in stream])

    async def run() -> list[bytes]:
        return await asyncio.gather(*(one() for _ in range(50)))

    assert client.run(run()) == [b"ab" * 20] * 50
