"""Response writer: data is combined into few writes, because each write wakes the client."""

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


def _new_writer(*, chunked: bool = True) -> tuple[ResponseWriter, _Transport, RequestRecord]:
    transport, record = _Transport(), RequestRecord(None, 0.0)
    request = RequestHead("POST", "/", 1 if chunked else 0, [], "h", 0, True, False, b"")
    writer = ResponseWriter(
        cast("asyncio.Transport", transport), request, record, request_id="r", keep=True, now=0.0
    )
    return writer, transport, record


def _opened_writer(
    *, events: bool = True, chunked: bool = True
) -> tuple[ResponseWriter, _Transport, RequestRecord]:
    writer, transport, record = _new_writer(chunked=chunked)
    kind = b"text/event-stream" if events else b"text/plain"
    writer.open(_head(kind, (b"Transfer-Encoding", b"chunked")), 1.0, body_follows=True)
    assert transport.writes == []
    return writer, transport, record


def test_head_and_first_content_are_one_write_and_so_are_last_content_and_end() -> None:
    writer, transport, record = _opened_writer()
    writer.body(_EVENT, 1.0)
    writer.flush()
    writer.body(_EVENT, 2.0, end_follows=True)
    assert len(transport.writes) == 1
    writer.finish()
    first, last = transport.writes
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"\r\n\r\n9\r\n" + _EVENT + b"\r\n")
    assert last == b"9\r\n" + _EVENT + b"\r\n0\r\n\r\n"
    assert record.bytes_out == len(first) + len(last)


@pytest.mark.parametrize("chunked", [True, False])
def test_an_incomplete_event_does_not_delay_the_head(chunked: bool) -> None:
    writer, transport, _ = _opened_writer(chunked=chunked)
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


def test_a_broken_response_contains_everything_received_and_the_error() -> None:
    writer, transport, _ = _opened_writer()
    writer.body(_EVENT, 1.0, end_follows=True)
    writer.break_off(b"event: error\ndata: {}\n\n", 2.0)
    written = b"".join(transport.writes)
    assert written.endswith(b"9\r\n" + _EVENT + b"\r\n17\r\nevent: error\ndata: {}\n\n\r\n")
    assert not writer.keep


def test_a_broken_body_without_framing_is_written_before_the_reset() -> None:
    writer, transport, _ = _opened_writer(events=False, chunked=False)
    writer.body(b"half", 1.0, end_follows=True)
    writer.break_off(b"", 2.0)
    assert transport.writes[0].endswith(b"\r\n\r\nhalf")
    assert transport.writes[1:] == [b"<aborted>"]


def test_a_heartbeat_is_written_at_once() -> None:
    writer, transport, _ = _opened_writer()
    writer.flush()
    writer.heartbeat(3.0)
    assert transport.writes[1] == b"%x\r\n%b\r\n" % (len(PING), PING)
    assert writer.wrote_at == 3.0


@pytest.mark.parametrize("chunked", [True, False])
def test_a_prepared_head_is_the_same_as_one_built_late(chunked: bool) -> None:
    written = []
    for before in (True, False):
        writer, transport, _ = _new_writer(chunked=chunked)
        head = _head(b"text/event-stream")
        if before:
            writer.prepare(head)
            head.release()  # Once the head has been released, it cannot be encoded again.
        writer.open(head, 1.0)
        writer.body(_EVENT, 1.0)
        written.append((transport.writes, writer.keep))
    assert written[0] == written[1]


def test_a_prepared_head_does_not_affect_another_response() -> None:
    writer, transport, _ = _new_writer()
    writer.prepare(_head(b"text/event-stream"))
    writer.open(_head(b"application/json", (b"Content-Length", b"2")), 1.0)
    writer.body(b"{}", 1.0)
    writer.finish()
    response = b"".join(transport.writes)
    assert b"Content-Type: application/json\r\n" in response
    assert response.endswith(b"\r\n\r\n{}")
    writer, transport, _ = _new_writer()
    writer.prepare(_head(b"text/event-stream"))
    writer.respond(502, b"", b"{}", 1.0)
    assert b"chunked" not in transport.writes[0]
    assert b"Content-Length: 2\r\n" in transport.writes[0]
