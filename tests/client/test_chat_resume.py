"""Resuming an interrupted stream, which is only possible with event IDs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.scripted_server import DONE, RESET, STREAM, ScriptedServer, chat_chunk
from undam.client import Finish, IncompleteStream, StreamError, Text, achat, chat
from undam.errors import UndamError

pytestmark = pytest.mark.slow  # Uses sockets, and waits for events that must not occur.

Serve = Callable[..., ScriptedServer]

_FIRST = [
    STREAM,
    b"retry: 50\n\n",
    chat_chunk("a", ident="1"),
    chat_chunk("b", ident="2"),
    0.1,
    RESET,
]
_REST = [STREAM, chat_chunk("c", ident="3"), chat_chunk(finish="stop", ident="4"), DONE]
_REFUSAL = [b"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"]


def _ask(url: str, **options: Any) -> list[object]:
    with chat(url, "hi", model="m", **options) as answer:
        return list(answer)


def _aask(url: str, **options: Any) -> list[object]:
    async def run() -> list[object]:
        async with achat(url, "hi", model="m", **options) as answer:
            return [delta async for delta in answer]

    return asyncio.run(run())


Ask = Callable[..., list[object]]
both = pytest.mark.parametrize("ask", [_ask, _aask], ids=["chat", "achat"])


def _last_ids(server: ScriptedServer) -> list[bytes]:
    lines = [request.lower().split(b"\r\n") for request in server.requests]
    return [
        next((line.partition(b": ")[2] for line in head if line.startswith(b"last-event-id")), b"")
        for head in lines
    ]


@both
def test_a_stream_is_resumed_after_the_last_id(ask: Ask, serve: Serve) -> None:
    server = serve(_FIRST, _REST)
    started = time.monotonic()
    assert ask(server.url, resume=True) == [*map(Text, "abc"), Finish("stop")]
    assert _last_ids(server) == [b"", b"2"]
    # The delay is at least the retry time that the server sent.
    assert time.monotonic() - started > 0.15


@both
def test_a_stream_is_resumed_after_transient_errors(ask: Ask, serve: Serve) -> None:
    silent = [STREAM, chat_chunk("c", ident="3"), 30.0]
    last = [STREAM, chat_chunk("d", ident="4"), chat_chunk(finish="stop"), DONE]
    server = serve(_FIRST, _REFUSAL, [RESET], silent, last)
    deltas = ask(server.url, resume=True, idle_timeout=0.4)
    assert deltas == [*map(Text, "abcd"), Finish("stop")]
    assert _last_ids(server) == [b"", b"2", b"2", b"2", b"3"]


@both
def test_the_id_of_an_unfinished_event_is_not_used(ask: Ask, serve: Serve) -> None:
    cut = [STREAM, b"retry: 1\n\n", chat_chunk("a", ident="1"), chat_chunk("b", ident="2")[:-2]]
    rest = [STREAM, chat_chunk("b", ident="2"), chat_chunk(finish="stop"), DONE]
    assert ask(serve(cut, rest).url, resume=True) == [Text("a"), Text("b"), Finish("stop")]


@both
def test_giving_up_raises_an_error_with_the_text_so_far(ask: Ask, serve: Serve) -> None:
    server = serve(_FIRST, _REFUSAL)
    with pytest.raises(IncompleteStream, match=r"could not be resumed: .* answered 503") as caught:
        ask(server.url, resume=True)
    assert caught.value.text == "ab"
    assert len(server.requests) == 4


@both
@pytest.mark.parametrize(
    ("first", "resume"),
    [(_FIRST, False), ([STREAM, chat_chunk("a"), chat_chunk("b")], True)],
    ids=["not allowed", "no ids"],
)
def test_a_stream_is_not_resumed(first: Any, resume: bool, ask: Ask, serve: Serve) -> None:
    server = serve(first, _REST)
    with pytest.raises(IncompleteStream) as caught:
        ask(server.url, resume=resume)
    assert caught.value.text == "ab"
    assert len(server.requests) == 1


@both
def test_a_restarted_answer_is_detected(ask: Ask, serve: Serve) -> None:
    server = serve(_FIRST, [STREAM, chat_chunk("a", ident="1"), DONE])
    with pytest.raises(IncompleteStream, match="did not resume: it sent event '1' again") as caught:
        ask(server.url, resume=True)
    assert caught.value.text == "ab"
    assert len(server.requests) == 2


@both
def test_an_error_event_is_final(ask: Ask, serve: Serve) -> None:
    failing = [STREAM, chat_chunk("a", ident="1"), b'data: {"error": {"message": "boom"}}\n\n']
    server = serve(failing, _REST)
    with pytest.raises(StreamError):
        ask(server.url, resume=True)
    assert len(server.requests) == 1


@both
def test_a_refused_first_request_is_not_retried(ask: Ask, serve: Serve) -> None:
    server = serve(_REFUSAL, _REST)
    with pytest.raises(UndamError, match="503"):
        ask(server.url, resume=True)
    assert len(server.requests) == 1
