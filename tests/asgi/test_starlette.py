"""`EventStreamResponse` in Starlette and FastAPI: as response, response class and annotation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from fastapi import APIRouter, BackgroundTasks, FastAPI
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from support.asgi_calls import Call, run
from undam.asgi import OpenAIAnswer, StreamBroken
from undam.asgi.fastapi import EventStreamRoute
from undam.asgi.starlette import EventStreamResponse
from undam.errors import UsageError

OPEN = b": open\n"


class _Named(EventStreamResponse):
    media_type = "text/vnd.events"


async def _tokens() -> AsyncIterator[str]:
    yield "a"
    yield "b"


def _serve(app: Any, call: Call | None = None) -> Call:
    async def main() -> Call:
        return await (call or Call()).serve(app)

    return run(main())


def _starlette(response: Response) -> Starlette:
    async def endpoint(request: Request) -> Response:
        return response

    return Starlette(routes=[Route("/", endpoint, methods=["GET", "POST", "HEAD"])])


def test_a_starlette_endpoint_returns_a_stream() -> None:
    call = _serve(_starlette(EventStreamResponse(_tokens())))
    assert call.bodies == [OPEN, b"data: a\n\n", b"data: b\n\n"]
    assert call.complete
    assert call.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "incremental": "?1",
    }


def test_status_headers_and_cookies_can_be_set() -> None:
    response = EventStreamResponse(
        _tokens(), 203, {"X-Model": "m", "Cache-Control": "no-store", "Connection": "keep-alive"}
    )
    response.set_cookie("seen", "1")
    response.headers["x-late"] = "yes"
    del response.headers["incremental"]
    call = _serve(_starlette(response))
    assert call.status == 203
    assert call.headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "x-accel-buffering": "no",
        "x-model": "m",
        "cache-control": "no-store",
        "set-cookie": "seen=1; Path=/; SameSite=lax",
        "x-late": "yes",
    }


def test_a_given_content_type_is_sent() -> None:
    assert _Named(_tokens()).headers["content-type"] == "text/vnd.events; charset=utf-8"
    stated = EventStreamResponse(_tokens(), media_type="text/x-events; charset=ascii")
    assert stated.headers["content-type"] == "text/x-events; charset=ascii"
    by_media_type = EventStreamResponse(_tokens(), media_type="text/x-events")
    by_header = EventStreamResponse(
        _tokens(), media_type="text/x-events", headers={"Content-Type": "text/event-stream"}
    )
    assert by_media_type.headers["content-type"] == "text/x-events; charset=utf-8"
    assert by_header.headers["content-type"] == "text/event-stream"


def test_invalid_arguments_are_rejected_at_creation() -> None:
    with pytest.raises(UsageError, match="heartbeat"):
        EventStreamResponse(_tokens(), heartbeat=0)
    with pytest.raises(UsageError, match="source is a single str"):
        EventStreamResponse("text")


def test_heartbeat_and_openai_options_are_passed_on() -> None:
    async def slow() -> AsyncIterator[str]:
        await asyncio.sleep(0.2)
        yield "a"

    answer = OpenAIAnswer(model="m", id="1", created=1)
    call = _serve(_starlette(EventStreamResponse(slow(), heartbeat=0.02, openai=answer)))
    assert call.bodies[1] == b": ping\n\n"
    assert call.body.endswith(b"data: [DONE]\n\n")
    assert b'"content":"a"' in call.body


def test_a_head_request_gets_headers_and_starts_no_source() -> None:
    started: list[bool] = []

    def source() -> Iterator[str]:
        started.append(True)
        yield "a"

    call = _serve(_starlette(EventStreamResponse(source)), Call("HEAD"))
    assert call.headers["x-accel-buffering"] == "no"
    assert call.body == b""
    assert started == []


def test_background_runs_after_a_complete_stream() -> None:
    seen: list[int] = []
    call = Call()
    task = BackgroundTask(lambda: seen.append(len(call.sent)))
    _serve(_starlette(EventStreamResponse(_tokens(), background=task)), call)
    assert seen == [len(call.sent)]


def test_background_runs_once_after_a_disconnect() -> None:
    seen: list[str] = []

    async def endless() -> AsyncIterator[str]:
        while True:
            yield "a"
            await asyncio.sleep(0.001)

    response = EventStreamResponse(
        endless(), background=BackgroundTask(seen.append, "ran"), on_close=seen.append
    )

    async def main() -> None:
        call = Call()
        serving = call.start(_starlette(response))
        await call.until(lambda: len(call.sent) > 3)
        call.disconnected.set()
        await serving

    run(main())
    assert seen == ["client-left", "ran"]


def test_background_does_not_run_when_the_source_fails() -> None:
    seen: list[str] = []

    async def failing() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("secret")

    response = EventStreamResponse(failing(), background=BackgroundTask(seen.append, "ran"))
    call = Call()
    with pytest.raises(StreamBroken):
        _serve(_starlette(response), call)
    assert seen == []
    assert b"event: error" in call.bodies[-1]
    assert b"secret" not in call.body
    assert not call.complete


def test_fastapi_streams_a_generator_endpoint_with_the_response_class() -> None:
    app = FastAPI()
    seen: list[str] = []

    @app.get("/async", response_class=EventStreamResponse)
    async def from_async(tasks: BackgroundTasks) -> AsyncIterator[str]:
        tasks.add_task(seen.append, "ran")
        yield "a"
        yield "b\nc"

    @app.get("/plain", response_class=EventStreamResponse)
    def from_plain() -> Iterator[dict[str, int]]:
        yield {"n": 1}

    assert _serve(app, Call(path="/async")).body == OPEN + b"data: a\n\ndata: b\ndata: c\n\n"
    assert seen == ["ran"]
    assert _serve(app, Call(path="/plain")).body == OPEN + b'data: {"n":1}\n\n'


def test_fastapi_streams_a_returned_response_with_dependencies_and_tasks() -> None:
    app = FastAPI()
    seen: list[str] = []

    @app.post("/chat")
    async def chat(prompt: str, response: Response, tasks: BackgroundTasks) -> EventStreamResponse:
        tasks.add_task(seen.append, "ran")
        response.headers["x-prompt"] = prompt
        return EventStreamResponse(_tokens(), headers={"x-own": "1"})

    call = _serve(app, Call("POST", "/chat", query_string=b"prompt=hi"))
    assert call.body == OPEN + b"data: a\n\ndata: b\n\n"
    assert call.headers["x-own"] == "1"
    assert seen == ["ran"]


def _content_types(app: FastAPI, path: str) -> set[str]:
    return set(app.openapi()["paths"][path]["get"]["responses"]["200"]["content"])


def test_the_response_class_appears_in_the_openapi_document() -> None:
    app = FastAPI()

    @app.get("/chat", response_class=EventStreamResponse)
    async def chat() -> AsyncIterator[str]:
        yield "a"

    assert _content_types(app, "/chat") == {"text/event-stream"}


def test_a_return_annotation_appears_in_the_openapi_document() -> None:
    app = FastAPI()
    app.router.route_class = EventStreamRoute
    router = APIRouter(prefix="/v1", route_class=EventStreamRoute)

    @app.get("/chat")
    async def chat() -> EventStreamResponse:
        return EventStreamResponse(_tokens())

    @router.get("/chat")
    async def included() -> EventStreamResponse:
        return EventStreamResponse(_tokens())

    @app.get("/named")
    async def named() -> _Named:
        return _Named(_tokens())

    @app.get("/given", response_class=PlainTextResponse)
    async def given() -> EventStreamResponse:
        return EventStreamResponse(_tokens())

    @app.get("/json")
    async def other() -> dict[str, int]:
        return {"n": 1}

    app.include_router(router)
    assert _content_types(app, "/chat") == {"text/event-stream"}
    assert _content_types(app, "/v1/chat") == {"text/event-stream"}
    assert _content_types(app, "/named") == {"text/vnd.events"}
    assert _content_types(app, "/given") == {"text/plain"}
    assert _content_types(app, "/json") == {"application/json"}
    for path in ("/chat", "/v1/chat", "/named"):
        assert _serve(app, Call(path=path)).body == OPEN + b"data: a\n\ndata: b\n\n"
    assert _serve(app, Call(path="/json")).body == b'{"n":1}'


def test_an_unresolvable_annotation_is_ignored() -> None:
    class Endpoint:
        async def __call__(self) -> EventStreamResponse:
            return EventStreamResponse(_tokens())

    async def unreadable() -> Nowhere:  # type: ignore[name-defined]  # noqa: F821
        return EventStreamResponse(_tokens())

    app = FastAPI()
    app.router.route_class = EventStreamRoute
    app.get("/object")(Endpoint())
    app.get("/unreadable", response_model=None)(unreadable)
    for path in ("/object", "/unreadable"):
        assert _serve(app, Call(path=path)).body == OPEN + b"data: a\n\ndata: b\n\n"
