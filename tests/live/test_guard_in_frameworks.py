"""`StreamGuard` around an application in each web framework, tested over real connections."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import blacksheep
import django.core.asgi  # type: ignore[import-untyped]
import fastapi
import fastapi.responses
import litestar
import litestar.response
import pytest
import quart
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing

from support import django_site
from support.uvicorn_thread import Gate, RawResponse, read_raw, under_uvicorn
from undam.asgi import StreamGuard

PING = b": ping\n\n"
HELD = {"x-accel-buffering": "no", "incremental": "?1"}

Source = Callable[[], AsyncIterator[bytes]]


def _fastapi(source: Source) -> Any:
    app = fastapi.FastAPI()

    @app.get("/stream")
    async def stream() -> fastapi.responses.StreamingResponse:
        return fastapi.responses.StreamingResponse(
            source(), media_type="text/event-stream", headers={"Connection": "keep-alive"}
        )

    @app.get("/page", response_class=fastapi.responses.PlainTextResponse)
    async def page() -> str:
        return "page"

    app.add_middleware(StreamGuard, heartbeat=0.05)
    return app


def _starlette(source: Source) -> Any:
    async def stream(request: starlette.requests.Request) -> starlette.responses.Response:
        return starlette.responses.StreamingResponse(source(), media_type="text/event-stream")

    async def page(request: starlette.requests.Request) -> starlette.responses.Response:
        return starlette.responses.PlainTextResponse("page")

    route = starlette.routing.Route
    app = starlette.applications.Starlette(routes=[route("/stream", stream), route("/page", page)])
    app.add_middleware(StreamGuard, heartbeat=0.05)
    return app


def _litestar(source: Source) -> Any:
    @litestar.get("/stream")
    async def stream() -> litestar.response.Stream:
        return litestar.response.Stream(source(), media_type="text/event-stream")

    @litestar.get("/page", media_type=litestar.MediaType.TEXT)
    async def page() -> str:
        return "page"

    app: Any = litestar.Litestar([stream, page], openapi_config=None)
    return StreamGuard(app, heartbeat=0.05)


def _quart(source: Source) -> Any:
    app = quart.Quart(__name__)

    @app.get("/stream")
    async def stream() -> quart.Response:
        response = quart.Response(source(), mimetype="text/event-stream")
        response.timeout = None
        return response

    @app.get("/page")
    async def page() -> quart.Response:
        return quart.Response("page", mimetype="text/plain")

    app.asgi_app = StreamGuard(app.asgi_app, heartbeat=0.05)  # type: ignore[assignment,arg-type,method-assign]
    return app


def _django(source: Source) -> Any:
    django_site.async_source = source
    return StreamGuard(django.core.asgi.get_asgi_application(), heartbeat=0.05)


def _blacksheep(source: Source) -> Any:
    app = blacksheep.Application()

    @app.router.get("/stream")
    async def stream() -> blacksheep.Response:
        content = blacksheep.StreamedContent(b"text/event-stream", source)
        return blacksheep.Response(200, content=content)

    @app.router.get("/page")
    async def page() -> blacksheep.Response:
        return blacksheep.Response(200, content=blacksheep.Content(b"text/plain", b"page"))

    return StreamGuard(app, heartbeat=0.05)


MAKERS = {
    "fastapi": (_fastapi, "/stream"),
    "starlette": (_starlette, "/stream"),
    "litestar": (_litestar, "/stream"),
    "quart": (_quart, "/stream"),
    "django": (_django, "/asgi"),
    "blacksheep": (_blacksheep, "/stream"),
}


@pytest.mark.parametrize("name", MAKERS)
def test_one_line_protects_the_streams_of(name: str) -> None:
    make, path = MAKERS[name]
    gate = Gate()

    async def source() -> AsyncIterator[bytes]:
        yield b"data: one\n\n"
        await gate.pass_through()
        yield b"data: two\n\n"

    def on_read(raw: RawResponse) -> bool:
        if b"data: one\n\n" in raw.data and raw.data.count(PING) >= 2:
            gate.open()
        return True

    with under_uvicorn(make(source)) as url:
        raw = read_raw(url + path, on_read=on_read)
        page = read_raw(url + "/page")

    assert not gate.held
    assert raw.data.index(b"data: one\n\n") < raw.data.index(PING)
    assert raw.data.rindex(PING) < raw.data.index(b"data: two\n\n")
    assert not raw.truncated
    assert raw.head.items() >= HELD.items()
    assert "no-transform" in raw.head["cache-control"]
    assert "keep-alive" not in raw.head.get("connection", "")
    assert b"page" in page.data.partition(b"\r\n\r\n")[2]
    assert not HELD.keys() & page.head.keys()
    assert PING not in page.data
