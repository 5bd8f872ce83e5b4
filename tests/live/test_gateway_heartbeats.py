"""Heartbeats of a real gateway are sent before a response and between events, never inside one."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.fake_upstream import (
    DONE,
    STREAM_HEAD,
    FakeUpstream,
    UpstreamRequest,
    chat_request,
    event,
    fake_upstream,
    is_complete,
    send_raw,
    split_response,
)
from support.gateway_process import undam_commands
from support.undam_command import ListeningCommand
from undam.sse import Comment, Event, Parser

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_HEARTBEAT_S = 0.05
_SILENT_S = 0.22
_CHUNKS = [event(), event("a"), event("b"), DONE]
_BODY = b"".join(_CHUNKS)
_PING = re.compile(rb": ping\n")


def _late(request: UpstreamRequest) -> None:
    time.sleep(_SILENT_S)
    request.send(STREAM_HEAD)
    request.chunks(*_CHUNKS)
    request.send(LAST_CHUNK)


def _late_with_bom(request: UpstreamRequest) -> None:
    time.sleep(_SILENT_S)
    request.send(STREAM_HEAD)
    request.chunks(b"\xef\xbb\xbf" + _CHUNKS[0], *_CHUNKS[1:])
    request.send(LAST_CHUNK)


def _split(request: UpstreamRequest) -> None:
    """Send events in pieces, each followed by an idle period longer than the heartbeat interval."""
    request.send(STREAM_HEAD)
    cuts = [0, 1, 5, 30, len(_BODY) // 2, len(_BODY) - 1, len(_BODY)]
    for begin, end in itertools.pairwise(cuts):
        request.chunks(_BODY[begin:end])
        time.sleep(_HEARTBEAT_S * 2.5)
    request.send(LAST_CHUNK)


def _half_a_chunk(request: UpstreamRequest) -> None:
    """Send half of a chunk, and the rest after an idle period."""
    whole = chunk(_BODY)
    request.send(STREAM_HEAD + whole[: len(whole) // 2])
    time.sleep(_SILENT_S)
    request.send(whole[len(whole) // 2 :], LAST_CHUNK)


def _comments(request: UpstreamRequest) -> None:
    """Send comments as some engines do; one comment ends with a single line feed."""
    request.send(STREAM_HEAD)
    request.chunks(b": keep-alive\n\n", *_CHUNKS[:2], b": processing\n")
    time.sleep(_SILENT_S)
    request.chunks(*_CHUNKS[2:])
    request.send(LAST_CHUNK)


def _busy(request: UpstreamRequest) -> None:
    request.send(STREAM_HEAD)
    end = time.monotonic() + _SILENT_S
    while time.monotonic() < end:
        request.chunks(event("x"))
        time.sleep(_HEARTBEAT_S / 10)
    request.chunks(DONE)
    request.send(LAST_CHUNK)


def _late_error(request: UpstreamRequest) -> None:
    time.sleep(_SILENT_S)
    _error(request)


def _error(request: UpstreamRequest) -> None:
    body = json.dumps({"error": {"message": "no such model", "type": "invalid_request_error"}})
    head = "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\n"
    request.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())


def _late_page(request: UpstreamRequest) -> None:
    time.sleep(_SILENT_S)
    request.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<hi>")


class Pair(NamedTuple):
    upstream: FakeUpstream
    gateway: ListeningCommand

    def send_raw(
        self, handler: str, *, path: str = "/v1/chat/completions", stream: bool = True
    ) -> bytes:
        return send_raw(
            self.gateway.port, chat_request(handler, headers=CLOSE, path=path, stream=stream)
        )


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    handlers = {
        "late": _late, "late_with_bom": _late_with_bom, "split": _split, "comments": _comments,
        "half_a_chunk": _half_a_chunk, "busy": _busy, "late_error": _late_error, "error": _error,
        "late_page": _late_page,
    }  # fmt: skip
    with (
        fake_upstream(**handlers) as upstream,
        undam_commands(tmp_path_factory.mktemp("heartbeats")) as run,
    ):
        yield Pair(
            upstream, run("gateway", "--upstream", upstream.url, "--heartbeat", str(_HEARTBEAT_S))
        )


def _items(body: bytes) -> list[Event | Comment]:
    return Parser().receive_data(body)


@pytest.mark.parametrize("handler", ["late", "late-with-bom", "split", "half-a-chunk"])
def test_silence_is_filled_with_comments_between_whole_events(pair: Pair, handler: str) -> None:
    response = pair.send_raw(handler)
    head, body = split_response(response)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"text/event-stream" in head
    assert is_complete(response)
    assert len(_PING.findall(body)) >= 3
    assert _PING.sub(b"", body) == _BODY
    # No comment may be inside an event.
    events = [item.data for item in _items(body) if isinstance(item, Event)]
    assert events == [item.data for item in _items(_BODY) if isinstance(item, Event)]
    assert not re.search(rb"[^\n]\n: ping", re.sub(rb"(: ping\n)+", b": ping\n", body))


def test_comments_of_the_upstream_are_forwarded(pair: Pair) -> None:
    _, body = split_response(pair.send_raw("comments"))
    assert _PING.search(body)
    assert body.index(b": processing\n") < body.index(b": ping\n")
    without = _PING.sub(b"", body)
    assert without == b": keep-alive\n\n" + b"".join(_CHUNKS[:2]) + b": processing\n" + b"".join(
        _CHUNKS[2:]
    )


def test_a_busy_stream_gets_no_heartbeat(pair: Pair) -> None:
    assert not _PING.search(pair.send_raw("busy"))


@pytest.mark.parametrize("stream", [True, False])
def test_an_error_before_a_heartbeat_keeps_its_status_and_body(pair: Pair, stream: bool) -> None:
    head, body = split_response(pair.send_raw("error", stream=stream))
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["error"]["message"] == "no such model"


def test_a_response_that_is_not_a_stream_gets_no_heartbeat(pair: Pair) -> None:
    head, body = split_response(pair.send_raw("late-error", stream=False))
    assert head.startswith(b"HTTP/1.1 404 ")
    assert json.loads(body)["error"]["message"] == "no such model"


@pytest.mark.parametrize(
    ("path", "name", "where"),
    [
        ("/v1/chat/completions", "message", ("error", "message")),
        ("/v1/completions", "message", ("error", "message")),
        ("/v1/responses", "error", ("message",)),
        ("/v1/messages", "error", ("error", "message")),
    ],
)
@pytest.mark.parametrize(
    ("handler", "message"), [("late-error", "no such model"), ("late-page", "not an event stream")]
)
def test_an_error_after_heartbeats_is_an_event_and_an_abnormal_end(
    pair: Pair, handler: str, message: str, path: str, name: str, where: tuple[str, ...]
) -> None:
    response = pair.send_raw(handler, path=path)
    head, body = split_response(response)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert not is_complete(response)
    (error_event,) = (item for item in _items(body) if isinstance(item, Event))
    assert error_event.event == name
    value = json.loads(error_event.data)
    for key in where:
        value = value[key]
    assert message in value
    if path == "/v1/messages":
        assert json.loads(error_event.data)["type"] == "error"
