"""ASGI application for the live tests, with one path per behaviour.

``/state`` returns JSON for each stream requested with ``?as=NAME``: the reason of its end, how
often the ``finally`` block of its source ran, and its number of events.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl

from undam.asgi import EventStream, StreamGuard

EVENT_BYTES = 200
_WIDTH = EVENT_BYTES - len("data: \n\n")

_state: dict[str, dict[str, Any]] = {}
_gates: dict[str, asyncio.Event] = {}

Options = dict[str, str]


def _text(number: int) -> str:
    return f"{number:0{_WIDTH}d}"


async def _paced(options: Options) -> AsyncIterator[str]:
    gap, count = float(options.get("gap", "0.02")), int(options.get("count", "20"))
    due = time.monotonic()
    for number in range(count):
        due += gap
        await asyncio.sleep(due - time.monotonic())
        yield _text(number)


async def _gated(options: Options) -> AsyncIterator[str]:
    """Yield one event after ``/open`` has been requested."""
    await _gates.setdefault(options["as"], asyncio.Event()).wait()
    yield "open"


async def _silent(options: Options) -> AsyncIterator[str]:
    await asyncio.sleep(3600)
    yield "never"


async def _blocking(options: Options) -> AsyncIterator[str]:
    time.sleep(float(options["seconds"]))  # noqa: ASYNC251 (a source that blocks the loop)
    yield "at last"


async def _burst(options: Options) -> AsyncIterator[str]:
    for number in range(int(options["count"])):
        yield _text(number)
    await asyncio.sleep(0.3)


async def _failing(options: Options) -> AsyncIterator[str]:
    yield "before"
    raise ValueError("the text that must not leak")


async def _endless(options: Options) -> AsyncIterator[str]:
    number = 0
    while True:
        yield _text(number)
        number += 1
        await asyncio.sleep(0)


async def _never_suspending(options: Options) -> AsyncIterator[str]:
    number = 0
    while True:
        yield _text(number)
        number += 1


def _plain(options: Options) -> Iterator[str]:
    for number in range(int(options.get("count", "5"))):
        time.sleep(0.02)
        yield _text(number)


_SOURCES: dict[str, Any] = {
    "/paced": _paced,
    "/gated": _gated,
    "/silent": _silent,
    "/blocking": _blocking,
    "/burst": _burst,
    "/failing": _failing,
    "/endless": _endless,
    "/never": _never_suspending,
    "/plain": _plain,
}


async def _noting(source: Any, note: dict[str, Any]) -> AsyncIterator[str]:
    note["started"] = True
    try:
        async for item in source:
            note["events"] += 1
            yield item
    finally:
        note["finals"] += 1


async def _answer(send: Any, value: object) -> None:
    body = json.dumps(value).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _unguarded(scope: Any, receive: Any, send: Any) -> None:
    """Send a hand-written event stream without `StreamGuard` or any other protection."""
    headers = [(b"content-type", b"text/event-stream"), (b"connection", b"keep-alive")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    message: dict[str, Any] = {"type": "http.response.body", "more_body": True}
    await send({**message, "body": b"data: a\n\n"})
    note = _state.setdefault("guarded", {"finals": 0})
    try:
        await asyncio.sleep(3600)
    finally:
        note["finals"] += 1


_guarded = StreamGuard(_unguarded, heartbeat=0.1)


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Serve one request."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    path, options = scope["path"], dict(parse_qsl(scope["query_string"].decode()))
    if path == "/state":
        await _answer(send, _state)
    elif path == "/open":
        _gates.setdefault(options["as"], asyncio.Event()).set()
        await _answer(send, None)
    elif path == "/guarded":
        await _guarded(scope, receive, send)
    else:
        await _stream(path, options)(scope, receive, send)


def _stream(path: str, options: Options) -> EventStream:
    note = {"started": False, "events": 0, "finals": 0, "reasons": []}
    _state[options.get("as", path)] = note
    source = _SOURCES[path](options)
    heartbeat = float(options.get("heartbeat", "0"))
    return EventStream(
        source if path == "/plain" else _noting(source, note),
        heartbeat=heartbeat or None,
        send_timeout=float(options.get("send_timeout", "0")) or None,
        buffer_bytes=int(options.get("buffer_bytes", "65536")),
        openai="openai" in options,
        on_close=note["reasons"].append,  # type: ignore[attr-defined]
    )
