"""`EventStream` as a response: write order, encoding of items, and request methods."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from support.asgi_calls import Call, run
from undam.asgi import EventStream
from undam.errors import UsageError
from undam.sse import Event


async def _tokens(*texts: Any) -> AsyncIterator[Any]:
    for text in texts:
        yield text


def _served(source: Any, call: Call | None = None, **options: Any) -> Call:
    async def main() -> Call:
        return await (call or Call()).serve(EventStream(source, **options))

    return run(main())


def test_the_head_and_a_comment_are_sent_before_the_source_runs() -> None:
    async def main() -> None:
        call = Call()
        seen: list[int] = []

        async def source() -> AsyncIterator[str]:
            seen.append(len(call.sent))
            yield "a"

        await call.serve(EventStream(source()))
        assert seen == [2]
        assert call.status == 200
        assert call.bodies[0] == b": open\n"

    run(main())


def test_the_loop_runs_once_between_the_head_and_the_source() -> None:
    # uvloop writes at the end of a loop iteration. A source whose first step blocks must not delay
    # the write of the head.
    async def main() -> None:
        turns: list[int] = []

        class Server(Call):
            async def send(self, message: dict[str, Any]) -> None:
                await super().send(message)
                asyncio.get_running_loop().call_soon(turns.append, len(self.sent))

        async def source() -> AsyncIterator[str]:
            assert 2 in turns
            yield "a"

        assert (await Server().serve(EventStream(source()))).complete

    run(main())


def test_each_event_is_sent_before_the_source_suspends_again() -> None:
    async def main() -> None:
        call = Call()

        async def last_body() -> bytes:
            return call.bodies[-1]

        async def source() -> AsyncIterator[str]:
            for i in range(0, 200, 2):
                yield str(i)
                assert call.bodies[-1] == b"data: %d\n\n" % i
                yield str(i + 1)
                waiting = asyncio.create_task(last_body())
                assert await waiting == b"data: %d\n\n" % (i + 1)

        await call.serve(EventStream(source()))
        assert len(call.bodies) == 202

    run(main())


def test_events_of_one_turn_share_a_write(monkeypatch: pytest.MonkeyPatch) -> None:
    # On a busy machine, a turn could reach the default limit of 2 ms, which would split the write.
    monkeypatch.setattr("undam.asgi.response.streamed_response.TURN_S", 10.0)

    async def main() -> None:
        async def source() -> AsyncIterator[str]:
            for i in range(40):
                yield str(i)
            await asyncio.sleep(0.01)
            yield "alone"
            await asyncio.sleep(0.01)
            yield "last"
            yield "and its neighbour"

        call = await Call().serve(EventStream(source()))
        rest = b"".join(b"data: %d\n\n" % i for i in range(1, 40))
        assert call.bodies == [
            b": open\n",
            b"data: 0\n\n",
            rest,
            b"data: alone\n\n",
            b"data: last\n\n",
            b"data: and its neighbour\n\n",
        ]

    run(main())


def test_large_events_are_not_collected_beyond_the_buffer() -> None:
    async def main() -> None:
        call = await Call().serve(EventStream(["x" * 1000] * 100, buffer_bytes=8000))
        assert max(len(body) for body in call.bodies) < 4000
        assert call.body.count(b"data: ") == 100

    run(main())


def test_the_headers_ask_intermediaries_not_to_buffer() -> None:
    assert _served(_tokens()).headers == {
        "content-type": "text/event-stream; charset=utf-8",
        "cache-control": "no-cache, no-transform",
        "x-accel-buffering": "no",
        "incremental": "?1",
    }


@pytest.mark.parametrize(
    ("item", "body"),
    [
        ("hello", b"data: hello\n\n"),
        ("", b"data: \n\n"),
        ("two\nlines", b"data: two\ndata: lines\n\n"),
        ("a\r\nb\rc", b"data: a\ndata: b\ndata: c\n\n"),
        ("caf\u00e9 \ud83d", "data: caf\u00e9 \ufffd\n\n".encode()),
        (b"bytes", b"data: bytes\n\n"),
        (b"caf\xe9", "data: caf\ufffd\n\n".encode()),
        (memoryview(b"view"), b"data: view\n\n"),
        ({"a": [1, None]}, b'data: {"a":[1,null]}\n\n'),
        ({"a": "\u2028\u0085\u00e9\n"}, 'data: {"a":"\\u2028\\u0085\u00e9\\n"}\n\n'.encode()),
        ({"a": "\ud800"}, b'data: {"a":"\\ud800"}\n\n'),
        (Event("x", "note", "7"), b"event: note\nid: 7\ndata: x\n\n"),
    ],
)
def test_encoding_of_items(item: Any, body: bytes) -> None:
    call = _served(_tokens(item))
    assert call.body == b": open\n" + body
    assert call.complete


@pytest.mark.parametrize("item", [object(), str, print, {"a": float("nan")}, Event("x", "a\nb")])
def test_an_invalid_item_is_an_error_of_the_source(item: Any) -> None:
    async def main() -> None:
        call = Call()
        with pytest.raises(Exception, match="the source failed"):
            await call.serve(EventStream(_tokens("a", item, "b")))
        assert call.bodies[1] == b"data: a\n\n"
        assert call.bodies[2].startswith(b"event: error\n")
        assert not call.complete

    run(main())


@pytest.mark.parametrize("source", [["a", "b"], ("a", "b")])
def test_a_list_is_a_source(source: Any) -> None:
    assert _served(source).body == b": open\ndata: a\n\ndata: b\n\n"


def test_a_head_request_closes_the_source_without_running_it() -> None:
    reasons: list[str] = []
    closed: list[bool] = []

    class Source:
        def __aiter__(self) -> Source:
            return self

        async def __anext__(self) -> str:
            raise AssertionError("the HEAD request must not start the source")

        async def aclose(self) -> None:
            closed.append(True)

    call = _served(Source(), Call("HEAD"), on_close=reasons.append)
    assert call.headers["content-type"].startswith("text/event-stream")
    assert call.body == b""
    assert call.complete
    assert reasons == ["complete"]
    assert closed == [True]


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_get_and_post_are_equivalent(method: str) -> None:
    assert _served(["a"], Call(method)).complete


def test_a_function_serves_many_requests_and_an_iterator_one() -> None:
    async def main() -> None:
        many = EventStream(lambda: _tokens("a"))
        for _ in range(2):
            call = await Call().serve(many)
            assert call.body.endswith(b"data: a\n\n")
        once = EventStream(_tokens("a"))
        await Call().serve(once)
        with pytest.raises(UsageError, match="exhausted"):
            await Call().serve(once)

    run(main())


def test_other_scopes_are_rejected() -> None:
    async def main() -> None:
        with pytest.raises(UsageError, match="websocket"):
            await Call(type="websocket").serve(EventStream(["a"]))

    run(main())


def _coroutine() -> Any:
    async def answer() -> str:
        return "a"

    return answer()


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        ("text", {}, "single str"),
        (b"text", {}, "single bytes"),
        ({"a": 1}, {}, "single dict"),
        (Event("a"), {}, "single Event"),
        (7, {}, "int"),
        (["a"], {"heartbeat": 0}, "heartbeat"),
        (["a"], {"heartbeat": -1.0}, "heartbeat"),
        (["a"], {"heartbeat": float("nan")}, "heartbeat"),
        (["a"], {"send_timeout": 0}, "send_timeout"),
        (["a"], {"buffer_bytes": 0}, "buffer_bytes"),
        (["a"], {"replay_key": "k"}, "replay"),
        (["a"], {"headers": {"a b": "c"}}, "header name"),
        (["a"], {"headers": {"a": "b\r\nc: d"}}, "line break"),
    ],
)
def test_invalid_arguments_are_rejected_immediately(
    source: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        EventStream(source, **options)


def test_a_coroutine_is_rejected_as_a_source() -> None:
    with pytest.raises(UsageError, match="coroutine"):
        EventStream(_coroutine())


def test_a_function_that_returns_no_iterable_fails_before_the_head() -> None:
    async def main() -> None:
        call = Call()
        reasons: list[str] = []
        with pytest.raises(UsageError):
            await call.serve(EventStream(lambda: "text", on_close=reasons.append))
        assert call.sent == []
        assert reasons == ["error"]

    run(main())


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"Cache-Control": "no-store"}, {"cache-control": "no-store"}),
        ([(b"x-own", "1")], {"x-own": "1"}),
        ({"Incremental": None}, {"incremental": None}),
        ({"Connection": "keep-alive", "Keep-Alive": "1"}, {"connection": None, "keep-alive": None}),
        ({"Content-Type": "text/event-stream"}, {"content-type": "text/event-stream"}),
    ],
)
def test_given_headers_replace_defaults(headers: Any, expected: dict[str, str | None]) -> None:
    served = _served(["a"], headers=headers).headers
    assert {name: served.get(name) for name in expected} == expected


def test_the_given_status_is_sent() -> None:
    assert _served(["a"], status=201).status == 201


def test_a_plain_generator_runs_in_its_own_thread() -> None:
    names: list[str] = []

    def source() -> Iterator[str]:
        names.append(threading.current_thread().name)
        yield "a"

    assert _served(source()).body.endswith(b"data: a\n\n")
    assert names == ["undam source"]
