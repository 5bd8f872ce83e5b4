"""Request bodies: admission before a body is read, limited memory, and short inspection steps."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import time

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.eventually import eventually_async
from support.gateway_in_loop import LoopUpstream, UpstreamCall, json_request, loop_gateway
from undam.gateway.body import request_body
from undam.gateway.relay import client_connection
from undam.http1.request_parser import RequestParser

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_KEY = "gw-key-0123456789abcdef"
_KEYS = f"alice {_KEY}\n"
_HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: gw\r\nExpect: 100-continue\r\n"
    b"Content-Length: 10000000\r\n"
)
_STREAM = {"model": "m", "stream": True}


async def _open(port: int, data: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    return reader, writer


# Case 02: keys and limits are checked before the body is read.


def test_a_request_without_a_key_is_refused_before_its_body() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream, keys=_KEYS) as running:
            for key in ("", "Authorization: Bearer wrong\r\n"):
                reader, writer = await _open(running.port, _HEAD + key.encode() + b"\r\n")
                response = await reader.readuntil(b"\r\n")
                assert response == b"HTTP/1.1 401 Unauthorized\r\n"
                for _ in range(20):
                    writer.write(b"a" * 50_000)
                    await asyncio.sleep(0)
                assert running.gateway.context.budget.used_bytes == 0
                writer.transport.abort()
            with_key = _HEAD + f"Authorization: Bearer {_KEY}\r\n\r\n".encode()
            reader, writer = await _open(running.port, with_key)
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.transport.abort()
        assert upstream.calls == []

    asyncio.run(main())


def test_a_refused_client_may_send_its_body_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_connection, "_LINGER_S", 0.2)
    monkeypatch.setattr(client_connection, "_MAX_LINGER_S", 0.6)

    async def main() -> None:
        async with loop_gateway(await LoopUpstream().start(), keys=_KEYS) as running:
            for pause_s, sent in ((0.05, 8), (0.4, 1), (0.05, 40)):
                reader, writer = await _open(running.port, _HEAD + b"\r\n")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 401 ")
                assert b"Connection: close" in head
                for _ in range(sent):
                    writer.write(b"a")
                    await asyncio.sleep(pause_s)
                assert len(running.gateway._clients) == (1 if sent == 8 else 0)
                writer.transport.abort()
                await eventually_async(lambda: not running.gateway._clients)

    asyncio.run(main())


def test_the_connection_stays_open_after_a_complete_body() -> None:
    async def main() -> None:
        async with loop_gateway(await LoopUpstream().start(), keys=_KEYS) as running:
            reader, writer = await _open(running.port, b"")
            for _ in range(2):
                writer.write(b"POST /v1/x HTTP/1.1\r\nHost: gw\r\nContent-Length: 3\r\n\r\nabc")
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 401 ")
                assert b"Connection: close" not in head
                await reader.readuntil(b"}}")
            writer.transport.abort()

    asyncio.run(main())


def test_a_full_queue_refuses_from_the_head_and_a_queued_request_waits_with_its_body() -> None:
    async def main() -> None:
        release = asyncio.Event()

        async def handler(call: UpstreamCall) -> None:
            await release.wait()
            await call.respond()

        upstream = await LoopUpstream(handler).start()
        async with loop_gateway(upstream, max_streams=1, queue=1) as running:
            first = asyncio.create_task(running.send(json_request()))
            await eventually_async(lambda: bool(upstream.calls))
            reader, writer = await _open(running.port, _HEAD + b"\r\n")
            await asyncio.sleep(0.05)
            refused = await running.send(_HEAD + b"\r\n", until=b"\r\n")
            assert refused.startswith(b"HTTP/1.1 503 ")
            # The gateway has not yet requested the queued client's body.
            release.set()
            assert b" 200 " in await first
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(b"a" * 10_000_000)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
            assert len(upstream.calls[1].body) == 10_000_000
            writer.transport.abort()

    asyncio.run(main())


def test_bodies_beyond_the_budget_pass_on_as_they_arrive() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream, body_budget=1 << 20) as running:
            budget, most = running.gateway.context.budget, 0
            size = 600_000
            head = (
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: gw\r\nContent-Length: %d\r\n\r\n"
                % size
            )
            clients = [await _open(running.port, head) for _ in range(20)]
            for _ in range(10):
                for _, writer in clients:
                    writer.write(b"a" * (size // 10))
                await asyncio.sleep(0.01)
                most = max(most, budget.used_bytes)
            for reader, writer in clients:
                assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200 ")
                writer.transport.abort()
            assert most < 3 << 20
            assert budget.used_bytes == 0
        assert [len(call.body) for call in upstream.calls] == [size] * 20

    asyncio.run(main())


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_passed_on_arrives_unchanged(chunked: bool) -> None:
    body = json.dumps({**_STREAM, "messages": [{"role": "user", "content": "A" * 400_000}]})

    async def main() -> None:
        upstream = await LoopUpstream(lambda call: call.stream("x")).start()
        async with loop_gateway(upstream, body_budget=64 << 10) as running:
            data = body.encode()
            framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(data)}"
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: gw\r\n{framing}\r\n\r\n".encode()
            if chunked:
                pieces = [chunk(data[at : at + 50_000]) for at in range(0, len(data), 50_000)]
                data = b"".join(pieces) + LAST_CHUNK
            response = await running.send(head + data, b"[DONE]")
            assert b"[DONE]" in response
            assert upstream.calls[0].body == body.encode()
            await eventually_async(lambda: bool(running.records))
            request = running.records[0].request
            assert (request.model, request.streams) == ("m", True)

    asyncio.run(main())


@pytest.mark.parametrize("interval_s", [0.02, 0.2])
def test_a_body_that_trickles_is_refused(
    monkeypatch: pytest.MonkeyPatch, interval_s: float
) -> None:
    monkeypatch.setattr(request_body, "_GRACE_S", 0.3)
    monkeypatch.setattr(request_body, "_IDLE_S", 0.3)

    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream) as running:
            reader, writer = await _open(running.port, _HEAD + b"\r\n")
            await reader.readuntil(b"\r\n\r\n")
            began = time.monotonic()
            answer = asyncio.create_task(reader.readuntil(b"\r\n"))
            while not answer.done() and time.monotonic() - began < 10:
                writer.write(b"a")
                await asyncio.sleep(interval_s)
            assert (await answer).startswith(b"HTTP/1.1 408 ")
            assert time.monotonic() - began < 5
            writer.transport.abort()
        assert upstream.calls == []

    asyncio.run(main())


# Cases 03 and 07: bodies of any size and content coding are inspected in short steps.


def _large(size: int) -> bytes:
    return json.dumps({**_STREAM, "messages": [{"content": "A" * size}]}).encode()


_SMALL = json.dumps(_STREAM).encode()
_CODED = {
    "plain": (_SMALL, ""),
    "12 MB": (_large(12 << 20), ""),
    "gzip": (gzip.compress(_SMALL), "Content-Encoding: gzip\r\n"),
    "zstd": (zstd.compress(_SMALL), "Content-Encoding: zstd\r\n"),
    "x-gzip in upper case": (gzip.compress(_SMALL), "Content-Encoding: X-GZIP\r\n"),
    "20 MB of zstd": (zstd.compress(_large(20 << 20)), "Content-Encoding: zstd\r\n"),
    "model last": (b'{"messages":["' + b"A" * 900_000 + b'"],"stream":true,"model":"m"}', ""),
}


@pytest.mark.parametrize("name", _CODED)
def test_a_stream_is_recognized_whatever_the_size_and_coding_of_its_body(name: str) -> None:
    body, headers = _CODED[name]

    async def slow(call: UpstreamCall) -> None:
        await asyncio.sleep(0.35)
        await call.stream("x")

    async def main() -> None:
        bad = await LoopUpstream(lambda call: call.respond(503)).start()
        good = await LoopUpstream(slow).start()
        async with loop_gateway(bad, good, heartbeat=0.1, eject_after=1000) as running:
            for _ in range(3):
                data = json_request(body=body, headers=headers + "Accept-Encoding: gzip\r\n")
                response = await running.send(data, b"[DONE]")
                assert b"[DONE]" in response
                assert b": ping" in response
            call = good.calls[-1]
            assert call.header("Accept-Encoding") is None
            assert call.body == body
            assert {one.request.model for one in running.records} == {"m"}

    asyncio.run(main())


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","stream":true,"x":[' + b"[]," * 3_300_000 + b"[]]}",
        b'{"x":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}",
        b"{" + b'"a":[[],[]],' * 800_000 + b'"b":1}',
        b'{"x":["' + b'\\"' * 4_000_000 + b'"]}',
    ],
    ids=["brackets", "deep", "members", "escapes"],
)
def test_a_hostile_body_holds_the_loop_for_short_steps_only(body: bytes) -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream) as running:
            steps: list[float] = []
            queue = running.gateway.context.steps
            run_some = type(queue)._run_some

            def timed() -> None:
                began = time.thread_time()
                run_some(queue)
                steps.append(time.thread_time() - began)

            queue._loop = _Loop(queue._loop, timed)  # type: ignore[assignment]
            response = await running.send(json_request(body=body), timeout_s=60)
            assert response.startswith(b"HTTP/1.1 200 ")
            steps.sort()
            if not steps:
                return  # Inspection stopped after the first segment.
            assert steps[int(len(steps) * 0.9)] < 0.01

    asyncio.run(main())


class _Loop:
    """Event loop whose `call_soon` schedules a replacement instead of the given callback."""

    def __init__(self, loop: asyncio.AbstractEventLoop, replacement: object) -> None:
        self._loop = loop
        self._replacement = replacement

    def call_soon(self, _: object) -> None:
        self._loop.call_soon(self._replacement)  # type: ignore[arg-type]


def test_nothing_is_inspected_without_a_key() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream, keys=_KEYS) as running:
            began = time.thread_time()
            response = await running.send(json_request(body=b"[" * 9_000_000)[:2_000_000])
            assert b" 401 " in response
            assert time.thread_time() - began < 0.5
            assert running.gateway.context.budget.used_bytes == 0

    asyncio.run(main())


# Case 09: the cost of each read of a head depends only on the number of new bytes.


def test_a_slow_head_is_not_scanned_again_for_each_read() -> None:
    def read(size: int) -> None:
        parser = RequestParser(1 << 30, 1 << 20)
        parser.receive_data(b"GET / HTTP/1.1\r\nHost: x\r\nA: ")
        assert parser.head() is None
        for _ in range(size):
            parser.receive_data(b"a")
            assert parser.head() is None
        parser.receive_data(b"\r\n\r\n")
        head = parser.head()
        assert head is not None
        assert head.headers[1] == (b"A", b"a" * size)

    before = time.thread_time()
    read(2_000)
    short = time.thread_time() - before
    before = time.thread_time()
    read(32_000)
    assert time.thread_time() - before < 16 * short * 4
