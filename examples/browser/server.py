# Two pages that read a stream and resume it after a reload: one with EventSource, one with fetch.
# Run:  pip install undam starlette uvicorn && uvicorn --app-dir examples/browser server:app
#       and open http://localhost:8000/ and http://localhost:8000/fetch.html; reload them while they
#       receive data.
"""Server that stores its streams in memory, so that a reconnecting reader loses no events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from undam.asgi import MemoryReplay
from undam.asgi.starlette import EventStreamResponse
from undam.sse import Event

_PACKAGE = Path(__file__).parents[2] / "packages" / "undam-stream" / "src"
memory = MemoryReplay(linger_s=60)


async def words(prompt: str) -> AsyncIterator[Event]:
    """Yield each word of the prompt several times, followed by an ``end`` event."""
    for number in range(1, 11):
        for word in prompt.split()[:20]:
            await asyncio.sleep(0.1)
            yield Event(f"{word} {number}, ")
    yield Event("", "end")


async def by_get(request: Request) -> Response:
    """Serve EventSource, which can send only GET requests. The page generates the secret key."""
    return EventStreamResponse(
        partial(words, "tick tock"), replay=memory, replay_key=request.query_params["stream"]
    )


async def by_post(request: Request) -> Response:
    """Serve fetch, which can send a prompt. To reconnect, the page sends the same body again."""
    body = await request.json()
    return EventStreamResponse(
        partial(words, str(body["prompt"])), replay=memory, replay_key=str(body["stream"])
    )


app = Starlette(
    routes=[
        Route("/events", by_get),
        Route("/events", by_post, methods=["POST"]),
        Mount("/undam-stream", StaticFiles(directory=_PACKAGE)),
        Mount("/", StaticFiles(directory=Path(__file__).parent, html=True)),
    ]
)
