"""Bounds: time, size, memory; and nothing left behind."""

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

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
CLOSE = b"HTTP/1.1 200 OK\r\n\r\n"


class Endless:
    """A server that sends until it can't, and knows when the client has left."""

    def __init__(self, servers: Any, *, head: bytes = CHUNKED, piece: bytes = b"2\r\nab\r\n",
                 pause_s: float = 0.0, tls: Any = None) -> None:  # fmt: skip
        self.left = threading.Event()
        self.left_by: OSError | None = None
        self.sent_bytes = 0
        self._head, self._piece, self._pause_s = head, piece, pause_s
        self.far = servers.start(self._script, tls)

    def _script(self, conn: socket.socket) -> None:
        conn.recv(65536)
        try:
            conn.sendall(self._head)
            while True:
                self.sent_bytes += conn.send(self._piece)
                time.sleep(self._pause_s)
        except OSError as error:
            self.left_by = error
            self.left.set()


def open_sockets() -> set[str]:
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found.add(str(descriptor.readlink()))
    return {link for link in found if link.startswith("socket:")}


def test_a_stream_without_end_ends_at_the_time_limit(servers: Any, client: Any) -> None:
    endless = Endless(servers, pause_s=0.01)
    got = client.get(endless.far.url(), timeout_s=0.8)
    assert got.ending is Ending.TIMEOUT
    assert got.stream.error == "the stream was still open after 0.8 s (--timeout)"
    assert got.arrivals
    assert got.stream.ended_ns >= got.arrivals[-1].at_ns
    assert endless.left.wait(10)


def test_a_stream_that_never_sends_ends_at_the_time_limit(servers: Any, client: Any) -> None:
    done = threading.Event()

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        done.wait(10)

    got = client.get(servers.start(script).url(), timeout_s=0.8)
    done.set()
    assert (got.ending, got.arrivals) == (Ending.TIMEOUT, [])


def test_a_body_without_end_ends_at_the_size_limit(servers: Any, client: Any) -> None:
    endless = Endless(servers, head=CLOSE, piece=b"x" * 50_000)
    got = client.get(endless.far.url(), max_body_bytes=1_000_000)
    assert (got.ending, len(got.data)) == (Ending.LIMIT, 1_000_000)
    assert got.stream.error == "the body is larger than 1000000 bytes"
    assert endless.left.wait(10)


def test_a_gzip_bomb_ends_at_the_size_limit(servers: Any, client: Any) -> None:
    bomb = gzip.compress(bytes(50_000_000))
    far = servers.answer(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + bomb)
    got = client.get(far.url(), max_body_bytes=100_000)
    assert (got.ending, len(got.data)) == (Ending.LIMIT, 100_000)


def test_an_event_of_10_mb_comes_whole(servers: Any, client: Any) -> None:
    event = b"data: " + b"x" * 10_000_000 + b"\n\n"
    got = client.get(servers.answer(CLOSE + event).url())
    assert (got.data, got.ending) == (event, Ending.CLOSED)


def test_a_slow_reader_holds_the_server_back(servers: Any, client: Any) -> None:
    """What waits unread is bounded here, so the server's own buffers fill and it must wait."""
    endless = Endless(servers, head=CLOSE, piece=b"x" * 65536)

    async def run() -> tuple[int, int]:
        async with await open_stream(Request(url=endless.far.url()), ClientConfig()) as stream:
            stalled = -1
            while stalled != endless.sent_bytes:
                stalled = endless.sent_bytes
                await asyncio.sleep(0.2)
            got = 0
            while got < stalled + 5_000_000:
                got += len((await anext(stream)).data)
            return stalled, got

    stalled, got = client.run(run())
    # Beside our bound there are the kernel's buffers of both ends.
    assert 1_000_000 < stalled < 40_000_000
    assert got >= stalled + 5_000_000


