"""A response that is not a stream is reported with its first bytes; JSON lines are accepted."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp
import httpx
import pytest
import requests

from support.scripted_server import ScriptedServer
from undam.client import Event, astream, chat, events, stream
from undam.client.body_form import begins_like_events, form_for
from undam.errors import IncompleteStream, ResponseError, StreamError

Serve = Callable[..., ScriptedServer]


def _response(kind: str | None, body: bytes, status: str = "200 OK", more: str = "") -> list[bytes]:
    head = f"HTTP/1.1 {status}\r\n{more}Connection: close\r\n"
    if kind is not None:
        head += f"Content-Type: {kind}\r\n"
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body]


@contextlib.contextmanager
def _by_httpx(url: str) -> Iterator[list[Any]]:
    with httpx.stream("GET", url) as response:
        yield list(stream(response))


@contextlib.contextmanager
def _by_requests(url: str) -> Iterator[list[Any]]:
    with requests.get(url, stream=True, allow_redirects=False, timeout=9) as response:
        yield list(stream(response))


@contextlib.contextmanager
def _by_aiohttp(url: str) -> Iterator[list[Any]]:
    async def read() -> list[Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.get(url, allow_redirects=False) as response,
        ):
            return [event async for event in astream(response)]

    yield asyncio.run(read())


READERS = (_by_httpx, _by_requests, _by_aiohttp)


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("application/json", b'{"error": "bad key"}', "application/json.*bad key"),
        ("text/html; charset=utf-8", b"<html>\nlogin</html>", "text/html.*<html> login"),
        ("text/plain", b"upstream down", "text/plain.*upstream down"),
        ("application/octet-stream", b"\x00\x01", "octet-stream"),
        (None, b"<!doctype html>", "no content type.*doctype"),
        # A gateway error page with the content type of an event stream.
        ("text/event-stream", b'{"error": "no quota"}', "no quota"),
        ("text/event-stream", b"<html>blocked</html>\n", "blocked"),
    ],
)
def test_what_is_not_a_stream_is_reported(
    serve: Serve, read: Any, kind: str | None, body: bytes, shown: str
) -> None:
    url = serve(_response(kind, body)).url
    with pytest.raises(ResponseError, match=f"(?s)answered 200 with .*{shown}"), read(url):
        pass


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/event-stream", b"data: a\n\n"),
        ("Text/Event-Stream;charset=utf-8", b": hi\n\ndata: a\n\n"),
        ("text/plain", b"data: a\n\n"),
        ("application/json", b"\n\nid: 1\ndata: a\n\n"),
        (None, b"\xef\xbb\xbfdata:a\n\n"),
        ("application/x-ndjson", b"\n a \n"),
        ("application/jsonl", b"a"),
    ],
)
def test_what_is_a_stream_is_read(serve: Serve, read: Any, kind: str | None, body: bytes) -> None:
    with read(serve(_response(kind, body)).url) as found:
        assert [event.data for event in found] == ["a"]


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    ("kind", "body"),
    [("text/event-stream", b""), ("text/event-stream", b": ping\n\n"), (None, b"")],
)
def test_an_empty_stream_is_not_an_error(
    serve: Serve, read: Any, kind: str | None, body: bytes
) -> None:
    with read(serve(_response(kind, body)).url) as found:
        assert found == []


@pytest.mark.parametrize("read", READERS)
def test_a_redirect_is_reported_with_its_target(serve: Serve, read: Any) -> None:
    more = "Location: http://other/v1?token=secret\r\n"
    url = serve(_response("text/html", b"moved", "307 Temporary Redirect", more)).url
    with (
        pytest.raises(
            ResponseError, match=r"answered 307 \(a redirect to http://other/v1"
        ) as raised,
        read(url),
    ):
        pass
    assert "secret" not in str(raised.value)


def test_a_status_is_reported_even_if_a_hook_has_read_the_body(serve: Serve) -> None:
    url = serve(_response("application/json", b"{}", "429 Too Many Requests")).url
    hooks = {"response": [lambda response: response.read()]}
    with (
        httpx.Client(event_hooks=hooks) as client,
        client.stream("GET", url) as response,
        pytest.raises(ResponseError, match="answered 429"),
    ):
        stream(response)


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_beginning_may_arrive_in_any_pieces(size: int) -> None:
    def parts(data: bytes) -> Iterator[bytes]:
        yield from (data[at : at + size] for at in range(0, len(data), size))

    form = form_for("text/plain", "the server answered 200", 1000)
    found = [one for part in parts(b"event: x\ndata: a\n\n") for one in form.receive_data(part)]
    assert found == [Event("a", "x")]
    assert form.receive_eof() == ((), 0)
    refused = form_for("text/plain", "the server answered 200", 1000)
    text = parts(b"Hello world, how are you?")
    with pytest.raises(ResponseError, match="200 with text/plain"):
        list(map(refused.receive_data, text))


def test_a_short_body_is_decided_at_its_end() -> None:
    form = form_for("text/plain", "it", 1000)
    assert form.receive_data(b"hi") == ()
    with pytest.raises(ResponseError, match="hi"):
        form.receive_eof()
    assert form_for("", "it", 1000).receive_eof() == ((), 0)
    short = form_for("", "it", 1000)
    assert short.receive_data(b"\n") == ()
    assert short.receive_eof() == ([], 0)


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"data", True), (b"data:", True), (b":", True), (b"\r\n\r\nid: 1", True), (b"", True),
     (b"database", False), (b"{", False), (b"d", False), (b"da ta: x", False),
     (b"eventually:", False)],
)  # fmt: skip
def test_beginning_of_an_event_stream(data: bytes, expected: bool) -> None:
    assert begins_like_events(data) is expected


def test_events_of_bytes_are_not_checked() -> None:
    reader = events([b"<html>"])
    assert list(reader) == []
    assert reader.discarded_bytes == 6


_CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'


@pytest.mark.parametrize(
    ("event", "message"),
    [
        (b'event: error\ndata: {"message": "overloaded"}\n\n', "overloaded"),
        (b'event: error\ndata: {"detail": "no model"}\n\n', "no model"),
        (b'event: error\ndata: {"error": "quota", "message": "slow"}\n\n', "quota"),
        (b'event: error\ndata: "plain"\n\n', "plain"),
        (b"event: error\ndata: not JSON\n\n", "not JSON"),
        (b'event: error\ndata: {"status": 500}\n\n', '{"status": 500}'),
        (b'event: error\ndata: ["a"]\n\n', r'\["a"\]'),
        (b'data: {"error": {"message": "busy"}}\n\n', "busy"),
    ],
)
def test_an_error_event_of_any_form_keeps_its_message(
    serve: Serve, event: bytes, message: str
) -> None:
    url = serve(_response("text/event-stream", _CHUNK + event)).url
    with pytest.raises(StreamError, match=f"error event: {message}") as raised:
        list(chat(url, "hi", model="m"))
    assert raised.value.text == "Hi"


@pytest.mark.parametrize("kind", ["application/x-ndjson", "text/html", "application/problem+json"])
def test_chat_reports_a_response_of_another_type(serve: Serve, kind: str) -> None:
    url = serve(_response(kind, b'{"message": {"content": "Hello"}}\n')).url
    with pytest.raises(
        ResponseError, match=f"answered 200 OK with {re.escape(kind)}.*Hello"
    ) as raised:
        list(chat(url, "hi", model="m"))
    assert not isinstance(raised.value, IncompleteStream)
