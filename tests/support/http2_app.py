"""Streams inside several kinds of middleware: ``/KIND/failing``, ``/complete``, ``/endless``."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI

from undam.asgi import EventStream, StreamGuard
from undam.asgi.starlette import EventStreamResponse


async def _source(kind: str) -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0.01)
    if kind == "failing":
        raise ValueError("expected")
    while kind == "endless":
        yield "b"
        await asyncio.sleep(0.02)


def _framework(middleware: bool) -> FastAPI:
    app = FastAPI()

    @app.get("/{surrounding}/{kind}")
    async def view(surrounding: str, kind: str) -> EventStreamResponse:
        return EventStreamResponse(_source(kind))

    if middleware:

        @app.middleware("http")
        async def pass_on(request: Any, call_next: Any) -> Any:
            return await call_next(request)

    return app


async def _plain(scope: Any, receive: Any, send: Any) -> None:
    await EventStream(_source(scope["path"].rpartition("/")[2]))(scope, receive, send)


_APPS: dict[str, Any] = {
    "plain": _plain,
    "framework": _framework(middleware=False),
    "middleware": _framework(middleware=True),
    "guarded": StreamGuard(_framework(middleware=True)),
}


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "http":
        raise RuntimeError("no lifespan here")
    await _APPS[scope["path"].split("/")[1]](scope, receive, send)
