"""How often an answer is written: each write is a segment, and wakes its reader."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.response_writer import PING, ResponseWriter
from undam.gateway.interfaces import RequestRecord
from undam.http1.request_parser import RequestHead

_EVENT = b"data: a\n\n"


class _Transport:
    def __init__(self) -> None:
        self.writes: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def abort(self) -> None:
        self.writes.append(b"<aborted>")


def _head(kind: bytes, *headers: tuple[bytes, bytes]) -> ResponseHead:
    return ResponseHead(200, b"OK", [(b"Content-Type", kind), *headers])


def _closed(*, chunked: bool = True) -> tuple[ResponseWriter, _Transport, RequestRecord]:
    transport, record = _Transport(), RequestRecord(None, 0.0)
    asked = RequestHead("POST", "/", 1 if chunked else 0, [], "h", 0, True, False, b"")
    writer = ResponseWriter(
        cast("asyncio.Transport", transport), asked, record, request_id="r", keep=True, now=0.0
    )
    return writer, transport, record


def _writer(
    *, events: bool = True, chunked: bool = True
) -> tuple[ResponseWriter, _Transport, RequestRecord]:
    writer, transport, record = _closed(chunked=chunked)
    kind = b"text/event-stream" if events else b"text/plain"
    writer.open(_head(kind, (b"Transfer-Encoding", b"chunked")), 1.0, follows=True)
    assert transport.writes == []
    return writer, transport, record


def test_the_head_and_the_first_content_are_one_write_and_so_are_the_last_and_the_end() -> None:
    writer, transport, record = _writer()
    writer.body(_EVENT, 1.0)
    writer.flush()
    writer.body(_EVENT, 2.0, follows=True)
    assert len(transport.writes) == 1
    writer.finish()
    first, last = transport.writes
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"\r\n\r\n9\r\n" + _EVENT + b"\r\n")
    assert last == b"9\r\n" + _EVENT + b"\r\n0\r\n\r\n"
    assert record.bytes_out == len(first) + len(last)


@pytest.mark.parametrize("chunked", [True, False])
def test_what_cannot_go_yet_does_not_keep_the_head(chunked: bool) -> None:
    writer, transport, _ = _writer(chunked=chunked)
    writer.body(b"data: half", 1.0)
    writer.flush()
    (head,) = transport.writes
    assert head.endswith(b"\r\n\r\n")
    writer.flush()
    assert len(transport.writes) == 1
    writer.body(b"\n\n", 2.0)
    writer.finish()
    rest = b"".join(transport.writes[1:])
    event = b"data: half\n\n"
    assert rest == (b"c\r\n" + event + b"\r\n0\r\n\r\n" if chunked else event)


def test_an_answer_that_breaks_off_loses_nothing_that_came() -> None:
    writer, transport, _ = _writer()
    writer.body(_EVENT, 1.0, follows=True)
    writer.break_off(b"event: error\ndata: {}\n\n", 2.0)
    told = b"".join(transport.writes)
    assert told.endswith(b"9\r\n" + _EVENT + b"\r\n17\r\nevent: error\ndata: {}\n\n\r\n")
    assert not writer.keep


def test_a_body_without_framing_that_breaks_off_is_passed_before_the_reset() -> None:
    writer, transport, _ = _writer(events=False, chunked=False)
    writer.body(b"half", 1.0, follows=True)
    writer.break_off(b"", 2.0)
    assert transport.writes[0].endswith(b"\r\n\r\nhalf")
    assert transport.writes[1:] == [b"<aborted>"]


def test_a_heartbeat_goes_at_once() -> None:
    writer, transport, _ = _writer()
    writer.flush()
    writer.heartbeat(3.0)
    assert transport.writes[1] == b"%x\r\n%b\r\n" % (len(PING), PING)
    assert writer.wrote_at == 3.0


@pytest.mark.parametrize("chunked", [True, False])
def test_a_head_that_was_made_before_is_the_one_that_would_have_been(chunked: bool) -> None:
    written = []
    for before in (True, False):
        writer, transport, _ = _closed(chunked=chunked)
        head = _head(b"text/event-stream")
        if before:
            writer.make(head)
            head.forget()  # It is not made again.
        writer.open(head, 1.0)
        writer.body(_EVENT, 1.0)
        written.append((transport.writes, writer.keep))
    assert written[0] == written[1]


def test_what_was_made_binds_nobody() -> None:
    writer, transport, _ = _closed()
    writer.make(_head(b"text/event-stream"))
    writer.open(_head(b"application/json", (b"Content-Length", b"2")), 1.0)
    writer.body(b"{}", 1.0)
    writer.finish()
    answer = b"".join(transport.writes)
    assert b"Content-Type: application/json\r\n" in answer
    assert answer.endswith(b"\r\n\r\n{}")
    writer, transport, _ = _closed()
    writer.make(_head(b"text/event-stream"))
    writer.answer(502, b"", b"{}", 1.0)
    assert b"chunked" not in transport.writes[0]
    assert b"Content-Length: 2\r\n" in transport.writes[0]
