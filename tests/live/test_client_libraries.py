"""`undam.client` with each HTTP library does not buffer, and rejects cut or consumed bodies."""

from __future__ import annotations

import asyncio
import importlib
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from support.chunked import chunk
from support.scripted_server import HEAD, Script, ScriptedServer
from undam.client import Event, Timing, astream, stream
from undam.errors import ResponseError, UsageError

_GAP_S = 0.25
_EVENTS = [Event(f"event {number} " + "x" * 80) for number in range(4)]


def _library(name: str) -> Any:
    return pytest.importorskip(name)


@contextmanager
def _httpx(name: str, url: str, *, read: bool = False) -> Iterator[Any]:
    library = _library(name)
    with library.Client(timeout=30) as client:
        if read:
            yield client.get(url)
            return
        with client.stream("GET", url) as response:
            yield response


@contextmanager
def _requests(name: str, url: str, *, read: bool = False) -> Iterator[Any]:
    with _library(name).Session() as session:
        yield session.get(url, stream=not read, timeout=30)


@contextmanager
def _urllib3(name: str, url: str, *, read: bool = False) -> Iterator[Any]:
    with _library(name).PoolManager() as pool:
        response = pool.request("GET", url, preload_content=read, retries=False, timeout=30)
        yield response
        response.close()


@asynccontextmanager
async def _ahttpx(name: str, url: str, *, read: bool = False) -> AsyncIterator[Any]:
    async with _library(name).AsyncClient(timeout=30) as client:
        if read:
            yield await client.get(url)
            return
        async with client.stream("GET", url) as response:
            yield response


@asynccontextmanager
async def _aiohttp(name: str, url: str, *, read: bool = False) -> AsyncIterator[Any]:
    async with _library(name).ClientSession() as session, session.get(url) as response:
        if read:
            await response.read()
        yield response


# niquests is not tested, because it replaces the urllib3 package that requests needs.
SYNC: dict[str, Callable[..., Any]] = {
    "httpx": _httpx, "httpx2": _httpx, "requests": _requests, "urllib3": _urllib3,
}  # fmt: skip
ASYNC: dict[str, Callable[..., Any]] = {"httpx": _ahttpx, "httpx2": _ahttpx, "aiohttp": _aiohttp}

Read = Callable[..., list[Event]]


def _reader(name: str) -> Read:
    """Return a function that reads a URL through an HTTP library and records data and times."""
    library, _, kind = name.partition(" ")

    def read(url: str, timing: Timing, *, read: bool = False) -> list[Event]:
        with SYNC[library](library, url, read=read) as response:
            return list(timing.watch(stream(response)))

    def aread(url: str, timing: Timing, *, read: bool = False) -> list[Event]:
        async def run() -> list[Event]:
            async with ASYNC[library](library, url, read=read) as response:
                return [event async for event in timing.awatch(astream(response))]

        return asyncio.run(run())

    return aread if kind else read


READERS = [*SYNC, *(f"{name} async" for name in ASYNC)]
readers = pytest.mark.parametrize("name", READERS)


def _bytes(event: Event) -> bytes:
    return f"data: {event.data}\n\n".encode()


def _script(body: str, *, cut: bool = False) -> Script:
    framing, _, coding = body.partition(" ")
    head = HEAD + (b"Content-Encoding: gzip\r\n" if coding else b"")
    if framing == "chunked":
        head += b"Transfer-Encoding: chunked\r\n"
    coder = zlib.compressobj(wbits=31)

    def framed(data: bytes) -> bytes:
        return chunk(data) if framing == "chunked" else data

    steps: list[bytes | float | str] = [head + b"\r\n"]
    for event in _EVENTS:
        data = _bytes(event)
        data = coder.compress(data) + coder.flush(zlib.Z_SYNC_FLUSH) if coding else data
        steps += [framed(data), _GAP_S]
    if coding:
        steps.append(framed(coder.flush()))
    if framing == "chunked" and not cut:
        steps.append(b"0\r\n\r\n")
    return steps


@readers
@pytest.mark.parametrize("body", ["chunked", "close", "chunked gzip", "close gzip"])
def test_each_event_is_returned_when_it_arrives(body: str, name: str) -> None:
    timing = Timing()
    with ScriptedServer([_script(body)]) as server:
        assert _reader(name)(server.url, timing) == _EVENTS
    # The sender pauses before each event; a reader that buffers would have gaps of about 0.
    assert all(gap > _GAP_S * 1e3 / 4 for gap in timing.gaps_ms), timing.gaps_ms
    assert (timing.reads, timing.most_per_read) == (4, 1)


@readers
def test_a_cut_body_raises_the_librarys_error(name: str) -> None:
    library = importlib.import_module(name.partition(" ")[0])
    base = {"urllib3": "exceptions.HTTPError", "requests": "exceptions.RequestException",
            "aiohttp": "ClientError"}.get(library.__name__, "HTTPError")  # fmt: skip
    kind: Any = library
    for part in base.split("."):
        kind = getattr(kind, part)
    with ScriptedServer([_script("chunked", cut=True)]) as server, pytest.raises(kind):
        _reader(name)(server.url, Timing())


@readers
def test_a_response_that_was_read_before_is_rejected(name: str) -> None:
    with (
        ScriptedServer([[HEAD + b"\r\n", _bytes(_EVENTS[0])]]) as server,
        pytest.raises(UsageError, match="the body of the response has already been read: open it"),
    ):
        _reader(name)(server.url, Timing(), read=True)


@readers
def test_an_error_status_is_rejected(name: str) -> None:
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"
    with (
        ScriptedServer([[head]]) as server,
        pytest.raises(ResponseError, match="answered 503, which is not an event stream"),
    ):
        _reader(name)(server.url, Timing())


@readers
def test_a_short_stream_in_one_read_is_complete(name: str) -> None:
    script: Script = [HEAD + b"\r\n" + b"".join(_bytes(event) for event in _EVENTS)]
    with ScriptedServer([script]) as server:
        assert _reader(name)(server.url, Timing()) == _EVENTS


@pytest.mark.parametrize("library", ["httpx", "httpx2"])
def test_a_sync_response_in_astream_is_rejected_and_vice_versa(library: str) -> None:
    async def run(url: str) -> None:
        async with _ahttpx(library, url) as response:
            with pytest.raises(UsageError, match=r"asynchronous: astream\(\) reads it"):
                stream(response)
        rejected = pytest.raises(UsageError, match=r"not asynchronous: stream\(\) reads it")
        with _httpx(library, url) as response, rejected:
            astream(response)

    with ScriptedServer([_script("close")[:2]]) as server:
        asyncio.run(run(server.url))


def test_other_objects_are_rejected() -> None:
    with pytest.raises(
        UsageError, match=r"stream\(\) does not support this response: <class 'bytes'>"
    ):
        stream(b"data: a\n\n")
    with pytest.raises(
        UsageError, match=r"astream\(\) does not support this response: <class 'NoneType'>"
    ):
        astream(None)


def test_leaving_a_stream_closes_the_response() -> None:
    library = _library("httpx")
    pause = 20.0
    script: Script = [HEAD + b"\r\n", _bytes(_EVENTS[0]), pause]
    with ScriptedServer([script]) as server, library.Client() as client:
        started = time.monotonic()
        with client.stream("GET", server.url) as response, stream(response) as events:
            assert next(events) == _EVENTS[0]
        assert response.is_closed
        assert time.monotonic() - started < pause
