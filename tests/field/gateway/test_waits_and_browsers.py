"""Every wait has a time limit, and browsers can read every response."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from typing import Any

import pytest

from support.chunked import chunk
from support.eventually import eventually_async
from support.gateway_in_loop import LoopUpstream, UpstreamCall, json_request, loop_gateway

_ORIGIN = "https://app.test"
_ORIGIN_LINE = f"Origin: {_ORIGIN}\r\n"
_PREFLIGHT = (
    b"OPTIONS /v1/chat/completions HTTP/1.1\r\nHost: gw\r\nConnection: close\r\n"
    b"Origin: https://app.test\r\nAccess-Control-Request-Method: POST\r\n"
    b"Access-Control-Request-Headers: authorization,content-type\r\n\r\n"
)


async def _hang(call: UpstreamCall) -> None:
    await asyncio.sleep(30)


async def _head_only(call: UpstreamCall) -> None:
    call.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    await asyncio.sleep(30)


# Case 04: an upstream accepts a request and then sends nothing.


@pytest.mark.parametrize(
    ("path", "stream"),
    [
        ("/v1/chat/completions", True),
        ("/v1/chat/completions", False),
        ("/v1/embeddings", False),
        ("/v1/models", False),
        ("/v1/files", False),
    ],
)
@pytest.mark.parametrize("hang", [_hang, _head_only])
def test_a_request_to_an_upstream_that_sends_nothing_ends(
    path: str, stream: bool, hang: object
) -> None:
    async def main() -> None:
        upstream = await LoopUpstream(hang).start()  # type: ignore[arg-type]
        limits: dict[str, Any] = {"ttft_timeout": 0.3, "response_timeout": 0.3, "idle_timeout": 0.3}
        async with loop_gateway(upstream, heartbeat=0.1, **limits) as running:
            began = time.monotonic()
            response = await running.send(json_request(path, stream=stream))
            assert time.monotonic() - began < 5
            assert b" 504 " in response or b"error" in response or hang is _head_only
            assert b"[DONE]" not in response

    asyncio.run(main())


@pytest.mark.parametrize("stream", [True, False])
def test_the_other_replica_answers_instead_of_one_that_hangs(stream: bool) -> None:
    async def main() -> None:
        hung = await LoopUpstream(_hang).start()
        good = await LoopUpstream(lambda call: call.stream("x")).start()
        limits: dict[str, Any] = {"ttft_timeout": 0.3, "response_timeout": 0.3}
        async with loop_gateway(hung, good, **limits) as running:
            responses = await asyncio.gather(
                *(running.send(json_request(stream=stream), b"[DONE]") for _ in range(10))
            )
            assert all(b"[DONE]" in one for one in responses)
            assert hung.calls

    asyncio.run(main())


def test_by_default_every_wait_has_an_end() -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream) as running:
            limits = running.gateway.context.limits
            assert limits.ttft_timeout_s == 120
            assert limits.response_timeout_s == 600
            assert limits.idle_timeout_s == 300
            assert limits.send_timeout_s == 60

    asyncio.run(main())


def test_both_sides_detect_a_host_that_vanished() -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_hang).start()
        async with loop_gateway(upstream) as running:
            sending = asyncio.create_task(running.send(json_request()))
            await eventually_async(lambda: bool(upstream.calls))
            [client] = running.gateway._clients
            [to_upstream] = running.gateway.context.pool._open
            for transport in (client._transport, to_upstream.transport):
                assert transport is not None
                sock = transport.get_extra_info("socket")
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
                assert 0 < sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 200_000
            sending.cancel()

    asyncio.run(main())


# Case 05: cross-origin requests.


def _allowed(response: bytes) -> list[bytes]:
    head = response.partition(b"\r\n\r\n")[0]
    return re.findall(rb"(?im)^access-control-allow-origin: *(.*?)\r?$", head)


async def _with_upstream_policy(call: UpstreamCall) -> None:
    head = "Access-Control-Allow-Origin: *\r\n"
    if call.head.startswith(b"OPTIONS"):
        await call.respond(head=head + "Access-Control-Allow-Headers: authorization\r\n")
        return
    if call.header("X-Wait"):
        await asyncio.sleep(0.3)
    sse = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n" + head
    await call.stream("x", head=sse.encode() + b"Transfer-Encoding: chunked\r\n\r\n")


def test_early_heads_repeat_the_decision_of_the_upstream() -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_with_upstream_policy).start()
        async with loop_gateway(upstream, heartbeat=0.1) as running:
            fast = json_request(headers=_ORIGIN_LINE, stream=True)
            assert _allowed(await running.send(fast)) == [b"*"]
            slow = json_request(headers=_ORIGIN_LINE + "X-Wait: 1\r\n", stream=True)
            response = await running.send(slow)
            assert b": ping" in response
            assert _allowed(response) == [b"*"]
            without = json_request(headers="X-Wait: 1\r\n", stream=True)
            assert _allowed(await running.send(without)) == []

    asyncio.run(main())


def test_a_decision_for_another_origin_is_not_repeated() -> None:
    async def handler(call: UpstreamCall) -> None:
        origin = call.header("Origin")
        await call.respond(head=f"Access-Control-Allow-Origin: {origin}\r\nVary: Origin\r\n")

    async def main() -> None:
        upstream = await LoopUpstream(handler).start()
        async with loop_gateway(upstream) as running:
            await running.send(json_request(headers="Origin: https://other.test\r\n"))
            await upstream.close()
            response = await running.send(json_request(headers=_ORIGIN_LINE))
            assert b" 502 " in response
            assert _allowed(response) == []

    asyncio.run(main())


def test_preflight_requests_pass_to_the_upstream_without_a_key() -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_with_upstream_policy).start()
        async with loop_gateway(upstream, keys="alice gw-key-0123456789abcdef\n") as running:
            assert _allowed(await running.send(_PREFLIGHT)) == [b"*"]
            assert b" 401 " in await running.send(json_request(headers=_ORIGIN_LINE))

    asyncio.run(main())


@pytest.mark.parametrize("origins", [("*",), (_ORIGIN,), ("https://a.test", _ORIGIN)])
def test_the_gateway_answers_for_allowed_origins(origins: tuple[str, ...]) -> None:
    allowed = [b"*" if origins == ("*",) else _ORIGIN.encode()]

    async def main() -> None:
        upstream = await LoopUpstream(_with_upstream_policy).start()
        keys = "alice gw-key-0123456789abcdef\n"
        async with loop_gateway(
            upstream, keys=keys, cors_origins=origins, heartbeat=0.1
        ) as running:
            preflight = await running.send(_PREFLIGHT)
            assert preflight.startswith(b"HTTP/1.1 200 ")
            assert _allowed(preflight) == allowed
            assert b"Access-Control-Allow-Headers: authorization,content-type" in preflight
            assert upstream.calls == []
            refused = await running.send(json_request(headers=_ORIGIN_LINE))
            assert b" 401 " in refused
            assert _allowed(refused) == allowed
            key = "Authorization: Bearer gw-key-0123456789abcdef\r\n" + _ORIGIN_LINE
            for more in ("", "X-Wait: 1\r\n"):
                response = await running.send(json_request(headers=key + more, stream=True))
                assert _allowed(response) == allowed  # The header allows only one value.
            await upstream.close()
            failed = await running.send(json_request(headers=key))
            assert b" 502 " in failed
            assert _allowed(failed) == allowed

    asyncio.run(main())


def test_other_origins_are_refused() -> None:
    async def main() -> None:
        upstream = await LoopUpstream(_with_upstream_policy).start()
        async with loop_gateway(upstream, cors_origins=("https://a.test",)) as running:
            preflight = await running.send(_PREFLIGHT)
            assert preflight.startswith(b"HTTP/1.1 403 ")
            response = await running.send(json_request(headers=_ORIGIN_LINE, stream=True))
            assert _allowed(preflight) == _allowed(response) == []
            assert b"[DONE]" in response

    asyncio.run(main())


@pytest.mark.parametrize("framing", ["Content-Length: 5000\r\n", "Transfer-Encoding: chunked\r\n"])
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/chat/completions"])
def test_a_page_can_read_that_its_body_is_too_large(framing: str, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nHost: gw\r\n{_ORIGIN_LINE}X-Request-Id: mine\r\n{framing}\r\n"

    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream, cors_origins=(_ORIGIN,), max_body=2048) as running:
            response = await running.send(head.encode() + chunk(b"a" * 3000))
            assert response.startswith(b"HTTP/1.1 413 ")
            assert _allowed(response) == [_ORIGIN.encode()]
            assert b"X-Request-Id: mine\r\n" in response
            assert (b'"type":"request_too_large"' in response) == (path == "/v1/messages")

    asyncio.run(main())


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ("", 200),
        ("Content-Length: 0\r\n", 200),
        ("Content-Length: 5\r\n", 401),
        ("Transfer-Encoding: chunked\r\n", 401),
    ],
)
@pytest.mark.parametrize("origins", [(), (_ORIGIN,)])
def test_a_preflight_request_with_a_body_needs_a_key(
    more: str, status: int, origins: tuple[str, ...]
) -> None:
    async def main() -> None:
        upstream = await LoopUpstream().start()
        keys = "alice gw-key-0123456789abcdef\n"
        async with loop_gateway(upstream, keys=keys, cors_origins=origins) as running:
            request = _PREFLIGHT[:-2] + more.encode() + b"\r\n"
            response = await running.send(request, until=b"\r\n\r\n")
            assert response.startswith(b"HTTP/1.1 %d " % status)

    asyncio.run(main())
