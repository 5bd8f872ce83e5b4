"""`StreamGuard`: protection for streams of unmodified applications."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import StreamGuard, end_streams
from undam.asgi.interface import OUTCOME
from undam.asgi.response.driven_response import TURN_EVENTS
from undam.errors import UsageError

SSE = (b"content-type", b"text/event-stream; charset=utf-8")
NDJSON = (b"content-type", b"application/x-ndjson")
BEAT = 0.03

App = Callable[[Any, Any, Any], Awaitable[None]]


def _body(data: bytes, *, more: bool = True) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def _app(*steps: bytes | float, headers: tuple[tuple[bytes, bytes], ...] = (SSE,)) -> App:
    """Return an application that sends these bytes, sleeps these seconds, and ends the body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        for step in steps:
            if isinstance(step, bytes):
                await send(_body(step))
            else:
                await asyncio.sleep(step)
        await send(_body(b"", more=False))

    return app


def _served(app: App, call: Call | None = None, **options: Any) -> Call:
    async def main() -> Call:
        return await (call or Call()).serve(StreamGuard(app, **options))

    return run(main())


def test_a_stream_gets_the_headers_and_loses_connection() -> None:
    given = (SSE, (b"Connection", b"keep-alive"), (b"x-own", b"1"))
    headers = _served(_app(b"data: a\n\n", headers=given)).headers
    assert headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "x-own": "1",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "incremental": "?1",
    }


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"no-store", "no-store, no-transform"),
        (b"no-cache, no-transform", "no-cache, no-transform"),
        (b"No-Transform", "No-Transform"),
        (b"", "no-cache, no-transform"),
    ],
)
def test_cache_control_directives_are_preserved(given: bytes, expected: str) -> None:
    call = _served(_app(headers=(SSE, (b"Cache-Control", given))))
    assert call.headers["cache-control"] == expected


def test_an_x_accel_buffering_header_of_the_application_is_preserved() -> None:
    call = _served(_app(headers=(SSE, (b"X-Accel-Buffering", b"yes"))))
    assert call.sent[0]["headers"].count((b"X-Accel-Buffering", b"yes")) == 1
    assert (b"x-accel-buffering", b"no") not in call.sent[0]["headers"]


def test_other_responses_are_passed_as_the_same_objects() -> None:
    start = {"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]}
    messages = [start, _body(b"x"), {"type": "http.response.pathsend", "path": "/f"}, _body(b"y")]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    call = _served(app, heartbeat=BEAT)
    assert [id(message) for message in call.sent] == [id(message) for message in messages]


@pytest.mark.parametrize("kind", ["websocket", "lifespan"])
def test_other_scopes_are_passed_unchanged(kind: str) -> None:
    seen: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([scope, receive, send])

    async def main() -> None:
        call = Call(type=kind)
        receive: Any = call.receive
        send: Any = call.send
        await StreamGuard(app)(call.scope, receive, send)
        assert [id(thing) for thing in seen] == [id(call.scope), id(receive), id(send)]

    run(main())


@pytest.mark.parametrize(
    ("parts", "beats"),
    [
        ([b"data: a\n\n"], True),
        ([b"data: a\r\n\r\n"], True),
        ([b"data: a\r\r"], True),
        ([b"data: a\n", b"\n"], True),
        ([b"data: a", b"\r\n", b"\r", b"\n"], True),
        ([b""], True),
        ([b"data: a\n"], False),
        ([b"data: a"], False),
        ([b"data: a\r\n\r"], False),
        ([b"data: a\n\ndata: b\n"], False),
    ],
)
def test_heartbeats_are_sent_only_between_events(parts: list[bytes], beats: bool) -> None:
    call = _served(_app(*parts, BEAT * 5, b"\n\ndata: z\n\n"), heartbeat=BEAT)
    assert (b": ping\n\n" in call.bodies) is beats


@pytest.mark.parametrize("parts", [[b"id: 1\ndata: a\n\n"], [b"data: a\ni", b"d: 1\n\n"]])
def test_after_an_id_a_heartbeat_has_no_blank_line(parts: list[bytes]) -> None:
    call = _served(_app(*parts, BEAT * 4), heartbeat=BEAT)
    assert b": ping\n" in call.bodies
    assert b": ping\n\n" not in call.bodies


def test_ndjson_gets_heartbeats_only_if_configured() -> None:
    def app() -> App:
        return _app(b'{"a":1}\n', BEAT * 5, headers=(NDJSON,))

    assert _served(app(), heartbeat=BEAT).body == b'{"a":1}\n'
    assert b"\n" in _served(app(), heartbeat=BEAT, ndjson_heartbeat=b"\n").bodies
    split = _app(b'{"a":', BEAT * 5, b"1}\n", headers=(NDJSON,))
    assert _served(split, heartbeat=BEAT, ndjson_heartbeat=b"\n").body == b'{"a":1}\n'


@pytest.mark.parametrize(
    "header", [(b"content-encoding", b"gzip"), (b"content-length", b"9"), (b"Content-Length", b"9")]
)
def test_fixed_length_and_compressed_bodies_get_no_heartbeat(header: tuple[bytes, bytes]) -> None:
    call = _served(_app(b"data: a\n\n", BEAT * 4, headers=(SSE, header)), heartbeat=BEAT)
    assert call.body == b"data: a\n\n"
    assert header in call.sent[0]["headers"]
    assert call.headers["cache-control"] == "no-cache, no-transform"


def test_a_head_request_gets_no_heartbeat() -> None:
    assert _served(_app(BEAT * 4), Call("HEAD"), heartbeat=BEAT).body == b""


def _accept_encoding(call: Call, **options: Any) -> list[Any]:
    seen: list[Any] = []
    whole = dict(call.scope), list(call.scope["headers"])

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.extend(value for name, value in scope["headers"] if name == b"accept-encoding")
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send(_body(b"", more=False))

    _served(app, call, **options)
    call.scope.pop(OUTCOME, None)
    assert (dict(call.scope), list(call.scope["headers"])) == whole
    return seen


@pytest.mark.parametrize(
    ("accept", "path", "hidden"),
    [
        (b"text/event-stream", "/", True),
        (b"application/json, Text/Event-Stream;q=0.9", "/", True),
        (b"application/x-ndjson", "/", True),
        (b"application/json", "/v1/chat/completions", True),
        (b"application/json", "/", False),
        (b"*/*", "/other/v1/chat", False),
    ],
)
def test_compression_is_disabled_where_a_stream_is_expected(
    accept: bytes, path: str, hidden: bool
) -> None:
    headers = [(b"accept", accept), (b"accept-encoding", b"gzip")]
    seen = _accept_encoding(Call(path=path, headers=headers), paths=["/v1/chat"])
    assert seen == ([] if hidden else [b"gzip"])


def test_an_application_that_never_suspends_yields() -> None:
    async def main() -> None:
        turns = 0
        call = Call()
        task = call.start(StreamGuard(_app(*[b"data: a\n\n"] * (TURN_EVENTS * 10))))
        while not task.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 10

    run(main())


def test_an_application_that_does_not_listen_is_cancelled_on_disconnect() -> None:
    async def main() -> None:
        finals: list[bool] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            try:
                await _app(b"data: a\n\n", 3600.0)(scope, receive, send)
            finally:
                finals.append(True)

        call = Call()
        task = call.start(StreamGuard(app))
        await call.until(lambda: call.receiving)
        call.disconnected.set()
        await task
        assert finals == [True]

    run(main())


def test_an_application_that_listens_receives_the_disconnect() -> None:
    async def main() -> None:
        heard: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            async def listen() -> None:
                while (message := await receive())["type"] != "http.disconnect":
                    pass
                heard.append(message["type"])

            listening = asyncio.create_task(listen())
            await asyncio.sleep(0)
            await send({"type": "http.response.start", "status": 200, "headers": [SSE]})
            await listening
            await asyncio.sleep(0.02)
            heard.append("cleaned up")

        call = Call()
        task = call.start(StreamGuard(app))
        await call.until(lambda: call.receiving)
        call.disconnected.set()
        await task
        assert heard == ["http.disconnect", "cleaned up"]

    run(main())


def test_messages_received_by_the_guard_reach_the_application() -> None:
    async def main() -> None:
        got: list[bytes] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [SSE]})
            await asyncio.sleep(0.02)
            more = True
            while more:
                message = await receive()
                got.append(message["body"])
                more = message["more_body"]
            for _ in range(2):
                assert (await receive())["type"] == "http.disconnect"

        call = Call()
        call.requests = [
            {"type": "http.request", "body": b"%d" % i, "more_body": i < 4} for i in range(5)
        ]
        task = call.start(StreamGuard(app))
        await call.until(lambda: len(got) == 5)
        call.disconnected.set()
        await task
        assert got == [b"0", b"1", b"2", b"3", b"4"]

    run(main())


