# One line around an application that streams already: its headers, heartbeats, cancel and fairness.
# Run:  pip install undam starlette uvicorn && uvicorn --app-dir examples guard_existing:app
#       and then: curl -N localhost:8000/stream; curl -i localhost:8000/
"""A Starlette application as one finds it, and the one line that mends its streams.

The same line elsewhere, with ``from undam.asgi import StreamGuard``:

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
    """A model that thinks for a second and then counts."""
    await asyncio.sleep(1)
    for number in range(1, 41):
        await asyncio.sleep(0.025)
        yield f"data: {number}\n\n"


async def stream(_request: Request) -> Response:
    """The stream as it was."""
    return StreamingResponse(tokens(), media_type="text/event-stream")


async def page(_request: Request) -> Response:
    """Something else, which stays as it is."""
    return PlainTextResponse("hello\n")


app = Starlette(routes=[Route("/", page), Route("/stream", stream)])
app.add_middleware(StreamGuard, heartbeat=0.5)  # the one line; leave out heartbeat for 15 s
