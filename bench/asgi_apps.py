"""ASGI servers for the benchmark asgi_streams.py: `python -m bench.asgi_apps NAME`.

Each peer serves the same tokens from the same source on the same server (uvicorn with uvloop):

    /flood      one event per iteration of the event loop
    /paced      one event per gap; its data begins with its due time in ns
    /idle       no events and no heartbeats
    /quiet      no events, a heartbeat every half second
    /never      events without ever suspending
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

TOKEN = "x" * 192
"""200 bytes with its framing, like a chat chunk."""

HEARTBEAT_S = 0.5

Serve = Callable[[Any, Any, Any, AsyncIterator[str], float | None], Awaitable[None]]


async def flood() -> AsyncIterator[str]:
    while True:
        yield TOKEN
        await asyncio.sleep(0)


async def framed_flood() -> AsyncIterator[str]:
    while True:
        yield f"data: {TOKEN}\n\n"
        await asyncio.sleep(0)


async def never() -> AsyncIterator[str]:
    while True:
        yield TOKEN


async def framed_never() -> AsyncIterator[str]:
    while True:
        yield f"data: {TOKEN}\n\n"


async def idle() -> AsyncIterator[str]:
    await asyncio.Event().wait()
    yield TOKEN


async def paced(gap_s: float, start_s: float, *, framed: bool) -> AsyncIterator[str]:
    """Yield one event every ``gap_s`` from ``start_s`` on, without accumulating drift."""
    due_s = time.monotonic() + start_s
    offset_s = time.time() - time.monotonic()
    before, after = ("data: ", "\n\n") if framed else ("", "")
    while True:
        wait_s = due_s - time.monotonic()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        timestamp = f"{int((due_s + offset_s) * 1e9)} "
        yield f"{before}{timestamp}{TOKEN[len(timestamp) :]}{after}"
        due_s += gap_s


def _source(scope: Any, *, framed: bool) -> AsyncIterator[str]:
    path = scope["path"]
    if path == "/paced":
        gap_ms, start_ms = scope["query_string"].decode().split(",")
        return paced(float(gap_ms) / 1000, float(start_ms) / 1000, framed=framed)
    if path == "/flood":
        return framed_flood() if framed else flood()
    if path == "/never":
        return framed_never() if framed else never()
    return idle()


async def bare(_: Any, __: Any, send: Any, source: AsyncIterator[str], ___: float | None) -> None:
    """Serve with plain ASGI messages, without disconnect detection or any other feature."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b": open\n", "more_body": True})
    async for text in source:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _undam() -> Serve:
    from undam.asgi import EventStream  # noqa: PLC0415 (each server loads only its own library)

    async def serve(
        scope: Any, receive: Any, send: Any, source: AsyncIterator[str], heartbeat: float | None
    ) -> None:
        await EventStream(source, heartbeat=heartbeat)(scope, receive, send)

    return serve


def _starlette() -> Serve:
    from starlette.responses import StreamingResponse  # noqa: PLC0415

    async def serve(
        scope: Any, receive: Any, send: Any, source: AsyncIterator[str], _: float | None
    ) -> None:
        response = StreamingResponse(source, media_type="text/event-stream")
        await response(scope, receive, send)

    return serve


def _sse_starlette() -> Serve:
    from sse_starlette import EventSourceResponse  # noqa: PLC0415

    async def serve(
        scope: Any, receive: Any, send: Any, source: AsyncIterator[str], heartbeat: float | None
    ) -> None:
        # Pings cannot be disabled, so their interval is longer than the benchmark.
        response = EventSourceResponse(source, ping=heartbeat or 3600)
        await response(scope, receive, send)

    return serve


FRAMED = ("bare ASGI", "starlette")
"""Peers without event framing; their source yields framed text."""

PEERS: dict[str, Callable[[], Serve]] = {
    "bare ASGI": lambda: bare,
    "undam": _undam,
    "starlette": _starlette,
    "sse-starlette": _sse_starlette,
}


def main(name: str) -> None:
    """Serve with the package ``name`` on a free port, and print the port as the first line."""
    import uvicorn  # noqa: PLC0415

    serve = PEERS[name]()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heartbeat = HEARTBEAT_S if scope["path"] == "/quiet" else None
        await serve(scope, receive, send, _source(scope, framed=name in FRAMED), heartbeat)

    config = uvicorn.Config(
        app, port=0, loop="uvloop", http="httptools", lifespan="off", log_level="critical",
        access_log=False, timeout_graceful_shutdown=1, backlog=4096,
    )  # fmt: skip
    sock = config.bind_socket()
    sock.listen(4096)
    print(sock.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main(sys.argv[1])
