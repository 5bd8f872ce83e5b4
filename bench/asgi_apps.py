"""The servers of the comparison in asgi_streams.py: one program, `python -m bench.asgi_apps NAME`.

Every peer serves the same tokens on the same server (uvicorn on uvloop), from the same source:

    /flood      one event per turn of the loop, as fast as the loop turns
    /paced      one event each gap; its data begins with the time in ns at which it was due
    /idle       no event at all, and no heartbeat
    /quiet      no event, a heartbeat each half second
    /never      one event after the other without ever suspending
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

TOKEN = "x" * 192
"""With its framing 200 bytes, what a chat chunk takes."""

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
    """Events due each ``gap_s`` from ``start_s`` on, whenever the one before left."""
    due = time.monotonic() + start_s
    ahead = time.time() - time.monotonic()
    before, after = ("data: ", "\n\n") if framed else ("", "")
    while True:
        wait = due - time.monotonic()
        if wait > 0:
            await asyncio.sleep(wait)
        stamp = f"{int((due + ahead) * 1e9)} "
        yield f"{before}{stamp}{TOKEN[len(stamp) :]}{after}"
        due += gap_s


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
    """What ASGI itself costs: no disconnect is noticed, and nothing is promised."""
    headers = [(b"content-type", b"text/event-stream")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b": open\n", "more_body": True})
    async for text in source:
        await send({"type": "http.response.body", "body": text.encode(), "more_body": True})


def _undam() -> Serve:
    from undam.asgi import EventStream  # noqa: PLC0415 (each server loads its own peer only)

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
        # It has no way to send none; the longest pause comes nearest.
        response = EventSourceResponse(source, ping=heartbeat or 3600)
        await response(scope, receive, send)

    return serve


FRAMED = ("bare ASGI", "starlette")
"""These send what they are given, so their source writes the framing itself."""

PEERS: dict[str, Callable[[], Serve]] = {
    "bare ASGI": lambda: bare,
    "undam": _undam,
    "starlette": _starlette,
    "sse-starlette": _sse_starlette,
}


def main(name: str) -> None:
    """Serve ``name`` on a free port, which is the first line printed."""
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
