"""Detection of heartbeats, and the heartbeat filter for openai-python."""

from __future__ import annotations

import pytest

from undam.client.heartbeats import is_heartbeat
from undam.client.tolerant import BlankLineFilter, HeartbeatFilter
from undam.sse import Event, Parser


@pytest.mark.parametrize(
    "event",
    [
        Event(""), Event("  "), Event("null"), Event("{}"), Event("ping"), Event('"ping"'),
        Event("keep-alive"), Event('{"type": "ping"}'), Event('{"type":"heartbeat","at":1}'),
        Event('{"choices": []}', "ping"), Event("x" * 999, "keepalive"),
    ],
)  # fmt: skip
def test_events_that_are_heartbeats(event: Event) -> None:
    assert is_heartbeat(event)


@pytest.mark.parametrize(
    "event",
    [
        Event("[DONE]"), Event("0"), Event("pinging"), Event('{"choices": []}'),
        Event('{"type": "message_stop"}', "message_stop"), Event('{"type": ["ping"]}'),
        Event('{"type": "ping"'), Event('{"error": "ping"}'), Event(" " * 999),
    ],
)  # fmt: skip
def test_events_that_are_not_heartbeats(event: Event) -> None:
    assert not is_heartbeat(event)


_STREAM = (
    b'\xef\xbb\xbf: hello\n\nretry: 1\n\ndata: {"a": 1}\r\n\r\n'
    b"id: 7\nevent: e\ndata: b\ndata: c\n\n"
    b": ping\n\nevent: ping\n\ndata:\n\ndata: \xe2\x80\xa8\n\ndata: [DONE]\n\ndata: cut"
)  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
def test_only_events_with_content_pass_the_filter(step: int) -> None:
    events = HeartbeatFilter()
    passed = [events.receive_data(_STREAM[at : at + step]) for at in range(0, len(_STREAM), step)]
    assert b"".join(passed) == (
        b'data: {"a": 1}\n\nevent: e\ndata: b\ndata: c\n\ndata: \xe2\x80\xa8\n\ndata: [DONE]\n\n'
    )


def test_an_event_passes_the_filter_with_its_last_byte() -> None:
    events = HeartbeatFilter()
    assert events.receive_data(b"data: a\n") == b""
    assert events.receive_data(b"\n: ping") == b"data: a\n\n"


def test_filtered_bytes_parse_as_the_same_events() -> None:
    passed = Parser().receive_data(HeartbeatFilter().receive_data(_STREAM))
    assert [item.data for item in passed if isinstance(item, Event)] == [
        '{"a": 1}', "b\nc", "\u2028", "[DONE]",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("tail", "passed_on"),
    [
        (b"data: b", b"data: b"),
        (b"data: b\n", b"data: b\n"),
        (b"event: x\r\ndata: b\r\n", b"event: x\ndata: b\n"),
        (b'data: {"cut', b'data: {"cut'),
        (b"id: 7\ndata: b", b"data: b"),
        (b": comment", b""),
        (b"event: ping\ndata: {}", b""),
        (b"retry: 5", b""),
        (b"", b""),
    ],
)
def test_an_unfinished_last_event_is_passed_on_as_it_is(tail: bytes, passed_on: bytes) -> None:
    heartbeats = HeartbeatFilter()
    assert heartbeats.receive_data(b"data: a\n\n" + tail) == b"data: a\n\n"
    assert heartbeats.receive_eof() == passed_on


def test_ids_are_kept_on_request() -> None:
    data = b"id: 1\ndata: a\n\n: ping\n\nid: 2\n\ndata: b\n\ndata: c\n\n"
    assert HeartbeatFilter().receive_data(data) == b"data: a\n\ndata: b\n\ndata: c\n\n"
    kept = HeartbeatFilter(keep_ids=True).receive_data(data)
    assert kept == b"id: 1\ndata: a\n\nid: 2\ndata: b\n\ndata: c\n\n"
    assert b": ping" not in kept


def test_blank_lines_of_json_lines_are_removed() -> None:
    lines = BlankLineFilter()
    assert lines.receive_data(b'\n{"a": 1}\n \n{"b"') == b'{"a": 1}\n'
    assert lines.receive_data(b": 2}\n") == b'{"b": 2}\n'
    assert lines.receive_data(b"{}") == b""
    assert lines.receive_eof() == b"{}"
