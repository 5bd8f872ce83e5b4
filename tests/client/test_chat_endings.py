"""All ways an answer can end: complete, or with an error that contains the received text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import httpx2
import pytest

from support.chunked import chunk
from support.scripted_server import DONE, HEAD, RESET, STREAM, Script, ScriptedServer, chat_chunk
from undam.client import (
    AnswerError,
    Delta,
    Finish,
    IdleTimeout,
    IncompleteStream,
    MalformedStream,
    Reasoning,
    StreamError,
    Text,
    TtftTimeout,
    Usage,
    achat,
    chat,
)
from undam.errors import NetworkError, ResponseError, UndamError, UsageError

pytestmark = pytest.mark.slow  # Uses sockets, and waits for events that must not occur.

Serve = Callable[..., ScriptedServer]

_A = (Text("par"), Text("tial"))
_PART = (STREAM, chat_chunk("par"), chat_chunk("tial"))
_CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_LENGTH = HEAD + b"Content-Length: 100000\r\n\r\n"
_GZIP = HEAD + b"Content-Encoding: gzip\r\n\r\n"


def _coded(*parts: bytes) -> bytes:
    return b"".join(map(chunk, parts))


def _error(text: str) -> bytes:
    return b'data: {"error": {"message": "%b", "type": "server_error"}}\n\n' % text.encode()


def _often(data: bytes) -> Script:
    return [step for _ in range(100) for step in (data, 0.1)]


BAD_ENDS: dict[str, tuple[Script, type[AnswerError], str]] = {
    "a close without a finish": ([*_PART], IncompleteStream, "without a finish reason"),
    "a last chunk of the body without a finish": (
        [_CHUNKED, _coded(*_PART[1:]), b"0\r\n\r\n"], IncompleteStream, "without a finish reason",
    ),
    "inside an event": ([*_PART, b'data: {"cho'], IncompleteStream, "without a finish reason"),
    "before the last chunk": ([_CHUNKED, _coded(*_PART[1:])], IncompleteStream, "was interrupted"),
    "before the length": ([_LENGTH, *_PART[1:]], IncompleteStream, "was interrupted"),
    "a reset": ([*_PART, 0.2, RESET], IncompleteStream, "was interrupted"),
    "an error event": ([*_PART, _error("out of memory"), DONE], StreamError, "out of memory"),
    "an error event by its name": (
        [*_PART, b"event: error\n" + _error("no more"), DONE], StreamError, "no more",
    ),
    "not JSON": ([*_PART, b"data: {oops\n\n", DONE], MalformedStream, "not JSON: '{oops'"),
    "an endless event": ([*_PART, b"data: " + b"x" * 9000], MalformedStream, "larger than 4000"),
    "silence": ([*_PART, 30.0], IdleTimeout, "no byte arrived for 0.5 s"),
}  # fmt: skip

NO_BEGINNINGS: dict[str, tuple[Script, type[AnswerError], str]] = {
    "nothing but a head": ([STREAM], IncompleteStream, "no text had arrived"),
    "a clean end with only a role": ([STREAM, chat_chunk()], IncompleteStream, "no text"),
    "no head in time": ([30.0], TtftTimeout, "within 1 s"),
    "a head and silence": ([STREAM, 30.0], TtftTimeout, "within 1 s"),
    "heartbeats only": ([STREAM, *_often(b": ping\n\n")], TtftTimeout, "heartbeats did"),
    "roles only": ([STREAM, *_often(chat_chunk())], TtftTimeout, "within 1 s"),
}

_LIMITS = {"idle_timeout": 0.5, "max_event_bytes": 4000}


def _ask(url: str, library: Any, **options: Any) -> tuple[list[Delta], UndamError | None]:
    found: list[Delta] = []
    try:
        with (
            library.Client() as client,
            chat(url, "hi", model="m", http_client=client, **options) as answer,
        ):
            found.extend(answer)
    except UndamError as error:
        return found, error
    return found, None


def _aask(url: str, library: Any, **options: Any) -> tuple[list[Delta], UndamError | None]:
    async def run() -> tuple[list[Delta], UndamError | None]:
        found: list[Delta] = []
        try:
            async with (
                library.AsyncClient() as client,
                achat(url, "hi", model="m", http_client=client, **options) as answer,
            ):
                async for delta in answer:
                    found.append(delta)  # noqa: PERF401 (deltas before an error are needed)
        except UndamError as error:
            return found, error
        return found, None

    return asyncio.run(run())


Ask = Callable[..., tuple[list[Delta], UndamError | None]]
both = pytest.mark.parametrize("ask", [_ask, _aask], ids=["chat", "achat"])
libraries = pytest.mark.parametrize("library", [httpx, httpx2], ids=["httpx", "httpx2"])


@both
@libraries
@pytest.mark.parametrize("name", BAD_ENDS)
def test_an_incomplete_answer_raises_an_error_with_the_text_so_far(
    name: str, ask: Ask, library: Any, serve: Serve
) -> None:
    script, kind, message = BAD_ENDS[name]
    found, error = ask(serve(script).url, library, **_LIMITS)
    assert type(error) is kind, error
    assert isinstance(error, AnswerError)
    assert error.text == "partial"
    assert message in str(error)
    assert "7 characters of text had arrived" in str(error)
    assert tuple(found) == _A  # The iterator had yielded this content before the error.


@both
@libraries
@pytest.mark.parametrize("name", NO_BEGINNINGS)
def test_a_stream_without_content_raises_an_error(
    name: str, ask: Ask, library: Any, serve: Serve
) -> None:
    script, kind, message = NO_BEGINNINGS[name]
    found, error = ask(serve(script).url, library, ttft_timeout=1.0)
    assert type(error) is kind, error
    assert isinstance(error, AnswerError)
    assert (error.text, found) == ("", [])
    assert message in str(error)


@both
@libraries
def test_broken_compression_is_an_incomplete_stream(ask: Ask, library: Any, serve: Serve) -> None:
    _, error = ask(serve([_GZIP, b"this is no gzip"]).url, library)
    assert type(error) is IncompleteStream


@both
@libraries
def test_ttft_timeout_does_not_apply_after_the_first_content(
    ask: Ask, library: Any, serve: Serve
) -> None:
    # The pause after the first content exceeds ttft_timeout. httpx's own timeout is not used.
    script = [STREAM, 0.2, chat_chunk("a"), 1.5, chat_chunk("b", finish="stop"), DONE]
    found, error = ask(serve(script).url, library, ttft_timeout=1.0, idle_timeout=20)
    assert (error, found) == (None, [Text("a"), Text("b"), Finish("stop")])


@both
@libraries
def test_reasoning_counts_as_content_and_is_in_the_error(
    ask: Ask, library: Any, serve: Serve
) -> None:
    thought = b'data: {"choices": [{"delta": {"reasoning_content": "hm"}}]}\n\n'
    found, error = ask(serve([STREAM, thought, 1.2]).url, library, ttft_timeout=1.0)
    assert found == [Reasoning("hm")]
    assert isinstance(error, IncompleteStream)
    assert (error.reasoning, error.text) == ("hm", "")


WHOLE: dict[str, tuple[Script, list[Delta]]] = {
    "[DONE] alone": ([*_PART, DONE], [*_A]),
    "finish_reason alone": ([*_PART, chat_chunk(finish="stop")], [*_A, Finish("stop")]),
    "finish_reason, then a reset": (
        [*_PART, chat_chunk(finish="length"), 0.2, RESET], [*_A, Finish("length")],
    ),
    "finish_reason, then silence": (
        [*_PART, chat_chunk(finish="stop"), 1.5], [*_A, Finish("stop")],
    ),
    "a connection that stays open after [DONE]": ([*_PART, DONE, 30.0], [*_A]),
    "usage behind finish_reason": (
        [*_PART, chat_chunk(finish="stop"),
         chat_chunk(usage={"prompt_tokens": 5, "completion_tokens": 2}), DONE],
        [*_A, Finish("stop"), Usage(5, 2)],
    ),
    "what follows [DONE]": ([*_PART, DONE + chat_chunk("more")], [*_A]),
}  # fmt: skip


@both
@libraries
@pytest.mark.parametrize("name", WHOLE)
def test_a_complete_answer_ends_normally(name: str, ask: Ask, library: Any, serve: Serve) -> None:
    script, expected = WHOLE[name]
    assert ask(serve(script).url, library, idle_timeout=0.7) == (expected, None)


@both
@libraries
@pytest.mark.parametrize("head", [_CHUNKED, STREAM], ids=["chunked", "close"])
def test_every_choice_must_be_finished(head: bytes, ask: Ask, library: Any, serve: Serve) -> None:
    first = chat_chunk("a", finish="stop")
    second = first.replace(b'"index": 0', b'"index": 1')
    cut = [STREAM, first]
    _, error = ask(serve(cut).url, library, body={"n": 2})
    assert isinstance(error, IncompleteStream)
    found, error = ask(serve([*cut, second]).url, library, body={"n": 2})
    assert error is None
    assert found == [Text("a"), Finish("stop"), Text("a", 1), Finish("stop", 1)]


@both
@libraries
@pytest.mark.parametrize(
    ("script", "kind", "message"),
    [
        ([b"HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\nno: key-123456789"],
         ResponseError, "answered 401 Unauthorized: no: [redacted]"),
        ([b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n{}"],
         ResponseError, "answered 200 OK with application/json, which is not an event stream: {}"),
        ([b"HTTP/1.1 302 Found\r\nLocation: /\r\nConnection: close\r\n\r\n"],
         ResponseError, "answered 302 Found"),
        ([b""], NetworkError, "did not answer"),
        ([RESET], NetworkError, "did not answer"),
    ],
)  # fmt: skip
def test_a_response_that_is_not_a_stream_raises_before_any_delta(
    script: Script, kind: type[UndamError], message: str, ask: Ask, library: Any, serve: Serve
) -> None:
    found, error = ask(serve(script).url, library, api_key="key-123456789")
    assert type(error) is kind, error
    assert message in str(error)
    assert found == []


@both
@libraries
def test_a_refused_connection_is_a_network_error(ask: Ask, library: Any, serve: Serve) -> None:
    server = serve([b""])
    server.close()
    _, error = ask(server.url, library)
    assert isinstance(error, NetworkError)
    assert error.phase == "connect"


@pytest.mark.parametrize(
    ("url", "options", "message"),
    [
        ("localhost:8000/v1", {}, "is not an http"),
        ("http://host/events", {}, "cannot derive the API"),
        ("http://host/v1", {"api": "grpc"}, "use one of openai-chat"),
        ("http://host/v1", {"idle_timeout": 0}, "idle_timeout=0 must be a positive number"),
        ("http://host/v1", {"ttft_timeout": True}, "ttft_timeout=True must be a positive number"),
        ("http://host/v1", {"http_client": object()}, "must be from httpx or httpx2"),
    ],
)
def test_an_invalid_argument_raises_immediately(url: str, options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        chat(url, "hi", model="m", **options)
    with pytest.raises(UsageError, match=message):
        achat(url, "hi", model="m", **options)


def test_leaving_early_closes_the_connection(serve: Serve) -> None:
    server = serve([STREAM, chat_chunk("a"), 20.0])
    with chat(server.url, "hi", model="m") as answer:
        assert next(answer) == Text("a")
        assert (answer.text, answer.is_complete) == ("a", False)
    server.close()
    assert server.disconnected_early == [True]


def test_leaving_early_closes_the_connection_asynchronously(serve: Serve) -> None:
    server = serve([STREAM, chat_chunk("a"), 20.0])

    async def run() -> None:
        async with achat(server.url, "hi", model="m") as answer:
            assert await anext(answer) == Text("a")

    asyncio.run(run())
    server.close()
    assert server.disconnected_early == [True]


def test_it_can_be_iterated_without_with(serve: Serve) -> None:
    server = serve([*_PART, chat_chunk(finish="stop"), DONE])
    answer = chat(server.url, "hi", model="m")
    assert [delta for delta in answer if isinstance(delta, Text)] == [*_A]
    assert (answer.text, answer.finish_reason, answer.is_complete) == ("partial", "stop", True)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/event-stream")
    assert answer.timing.events == 2
