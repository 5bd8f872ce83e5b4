"""Each arrival has the time at which the kernel received its bytes."""

from __future__ import annotations

import asyncio
import socket
import sys
import threading
import time
from typing import Any

import pytest

from undam.record import Ending
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, open_stream, timestamps

pytestmark = pytest.mark.slow  # needs sockets, and waits for timeouts

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has receive timestamps")


class PacedServer:
    """Server that waits for the test before each of ten chunks, and records the send times."""

    def __init__(self, servers: Any, tls: Any = None) -> None:
        self.go = threading.Semaphore(0)
        self.sent: list[tuple[int, int]] = []
        self.running = servers.start(self._script, tls)

    def _script(self, conn: Any) -> None:
        conn.recv(65536)
        conn.sendall(CHUNKED)
        for _ in range(10):
            assert self.go.acquire(timeout=10)
            before = time.time_ns()
            conn.sendall(b"2\r\nab\r\n")
            self.sent.append((before, time.time_ns()))
        conn.sendall(b"0\r\n\r\n")


@on_linux
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_an_arrival_is_between_sending_and_reading(
    servers: Any, client: Any, authority: Any, secure: bool
) -> None:
    server = PacedServer(servers, authority.server if secure else None)
    url = server.running.url("/", "https" if secure else "http")
    read: list[tuple[Arrival, int]] = []

    async def run() -> Any:
        config = ClientConfig(cacert=authority.cacert)
        async with await open_stream(Request(url=url), config) as stream:
            server.go.release()
            async for arrival in stream:
                read.append((arrival, time.time_ns()))
                server.go.release()
        return stream

    stream = client.run(run())
    assert stream.clock == "kernel"
    assert [arrival.data for arrival, _ in read] == [b"ab"] * 10
    for (arrival, taken_ns), (before_ns, _) in zip(read, server.sent, strict=True):
        assert before_ns <= arrival.at_ns <= arrival.at_ns + arrival.late_ns <= taken_ns
    assert stream.stamps.head_ns < read[0][0].at_ns
    assert stream.ended_ns >= read[-1][0].at_ns


@on_linux
def test_a_late_reader_gets_the_kernel_timestamp_and_its_delay(servers: Any, client: Any) -> None:
    server = PacedServer(servers)

    async def run() -> Arrival:
        async with await open_stream(Request(url=server.running.url()), ClientConfig()) as stream:
            server.go.release()
            time.sleep(0.2)  # noqa: ASYNC251 (blocks the loop on purpose)
            return await anext(stream)

    arrival = client.run(run())
    server.go.release(9)
    before_ns, after_ns = server.sent[0]
    assert before_ns <= arrival.at_ns
    # The timestamp is much closer to the send time than to the read time.
    assert arrival.at_ns - after_ns < arrival.late_ns / 2
    assert arrival.late_ns > 100_000_000


def test_body_bytes_in_the_read_of_the_head_have_its_timestamp(servers: Any, client: Any) -> None:
    received = client.get(servers.answer(CHUNKED + b"2\r\nab\r\n0\r\n\r\n").url())
    assert [(a.at_ns, a.data) for a in received.arrivals] == [
        (received.stream.stamps.head_ns, b"ab")
    ]
    assert received.stream.ended_ns == received.stream.stamps.head_ns


def test_the_stamps_of_an_exchange_are_in_order(servers: Any, client: Any) -> None:
    before_ns = time.time_ns()
    server = servers.answer(CHUNKED + b"0\r\n\r\n")
    stamps = client.get(server.url(host="localhost")).stream.stamps
    steps = [before_ns, stamps.start_ns, stamps.dns_ns, stamps.connect_ns, stamps.sent_ns,
             stamps.head_ns, time.time_ns()]  # fmt: skip
    assert steps == sorted(steps)
    assert (stamps.proxy_ns, stamps.tls_ns) == (None, None)
    assert client.get(server.url()).stream.stamps.dns_ns is None


def test_the_clock_step_is_0_normally(servers: Any, client: Any) -> None:
    stream = client.get(servers.answer(CHUNKED + b"0\r\n\r\n").url()).stream
    assert abs(stream.step_ns) < 1_000_000_000


def test_a_clock_step_is_recorded(
    servers: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = iter([0, 5_000_000_000])
    for module in ("undam.wire.exchange_opener", "undam.wire.stream"):
        monkeypatch.setattr(f"{module}.clock_offset_ns", lambda: next(offsets))
    stream = client.get(servers.answer(CHUNKED + b"0\r\n\r\n").url()).stream
    assert stream.step_ns == 5_000_000_000


def test_without_kernel_timestamps_the_clock_is_user(
    servers: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timestamps, "_SUPPORTED", False)
    before_ns = time.time_ns()
    received = client.get(servers.answer(CHUNKED + b"2\r\nab\r\n0\r\n\r\n").url())
    assert (received.stream.clock, received.data, received.ending) == (
        "user",
        b"ab",
        Ending.COMPLETE,
    )
    assert before_ns < received.arrivals[0].at_ns < time.time_ns()
    assert received.arrivals[0].late_ns == 0


def test_a_socket_without_the_option_is_read_without_timestamps() -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            raise OSError

    with Refusing() as sock:
        assert timestamps.enable(sock) is False


@on_linux
def test_the_first_stream_of_a_process_is_stamped() -> None:
    async def run() -> bool:
        await asyncio.gather(timestamps.warm_up(), timestamps.warm_up())
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as one:
            timestamps.enable(one)
            one.connect(server.getsockname())
            with server.accept()[0] as other:
                other.send(b"x")
                return timestamps.read(one).stamped

    assert asyncio.run(run())


def test_queued_segments_are_one_arrival(servers: Any, client: Any) -> None:
    """Segments that are queued together form one read, which has the last segment's timestamp."""
    server = PacedServer(servers)

    async def run() -> list[Arrival]:
        async with await open_stream(Request(url=server.running.url()), ClientConfig()) as stream:
            server.go.release(10)
            for _ in range(1000):
                if len(server.sent) == 10:
                    break
                time.sleep(0.01)  # noqa: ASYNC251 (the data arrives while nothing reads)
            return [arrival async for arrival in stream]

    arrivals = client.run(run())
    assert b"".join(arrival.data for arrival in arrivals) == b"ab" * 10
    assert len(arrivals) == 1
