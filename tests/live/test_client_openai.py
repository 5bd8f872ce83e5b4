"""Heartbeats that crash openai-python, read with and without undam's filter."""

from __future__ import annotations

import asyncio
import gzip
import time
from typing import Any

import httpx
import pytest

from support.scripted_server import DONE, HEAD, STREAM, Script, ScriptedServer, chat_chunk
from undam import client
from undam.client import Finish, Text
from undam.client.openai import stream_of, tolerant
from undam.errors import UsageError

openai = pytest.importorskip("openai")

_BODY = (chat_chunk("one"), chat_chunk("two"), chat_chunk(finish="stop"), DONE)
_WORDS = ["one", "two"]

CRASHING: dict[str, tuple[bytes, ...]] = {
    "a lone retry": (b"retry: 3000\n\n", *_BODY),
    "a lone retry between events": (_BODY[0], b"retry: 3000\n\n", *_BODY[1:]),
    "a ping without data": (_BODY[0], b"event: ping\n\n", *_BODY[1:]),
    "an empty data line": (_BODY[0], b"data:\n\n", *_BODY[1:]),
    "an empty data line with a space": (_BODY[0], b"data: \n\n", *_BODY[1:]),
    "a comment block after an id": (chat_chunk("one", ident="1"), b": ping\n\n", *_BODY[1:]),
    "a lone id": (_BODY[0], b"id: 7\n\n", *_BODY[1:]),
    "a bare word": (_BODY[0], b"data: ping\n\n", *_BODY[1:]),
}
SURVIVED: dict[str, tuple[bytes, ...]] = {
    "no heartbeat": _BODY,
    "a comment block": (_BODY[0], b": ping\n\n", b":\n\n", *_BODY[1:]),
    "a comment line": (_BODY[0], b": ping\n", *_BODY[1:]),
    "CR LF": tuple(part.replace(b"\n", b"\r\n") for part in _BODY),
}
LOSING: dict[str, tuple[bytes, ...]] = {
    "a byte order mark": (b"\xef\xbb\xbf", *_BODY),
}
ALL = CRASHING | SURVIVED | LOSING


def _script(parts: tuple[bytes, ...]) -> Script:
    return [STREAM, b"".join(parts)]


def _make(kind: str, url: str, http_client: Any = None) -> Any:
    base = url.removesuffix("/chat/completions")
    return getattr(openai, kind)(
        base_url=base, api_key="none", max_retries=0, http_client=http_client
    )


def _read(bot: Any) -> list[str]:
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    with bot.chat.completions.create(**request) as chunks:
        texts = [one.choices[0].delta.content for one in chunks]
    return [text for text in texts if text]


async def _aread(bot: Any) -> list[str]:
    request = {"model": "m", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    async with await bot.chat.completions.create(**request) as chunks:
        texts = [one.choices[0].delta.content async for one in chunks]
    return [text for text in texts if text]


@pytest.mark.parametrize("name", CRASHING)
def test_openai_python_fails_without_the_filter(name: str) -> None:
    # This test fails if a later version accepts one of these heartbeats; then remove it from the
    # list.
    with (
        ScriptedServer([_script(CRASHING[name])]) as server,
        _make("OpenAI", server.url) as bot,
        pytest.raises(ValueError),
    ):
        _read(bot)


def test_openai_python_loses_the_first_event_after_a_byte_order_mark() -> None:
    script = _script(LOSING["a byte order mark"])
    with ScriptedServer([script]) as server, _make("OpenAI", server.url) as bot:
        assert _read(bot) == ["two"]


@pytest.mark.parametrize("name", ALL)
def test_the_filtered_client_reads_the_stream(name: str) -> None:
    with ScriptedServer([_script(ALL[name])]) as server, _make("OpenAI", server.url) as bot:
        assert _read(stream_of(bot)) == _WORDS


@pytest.mark.parametrize("name", ALL)
def test_the_filtered_async_client_reads_the_stream(name: str) -> None:
    async def run(url: str) -> list[str]:
        async with _make("AsyncOpenAI", url) as bot:
            return await _aread(stream_of(bot))

    with ScriptedServer([_script(ALL[name])]) as server:
        assert asyncio.run(run(server.url)) == _WORDS


@pytest.mark.parametrize("name", ALL)
def test_undam_reads_the_stream(name: str) -> None:
    with (
        ScriptedServer([_script(ALL[name])]) as server,
        client.chat(server.url, "hi", model="m") as answer,
    ):
        assert list(answer) == [Text("one"), Text("two"), Finish("stop")]


def test_a_client_with_its_own_http_client_is_filtered() -> None:
    with (
        ScriptedServer([_script(CRASHING["a ping without data"])]) as server,
        httpx.Client(headers={"X-Mine": "kept"}) as transport,
        _make("OpenAI", server.url, transport) as bot,
    ):
        assert _read(stream_of(bot)) == _WORDS
        assert b"x-mine: kept" in server.requests[0].lower()


def test_each_event_passes_without_delay() -> None:
    pause = 0.3
    script: Script = [STREAM, _BODY[0], pause, b": ping\n\n", pause, *_BODY[1:]]
    with ScriptedServer([script]) as server, _make("OpenAI", server.url) as bot:
        request = {"model": "m", "messages": [], "stream": True}
        with stream_of(bot).chat.completions.create(**request) as chunks:
            next(chunks)
            first = time.monotonic()
            next(chunks)
            assert time.monotonic() - first > pause


def test_a_compressed_stream_is_filtered() -> None:
    body = gzip.compress(b"".join(CRASHING["an empty data line"]))
    script = [HEAD + b"Content-Encoding: gzip\r\n\r\n", body]
    with ScriptedServer([script]) as server, _make("OpenAI", server.url) as bot:
        assert _read(stream_of(bot)) == _WORDS


def test_other_responses_and_errors_are_unchanged() -> None:
    refusal = b'{"error": {"message": "no such model", "type": "t", "code": "c", "param": null}}'
    head = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    script = [head % len(refusal) + refusal]
    with (
        ScriptedServer([script]) as server,
        _make("OpenAI", server.url) as bot,
        pytest.raises(openai.NotFoundError, match="no such model"),
    ):
        _read(stream_of(bot))


def test_the_original_client_is_unchanged() -> None:
    script = _script(_BODY)
    with ScriptedServer([script]) as server, _make("OpenAI", server.url) as bot:
        with stream_of(bot) as wrapped:
            assert _read(wrapped) == _WORDS
        assert _read(bot) == _WORDS


def test_langchain_reads_through_a_tolerant_client() -> None:
    langchain = pytest.importorskip("langchain_openai")
    name = "a comment block after an id"
    with ScriptedServer([_script(CRASHING[name])]) as server, httpx.Client() as inner:
        base = server.url.removesuffix("/chat/completions")
        model = langchain.ChatOpenAI(
            base_url=base, api_key="none", model="m", max_retries=0, http_client=tolerant(inner)
        )
        assert [part.content for part in model.stream("hi") if part.content] == _WORDS


@pytest.mark.parametrize("wrong", [None, "client", object()])
def test_other_objects_are_rejected(wrong: object) -> None:
    with pytest.raises(UsageError, match="requires a client"):
        stream_of(wrong)
    with pytest.raises(UsageError, match="requires an httpx"):
        tolerant(wrong)
