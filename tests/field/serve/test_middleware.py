"""A failed stream never ends cleanly, whichever middleware wraps the application."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from fastapi import BackgroundTasks, Depends, FastAPI
from fastapi.testclient import TestClient
from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
from opentelemetry.sdk.trace import TracerProvider
from sentry_sdk.integrations.asgi import SentryAsgiMiddleware
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.routing import Mount

from support.asgi_calls import Call, run
from support.uvicorn_thread import read_raw, under_uvicorn
from undam.asgi import EventStream, StreamBroken, StreamGuard, end_streams
from undam.asgi.server import sockets
from undam.asgi.starlette import EventStreamResponse

Wrap = Callable[[FastAPI], Any]


async def _failing() -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0)
    raise ValueError("boom")


async def _complete() -> AsyncIterator[str]:
    yield "a"
    await asyncio.sleep(0)
    yield "b"


async def _pass_on(request: Any, call_next: Any) -> Any:
    response = await call_next(request)
    response.headers["x-seen"] = "1"
    return response


def _application(**options: Any) -> FastAPI:
    app = FastAPI()

    async def session() -> AsyncIterator[str]:
        yield "session"

    @app.get("/failing")
    async def failing(
        tasks: BackgroundTasks, _value: str = Depends(session)
    ) -> EventStreamResponse:
        tasks.add_task(lambda: None)
        return EventStreamResponse(_failing(), **options)

    @app.get("/complete")
    async def complete(_value: str = Depends(session)) -> EventStreamResponse:
        return EventStreamResponse(_complete(), **options)

    @app.get("/endless")
    async def endless() -> EventStreamResponse:
        async def source() -> AsyncIterator[str]:
            while True:
                yield "x"
                await asyncio.sleep(0.005)

        return EventStreamResponse(source())

    @app.get("/stop")
    async def stop() -> int:
        return end_streams()

    return app


def _decorated(app: FastAPI) -> Any:
    app.middleware("http")(_pass_on)
    return app


def _twice(app: FastAPI) -> Any:
    return _with(BaseHTTPMiddleware, dispatch=_pass_on)(_decorated(app))


def _with(kind: Any, **options: Any) -> Wrap:
    def wrap(app: FastAPI) -> Any:
        app.add_middleware(kind, **options)
        return app

    return wrap


def _mounted(app: FastAPI) -> Any:
    outer = Starlette(routes=[Mount("/", app)])
    outer.add_middleware(BaseHTTPMiddleware, dispatch=_pass_on)
    return outer


class _Passing:
    """Middleware whose ``send`` is a method, as in the middleware of slowapi and brotli-asgi."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        responder = _Passing(self._app)
        responder._send_on = send
        await self._app(scope, receive, responder.send_counted)

    async def send_counted(self, message: Any) -> None:
        await self._send_on(message)

    _send_on: Any = None


class _Swallowing(_Passing):
    """Middleware that suppresses an exception and ends the response."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await self._app(scope, receive, send)
        except StreamBroken:
            await send({"type": "http.response.body", "body": b"", "more_body": False})


def _within(wrap: Wrap) -> Wrap:
    """Add a BaseHTTPMiddleware outside of ``wrap``."""
    return lambda app: _decorated(wrap(app))


SURROUNDINGS: dict[str, Wrap] = {
    "nothing": lambda app: app,
    "middleware(http)": _decorated,
    "BaseHTTPMiddleware twice": _twice,
    "guard outermost": lambda app: StreamGuard(_decorated(app)),
    "guard added": lambda app: _with(StreamGuard)(_decorated(app)),
    "gzip": _with(GZipMiddleware, minimum_size=1),
    "cors": _with(CORSMiddleware, allow_origins=["*"]),
    "mounted": _mounted,
    "gzip within middleware(http)": _within(_with(GZipMiddleware, minimum_size=1)),
    "method within middleware(http)": _within(_with(_Passing)),
    "swallowing": _with(_Swallowing),
    "swallowing within middleware(http)": _within(_with(_Swallowing)),
    "OpenTelemetry": _with(OpenTelemetryMiddleware, tracer_provider=TracerProvider()),
    # Only the ASGI middleware is used, because `sentry_sdk.init` would patch libraries globally.
    "Sentry": SentryAsgiMiddleware,
}
try:
    import itsdangerous  # noqa: F401
except ModuleNotFoundError:
    pass
else:
    SURROUNDINGS["sessions"] = _with(SessionMiddleware, secret_key="s")


@pytest.fixture(scope="module", params=SURROUNDINGS)
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    with under_uvicorn(SURROUNDINGS[request.param](_application())) as served:
        yield served


@pytest.mark.live
def test_a_failed_stream_is_cut_after_its_error_event(url: str) -> None:
    raw = read_raw(f"{url}/failing", headers=("Origin: http://a", "Accept-Encoding: gzip"))
    assert raw.status == 200
    assert b"event: error\n" in raw.data
    assert b"boom" not in raw.data
    assert raw.truncated


@pytest.mark.live
def test_a_complete_stream_ends_cleanly(url: str) -> None:
    raw = read_raw(f"{url}/complete", headers=("Origin: http://a", "Accept-Encoding: gzip"))
    assert b"data: a\n\n" in raw.data
    assert b"data: b\n\n" in raw.data
    assert not raw.truncated


@pytest.mark.live
def test_a_stream_that_a_shutdown_ends_is_cut(url: str) -> None:
    stopped = threading.Event()

    def stop(raw: Any) -> bool:
        if b"data: x" in raw.data and not stopped.is_set():
            stopped.set()
            threading.Thread(target=read_raw, args=(f"{url}/stop",), daemon=True).start()
        return True

    assert read_raw(f"{url}/endless", on_read=stop).truncated


@pytest.mark.parametrize("wrap", [_decorated, _twice, _mounted])
def test_the_guard_alone_prevents_a_clean_end(wrap: Wrap) -> None:
    """Without a server, only StreamGuard can prevent a clean end."""

    async def main() -> None:
        call = Call(path="/failing", server=("test", 80), client=("test", 1))
        with pytest.raises(StreamBroken) as raised:
            await call.serve(StreamGuard(wrap(_application())))
        assert isinstance(raised.value.__cause__, ValueError)
        assert b"event: error\n" in call.body
        assert not call.complete

    run(main())


def test_the_guard_raises_if_a_layer_swallows_the_failure() -> None:
    async def swallowing(scope: Any, receive: Any, send: Any) -> None:
        with contextlib.suppress(StreamBroken):
            await EventStream(_failing())(scope, receive, send)
        with contextlib.suppress(StreamBroken):
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def main() -> None:
        call = Call()
        with pytest.raises(StreamBroken):
            await call.serve(StreamGuard(swallowing))
        assert not call.complete

    run(main())


def test_the_cause_reaches_the_test_client() -> None:
    for app in (_application(), _decorated(_application())):
        with pytest.raises(StreamBroken) as raised:
            TestClient(app).get("/failing")
        assert isinstance(raised.value.__cause__, ValueError)
        assert str(raised.value.__cause__) == "boom"


def test_a_wrapper_of_unknown_structure_is_not_entered() -> None:
    async def send(message: Any) -> None:
        pass

    assert sockets.server_send(send) is send
    assert sockets.is_indirect(send)
