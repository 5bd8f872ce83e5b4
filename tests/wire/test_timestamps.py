"""Stamps: each arrival bears the time at which its bytes came, whoever was busy then."""

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

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's stamps are Linux's")


class Beat:
    """A server that sends ten pieces on the reader's word, and notes when it did."""

    def __init__(self, servers: Any, tls: Any = None) -> None:
        self.go = threading.Semaphore(0)
        self.sent: list[tuple[int, int]] = []
        self.far = servers.start(self._script, tls)

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
def test_an_arrival_lies_between_its_sending_and_its_reading(
    servers: Any, client: Any, authority: Any, secure: bool
) -> None:
    beat = Beat(servers, authority.server if secure else None)
    url = beat.far.url("/", "https" if secure else "http")
    read: list[tuple[Arrival, int]] = []

    async def run() -> Any:
        config = ClientConfig(cacert=authority.cacert)
        async with await open_stream(Request(url=url), config) as stream:
            beat.go.release()
            async for arrival in stream:
                read.append((arrival, time.time_ns()))
                beat.go.release()
        return stream

    stream = client.run(run())
    assert stream.clock == "kernel"
    assert [arrival.data for arrival, _ in read] == [b"ab"] * 10
    for (arrival, taken_ns), (before_ns, _) in zip(read, beat.sent, strict=True):
        assert before_ns <= arrival.at_ns <= arrival.at_ns + arrival.late_ns <= taken_ns
    assert stream.stamps.head_ns < read[0][0].at_ns
    assert stream.ended_ns >= read[-1][0].at_ns


@on_linux
def test_a_busy_reader_does_not_move_the_stamp_and_is_told_how_late_it_was(
    servers: Any, client: Any
) -> None:
    beat = Beat(servers)

    async def run() -> Arrival:
        async with await open_stream(Request(url=beat.far.url()), ClientConfig()) as stream:
            beat.go.release()
            time.sleep(0.2)  # noqa: ASYNC251 (the point: the loop cannot read meanwhile)
            return await anext(stream)

    arrival = client.run(run())
    beat.go.release(9)
    before_ns, after_ns = beat.sent[0]
    assert before_ns <= arrival.at_ns
    # Stamped in passing, far nearer to its sending than to its reading.
    assert arrival.at_ns - after_ns < arrival.late_ns / 2
    assert arrival.late_ns > 100_000_000


def test_body_bytes_that_come_with_the_head_bear_its_stamp(servers: Any, client: Any) -> None:
    got = client.get(servers.answer(CHUNKED + b"2\r\nab\r\n0\r\n\r\n").url())
    assert [(a.at_ns, a.data) for a in got.arrivals] == [(got.stream.stamps.head_ns, b"ab")]
    assert got.stream.ended_ns == got.stream.stamps.head_ns


def test_the_steps_come_in_order(servers: Any, client: Any) -> None:
    before_ns = time.time_ns()
    far = servers.answer(CHUNKED + b"0\r\n\r\n")
    stamps = client.get(far.url(host="localhost")).stream.stamps
    steps = [before_ns, stamps.start_ns, stamps.dns_ns, stamps.connect_ns, stamps.sent_ns,
             stamps.head_ns, time.time_ns()]  # fmt: skip
    assert steps == sorted(steps)
    assert (stamps.proxy_ns, stamps.tls_ns) == (None, None)
    assert client.get(far.url()).stream.stamps.dns_ns is None


def test_the_clock_did_not_step(servers: Any, client: Any) -> None:
    stream = client.get(servers.answer(CHUNKED + b"0\r\n\r\n").url()).stream
    assert abs(stream.step_ns) < 1_000_000_000


def test_a_clock_that_steps_is_told(
    servers: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    offsets = iter([0, 5_000_000_000])
    for module in ("undam.wire.exchange_opener", "undam.wire.stream"):
        monkeypatch.setattr(f"{module}.clock_offset_ns", lambda: next(offsets))
    stream = client.get(servers.answer(CHUNKED + b"0\r\n\r\n").url()).stream
    assert stream.step_ns == 5_000_000_000


def test_without_stamps_the_user_s_clock_is_used_and_named(
    servers: Any, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timestamps, "_HAS_STAMPS", False)
    before_ns = time.time_ns()
    got = client.get(servers.answer(CHUNKED + b"2\r\nab\r\n0\r\n\r\n").url())
    assert (got.stream.clock, got.data, got.ending) == ("user", b"ab", Ending.COMPLETE)
    assert before_ns < got.arrivals[0].at_ns < time.time_ns()
    assert got.arrivals[0].late_ns == 0


def test_a_socket_that_refuses_stamps_is_read_all_the_same() -> None:
    class Refusing(socket.socket):
        def setsockopt(self, *args: Any) -> None:
            raise OSError

    with Refusing() as sock:
        assert timestamps.enable(sock) is False


@on_linux
def test_the_first_stream_of_a_process_is_stamped() -> None:
    """Warm for the first call, and no descriptor more from then on."""

    async def run() -> bool:
        await asyncio.gather(timestamps.warm_up(), timestamps.warm_up())
        near, far = socket.socketpair()
        near.close()
        far.close()
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as one:
            timestamps.enable(one)
            one.connect(server.getsockname())
            with server.accept()[0] as other:
                other.send(b"x")
                return timestamps.read(one).stamped

    assert asyncio.run(run())


def test_one_read_is_one_arrival(servers: Any, client: Any) -> None:
    """Segments that wait together are read together, with the stamp of the last."""
    beat = Beat(servers)

    async def run() -> list[Arrival]:
        async with await open_stream(Request(url=beat.far.url()), ClientConfig()) as stream:
            beat.go.release(10)
            for _ in range(1000):
                if len(beat.sent) == 10:
                    break
                time.sleep(0.01)  # noqa: ASYNC251 (they come while nobody reads)
            return [arrival async for arrival in stream]

    arrivals = client.run(run())
    assert b"".join(arrival.data for arrival in arrivals) == b"ab" * 10
    assert len(arrivals) == 1