def test_the_request_body_is_read_ahead_by_one_part_only() -> None:
    async def main() -> None:
        call = Call()
        call.requests = [
            {"type": "http.request", "body": b"x", "more_body": True} for _ in range(100)
        ]
        await call.serve(StreamGuard(_app(0.02)))
        assert len(call.requests) >= 98

    run(main())


def test_after_the_end_the_application_receives_from_the_server_again() -> None:
    async def main() -> None:
        heard: list[str] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            await _app(b"data: a\n\n", 0.01)(scope, receive, send)
            heard.append((await receive())["type"])

        call = Call()
        call.requests = []
        task = call.start(StreamGuard(app))
        await call.until(lambda: call.sent and call.complete)
        call.disconnected.set()
        await task
        assert heard == ["http.disconnect"]

    run(main())


def test_an_exception_of_the_application_is_raised_to_the_server() -> None:
    async def main() -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": [SSE]})
            raise KeyError("mine")

        call = Call()
        with pytest.raises(KeyError):
            await call.serve(StreamGuard(app))
        assert not call.complete

    run(main())


def test_a_server_that_stops_ends_guarded_streams() -> None:
    async def main() -> None:
        call = Call()
        task = call.start(StreamGuard(_app(b"data: a\n\n", 3600.0)))
        await call.until(lambda: call.bodies)
        assert end_streams() == 1
        await task
        assert not call.complete

    run(main())


def test_an_external_cancellation_is_raised_by_the_guard() -> None:
    async def main() -> None:
        call = Call()
        task = call.start(StreamGuard(_app(3600.0)))
        await call.until(lambda: call.sent)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_client_that_reads_nothing_is_cut() -> None:
    async def main() -> None:
        call = Call()
        app = _app(b"data: a\n\n", 0.02, b"data: b\n\n", 3600.0)
        task = call.start(StreamGuard(app, heartbeat=None, send_timeout=0.03))
        await call.until(lambda: call.bodies)
        call.writable.clear()
        await task
        assert call.bodies == [b"data: a\n\n"]

    run(main())


@pytest.mark.parametrize(
    "options",
    [
        {"heartbeat": 0},
        {"send_timeout": -1},
        {"buffer_bytes": 0},
        {"ndjson_heartbeat": b"{}"},
        {"paths": "/v1"},
    ],
)
def test_invalid_arguments_are_rejected(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        StreamGuard(_app(), **options)
