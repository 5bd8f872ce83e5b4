"""A broken stream is taken up again where the server gives ids, and nowhere else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from support.scripted_server import DONE, RESET, STREAM, ScriptedServer, chat_chunk
from undam.client import Finish, IncompleteStream, StreamError, Text, achat, chat
from undam.errors import UndamError

pytestmark = pytest.mark.slow  # real sockets, and waits for what does not come

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
def test_it_goes_on_after_the_last_id(ask: Ask, serve: Serve) -> None:
    server = serve(_FIRST, _REST)
    started = time.monotonic()
    assert ask(server.url, resume=True) == [*map(Text, "abc"), Finish("stop")]
    assert _last_ids(server) == [b"", b"2"]
    assert time.monotonic() - started > 0.15  # the pause that it reads, and the time it asked for


@both
def test_it_goes_on_through_refusals_and_silence(ask: Ask, serve: Serve) -> None:
    silent = [STREAM, chat_chunk("c", ident="3"), 30.0]
    last = [STREAM, chat_chunk("d", ident="4"), chat_chunk(finish="stop"), DONE]
    server = serve(_FIRST, _REFUSAL, [RESET], silent, last)
    said = ask(server.url, resume=True, idle_timeout=0.4)
    assert said == [*map(Text, "abcd"), Finish("stop")]
    assert _last_ids(server) == [b"", b"2", b"2", b"2", b"3"]


@both
def test_an_event_that_was_cut_is_not_counted_as_seen(ask: Ask, serve: Serve) -> None:
    cut = [STREAM, b"retry: 1\n\n", chat_chunk("a", ident="1"), chat_chunk("b", ident="2")[:-2]]
    rest = [STREAM, chat_chunk("b", ident="2"), chat_chunk(finish="stop"), DONE]
    assert ask(serve(cut, rest).url, resume=True) == [Text("a"), Text("b"), Finish("stop")]


@both
def test_it_gives_up_with_all_that_had_arrived(ask: Ask, serve: Serve) -> None:
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
def test_it_is_left_alone(first: Any, resume: bool, ask: Ask, serve: Serve) -> None:
    server = serve(first, _REST)
    with pytest.raises(IncompleteStream) as caught:
        ask(server.url, resume=resume)
    assert caught.value.text == "ab"
    assert len(server.requests) == 1


@both
def test_a_server_that_begins_anew_is_found_out(ask: Ask, serve: Serve) -> None:
    server = serve(_FIRST, [STREAM, chat_chunk("a", ident="1"), DONE])
    with pytest.raises(IncompleteStream, match="did not resume: it sent event '1' again") as caught:
        ask(server.url, resume=True)
    assert caught.value.text == "ab"
    assert len(server.requests) == 2


@both
def test_an_error_that_the_server_told_is_final(ask: Ask, serve: Serve) -> None:
    told = [STREAM, chat_chunk("a", ident="1"), b'data: {"error": {"message": "boom"}}\n\n']
    server = serve(told, _REST)
    with pytest.raises(StreamError):
        ask(server.url, resume=True)
    assert len(server.requests) == 1


@both
def test_a_refused_beginning_is_no_break(ask: Ask, serve: Serve) -> None:
    server = serve(_REFUSAL, _REST)
    with pytest.raises(UndamError, match="503"):
        ask(server.url, resume=True)
    assert len(server.requests) == 1
