# One line adds headers, heartbeats, cancellation and fair scheduling to an existing application.
# Run:  pip install undam starlette uvicorn && uvicorn --app-dir examples guard_existing:app
#       and then: curl -N localhost:8000/stream; curl -i localhost:8000/
"""Ordinary Starlette application, with the middleware that protects its streams.

The equivalent for other frameworks, with ``from undam.asgi import StreamGuard``:

    FastAPI      app.add_middleware(StreamGuard)
    Litestar     app = StreamGuard(Litestar([...]))
    Quart        app.asgi_app = StreamGuard(app.asgi_app)
    Django       application = StreamGuard(get_asgi_application())
    BlackSheep   app = StreamGuard(Application())
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from undam.asgi import StreamGuard


async def tokens() -> AsyncIterator[str]:
    """Wait one second, like a model that processes its prompt, and then yield numbers."""
    await asyncio.sleep(1)
    for number in range(1, 41):
        await asyncio.sleep(0.025)
        yield f"data: {number}\n\n"


async def stream(_request: Request) -> Response:
    """Return a stream. The endpoint does not use undam."""
    return StreamingResponse(tokens(), media_type="text/event-stream")


async def page(_request: Request) -> Response:
    """Return an ordinary response, which the middleware does not change."""
    return PlainTextResponse("hello\n")


app = Starlette(routes=[Route("/", page), Route("/stream", stream)])
# The only addition; the default heartbeat interval is 15 s.
app.add_middleware(StreamGuard, heartbeat=0.5)