def test_one_byte_reads_come_whole(servers: Any, client: Any) -> None:
    data = CHUNKED + b"5\r\nhello\r\n0\r\n\r\n"

    def script(conn: socket.socket) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        conn.recv(65536)
        for i in range(len(data)):
            conn.sendall(data[i : i + 1])
            time.sleep(0.001)

    got = client.get(servers.start(script).url())
    assert (got.data, got.ending) == (b"hello", Ending.COMPLETE)
    assert len(got.arrivals) > 1


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("abort", [False, True])
def test_closing_early_leaves_no_socket(
    servers: Any, client: Any, authority: Any, secure: bool, abort: bool
) -> None:
    endless = Endless(servers, pause_s=0.001, tls=authority.server if secure else None)
    url = endless.far.url("/", "https" if secure else "http")

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
    assert endless.left.wait(10)


def test_an_aborted_connection_is_reset(servers: Any, client: Any) -> None:
    ended: list[str] = []

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        try:
            conn.recv(1)
            ended.append("closed")
        except ConnectionResetError:
            ended.append("reset")

    async def run(abort: bool) -> None:
        stream = await open_stream(Request(url=servers.start(script).url()), ClientConfig())
        await stream.aclose(abort=abort)

    for abort in (False, True):
        client.run(run(abort))
        deadline = time.monotonic() + 10
        while len(ended) <= abort and time.monotonic() < deadline:
            time.sleep(0.01)
    assert ended == ["closed", "reset"]


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 ", CHUNKED], ids=["nothing", "some", "head"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_cancelling_leaves_no_socket(
    servers: Any, client: Any, authority: Any, said: bytes, secure: bool
) -> None:
    asked, left = threading.Event(), threading.Event()

    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(said)
        asked.set()
        # Wait for the client to go; with TLS an end without close_notify is an error.
        with contextlib.suppress(OSError):
            conn.recv(65536)
        left.set()

    far = servers.start(script, authority.server if secure else None)

    async def read() -> None:
        request = Request(url=far.url("/", "https" if secure else "http"))
        async with await open_stream(request, ClientConfig(cacert=authority.cacert)) as stream:
            async for _ in stream:
                pass

    async def run() -> None:
        task = asyncio.ensure_future(read())
        assert await asyncio.to_thread(asked.wait, 10)
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    client.run(run())
    assert left.wait(10)


def test_waiting_may_be_cancelled_without_loss(servers: Any, client: Any) -> None:
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


def test_closing_ends_the_waiting(servers: Any, client: Any) -> None:
    def script(conn: socket.socket) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        conn.recv(1)

    async def run() -> list[Any]:
        stream = await open_stream(Request(url=servers.start(script).url()), ClientConfig())
        asyncio.get_running_loop().call_later(0.05, lambda: asyncio.ensure_future(stream.aclose()))
        return [arrival async for arrival in stream]

    assert client.run(run()) == []


def test_a_failed_opening_leaves_no_socket(servers: Any, client: Any) -> None:
    async def run() -> None:
        before = open_sockets()
        for reply in (b"", b"junk", b"HTTP/1.1 2"):
            with contextlib.suppress(Exception):
                await open_stream(Request(url=servers.answer(reply).url()), ClientConfig())
        with pytest.raises(NetworkError):
            await open_stream(Request(url="http://127.0.0.1:1/"), ClientConfig())
        # The scripted servers' own sockets are the listeners and what they are still closing.
        await asyncio.sleep(0.1)
        assert len(open_sockets() - before) <= 3

    client.run(run())


def test_many_streams_at_once(servers: Any, client: Any) -> None:
    far = servers.answer(CHUNKED + b"2\r\nab\r\n" * 20 + b"0\r\n\r\n")

    async def one() -> bytes:
        async with await open_stream(Request(url=far.url()), ClientConfig()) as stream:
            return b"".join([arrival.data async for arrival in stream])

    async def run() -> list[bytes]:
        return await asyncio.gather(*(one() for _ in range(50)))

    assert client.run(run()) == [b"ab" * 20] * 50
