"""Applications with compression middleware: Django for gunicorn, and Starlette for uvicorn.

Set GZIP=1 to add the middleware. Each request is answered with a stream of chat chunks.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

COUNT, GAP_S = 60, 0.025
GZIP = os.environ.get("GZIP") == "1"


def chunk(number: int) -> bytes:
    """Return the chat chunk ``number``; the last chunk also ends the answer."""
    last = number == COUNT - 1
    delta = {"content": f"word {number} "}
    choice = {"index": 0, "delta": delta, "finish_reason": "stop" if last else None}
    end = b"data: [DONE]\n\n" if last else b""
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n" + end


def django_application() -> Any:
    """Return a WSGI application."""
    from django.conf import settings  # type: ignore[import-untyped]  # noqa: PLC0415
    from django.core.wsgi import get_wsgi_application  # type: ignore[import-untyped]  # noqa: PLC0415
    from django.http import StreamingHttpResponse  # type: ignore[import-untyped]  # noqa: PLC0415
    from django.urls import re_path  # type: ignore[import-untyped]  # noqa: PLC0415

    def view(request: Any) -> Any:
        def body() -> Iterator[bytes]:
            for number in range(COUNT):
                time.sleep(GAP_S)
                yield chunk(number)

        return StreamingHttpResponse(body(), content_type="text/event-stream")

    view.csrf_exempt = True  # type: ignore[attr-defined]
    middleware = ["django.middleware.gzip.GZipMiddleware"] if GZIP else []
    urls = type("urls", (), {"urlpatterns": [re_path(r"", view)]})
    settings.configure(
        ALLOWED_HOSTS=["*"],
        DEBUG=False,
        MIDDLEWARE=["django.middleware.security.SecurityMiddleware", *middleware],
        ROOT_URLCONF=urls,
        SECRET_KEY="for a test",
        USE_TZ=True,
    )
    return get_wsgi_application()


def starlette_application() -> Any:
    """Return an ASGI application."""
    from starlette.applications import Starlette  # noqa: PLC0415 (the version differs)
    from starlette.middleware import Middleware  # noqa: PLC0415
    from starlette.middleware.gzip import GZipMiddleware  # noqa: PLC0415
    from starlette.responses import StreamingResponse  # noqa: PLC0415
    from starlette.routing import Route  # noqa: PLC0415

    async def view(request: Any) -> Any:
        async def body() -> AsyncIterator[bytes]:
            for number in range(COUNT):
                await asyncio.sleep(GAP_S)
                yield chunk(number)

        return StreamingResponse(body(), media_type="text/event-stream")

    routes = [Route("/{path:path}", view, methods=["POST"])]
    return Starlette(routes=routes, middleware=[Middleware(GZipMiddleware)] if GZIP else [])
