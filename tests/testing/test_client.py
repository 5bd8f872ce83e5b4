"""Reading streams from any ASGI application in virtual time, without a server."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from undam.asgi import Answers, EventStream, MemoryReplay, StreamBroken, StreamGuard
from undam.asgi.starlette import EventStreamResponse
from undam.testing import open_stream
from undam.testing.virtual_time import CLOCK_READERS

SOURCE = Path(__file__).parents[2] / "src" / "undam"


def _application(log: list[str]) -> FastAPI:
    app = FastAPI()

    async def endless() -> AsyncIterator[dict[str, int]]:
        number = 0
        try:
            while True:
                yield {"n": number}
                number += 1
                await asyncio.sleep(60)
        finally:
            log.append("closed")

    @app.get("/endless")
    async def view() -> EventStreamResponse:
        return EventStreamResponse(endless, on_close=log.append)

    @app.post("/echo")
    async def echo(body: dict[str, str], request: Request) -> EventStreamResponse:
        return EventStreamResponse([body["prompt"], request.query_params["q"]])

    @app.get("/failing")
    async def failing() -> EventStreamResponse:
        async def source() -> AsyncIterator[str]:
            yield "a"
            raise ValueError("the real cause")

        return EventStreamResponse(source)

    @app.get("/refused")
    async def refused() -> EventStreamResponse:
        raise HTTPException(403)

    @app.get("/blocking")
    async def blocking() -> EventStreamResponse:
        def source() -> Iterator[str]:
            for number in range(3):
                time.sleep(0.01)
                yield str(number)

        return EventStreamResponse(source)

    return app


def test_three_events_of_an_endless_stream_and_the_end_by_the_client() -> None:
    log: list[str] = []
    began = time.monotonic()
    with open_stream(_application(log), "/endless") as stream:
        assert stream.status == 200
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert [event.data for event in stream.take(3)] == ['{"n":0}', '{"n":1}', '{"n":2}']
        assert 120 <= stream.elapsed_s < 180
        assert stream.reason is None
        stream.leave()
        assert str(stream.reason) == "client-left"
        assert log == ["closed", "client-left"]
    assert time.monotonic() - began < 10


def test_heartbeats_arrive_in_virtual_time() -> None:
    with open_stream(_application([]), "/endless") as stream:
        stream.take(1)
        stream.wait(50)
        assert stream.comments.count("ping") == 3  # one ping per 15 s of virtual time


def test_the_body_query_and_headers_reach_the_application() -> None:
    with open_stream(_application([]), "/echo?q=x", json={"prompt": "hi"}) as stream:
        assert [event.data for event in stream.read()] == ["hi", "x"]
        assert stream.complete
        assert stream.reason == "complete"
        assert stream.body.endswith(b"data: x\n\n")


def test_the_cause_of_a_failure() -> None:
    with open_stream(_application([]), "/failing") as stream:
        assert [event.event for event in stream.read()] == ["message", "error"]
        assert stream.reason == "error"
        assert not stream.complete
        assert isinstance(stream.error, StreamBroken)
        assert isinstance(stream.error.__cause__, ValueError)
        with pytest.raises(AssertionError, match=r"ended \(error\) after 0 of 1") as raised:
            stream.take(1)
        assert raised.value.__cause__ is stream.error


def test_a_response_that_is_not_a_stream() -> None:
    with open_stream(_application([]), "/refused") as stream:
        assert stream.status == 403
        assert b"Forbidden" in stream.body
        assert stream.read() == []


def test_a_source_in_a_thread() -> None:
    with open_stream(_application([]), "/blocking") as stream:
        assert [event.data for event in stream.take(3)] == ["0", "1", "2"]


def test_streams_of_other_libraries() -> None:
    async def endless(request: Any) -> StreamingResponse:
        async def source() -> AsyncIterator[str]:
            while True:
                yield "data: x\n\n"
                await asyncio.sleep(5)

        return StreamingResponse(source(), media_type="text/event-stream")

    async def page(request: Any) -> PlainTextResponse:
        return PlainTextResponse("page")

    app = Starlette(routes=[Route("/", endless), Route("/page", page)])
    for one in (app, StreamGuard(app)):
        with open_stream(one, "/") as stream:
            assert len(stream.take(4)) == 4
            stream.leave()
            assert stream.reason is None
    with open_stream(app, "/page") as stream:
        assert stream.body == b"page"


def test_silence_is_reported_with_the_events_so_far() -> None:
    async def source() -> AsyncIterator[str]:
        yield "a"
        await asyncio.sleep(10_000)
        yield "b"

    with open_stream(EventStream(source), "/") as stream:
        with pytest.raises(AssertionError, match=r"silent for 60 s after 1 of 2 events: \['a'\]"):
            stream.take(2, timeout_s=60)
        with pytest.raises(AssertionError, match="did not end"):
            stream.read(timeout_s=60)


def test_an_application_that_ignores_the_disconnect_is_reported() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(10_000)

    with (
        open_stream(app, "/") as stream,
        pytest.raises(AssertionError, match="still serves the request"),
    ):
        stream.leave()


def test_several_streams_share_one_clock_and_one_application() -> None:
    answers = Answers(MemoryReplay())

    async def tokens() -> AsyncIterator[str]:
        for number in range(1000):
            yield str(number)
            await asyncio.sleep(1)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["method"] == "POST":
            answer = await answers.start(tokens, owner=1)
        else:
            answer = answers.attach(scope["path"][1:], owner=1)
        await EventStream(answer)(scope, receive, send)

    with open_stream(app, "/", method="POST") as first:
        key = first.headers["answer-key"]
        last = first.take(3)[-1]
        with open_stream(app, f"/{key}", last_event_id=last.id) as second:
            assert [event.data for event in second.take(2)] == ["2", "3"]
            assert first.run(answers.stop(key, owner=1))
            assert second.read()[-1].event == "stopped"
            assert second.complete
        assert first.read()[-1].event == "stopped"
        assert first.reason == "stopped"


def test_every_module_with_a_clock_of_its_own_is_listed() -> None:
    reading = {
        "undam." + ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        for package in ("aio", "asgi")
        for path in (SOURCE / package).rglob("*.py")
        if "import monotonic" in path.read_text()
    }
    assert reading == set(CLOCK_READERS)


def test_the_pytest_fixture(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["undam.testing.pytest_plugin"]\n')
    (tmp_path / "test_chat.py").write_text(
        "from undam.asgi import EventStream\n"
        "def test_chat(open_stream):\n"
        "    stream = open_stream(EventStream(lambda: ['a']), '/')\n"
        "    assert stream.take(1)[0].data == 'a'\n"
        "    other = open_stream(EventStream(lambda: ['b']), '/')\n"
        "    assert other.read()[0].data == 'b'\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)]
    run = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert "1 passed" in run.stdout, run.stdout + run.stderr
