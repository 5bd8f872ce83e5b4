"""How often an answer is written: each write is a segment, and wakes its reader."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.request_parser import Head
from undam.gateway.http.response_writer import PING, Outlet
from undam.gateway.interfaces import Passage

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


def _closed(*, chunked: bool = True) -> tuple[Outlet, _Transport, Passage]:
    transport, passage = _Transport(), Passage(None, 0.0)
    asked = Head("POST", "/", 1 if chunked else 0, [], "h", 0, True, False, b"")
    outlet = Outlet(
        cast("asyncio.Transport", transport), asked, passage, request_id="r", keep=True, now=0.0
    )
    return outlet, transport, passage


def _outlet(*, events: bool = True, chunked: bool = True) -> tuple[Outlet, _Transport, Passage]:
    outlet, transport, passage = _closed(chunked=chunked)
    kind = b"text/event-stream" if events else b"text/plain"
    outlet.open(_head(kind, (b"Transfer-Encoding", b"chunked")), 1.0, follows=True)
    assert transport.writes == []
    return outlet, transport, passage


def test_the_head_and_the_first_content_are_one_write_and_so_are_the_last_and_the_end() -> None:
    outlet, transport, passage = _outlet()
    outlet.body(_EVENT, 1.0)
    outlet.flush()
    outlet.body(_EVENT, 2.0, follows=True)
    assert len(transport.writes) == 1
    outlet.finish()
    first, last = transport.writes
    assert first.startswith(b"HTTP/1.1 200 OK\r\n")
    assert first.endswith(b"\r\n\r\n9\r\n" + _EVENT + b"\r\n")
    assert last == b"9\r\n" + _EVENT + b"\r\n0\r\n\r\n"
    assert passage.bytes_out == len(first) + len(last)


@pytest.mark.parametrize("chunked", [True, False])
def test_what_cannot_go_yet_does_not_keep_the_head(chunked: bool) -> None:
    outlet, transport, _ = _outlet(chunked=chunked)
    outlet.body(b"data: half", 1.0)
    outlet.flush()
    (head,) = transport.writes
    assert head.endswith(b"\r\n\r\n")
    outlet.flush()
    assert len(transport.writes) == 1
    outlet.body(b"\n\n", 2.0)
    outlet.finish()
    rest = b"".join(transport.writes[1:])
    event = b"data: half\n\n"
    assert rest == (b"c\r\n" + event + b"\r\n0\r\n\r\n" if chunked else event)


def test_an_answer_that_breaks_off_loses_nothing_that_came() -> None:
    outlet, transport, _ = _outlet()
    outlet.body(_EVENT, 1.0, follows=True)
    outlet.break_off(b"event: error\ndata: {}\n\n", 2.0)
    told = b"".join(transport.writes)
    assert told.endswith(b"9\r\n" + _EVENT + b"\r\n17\r\nevent: error\ndata: {}\n\n\r\n")
    assert not outlet.keep


def test_a_body_without_framing_that_breaks_off_is_passed_before_the_reset() -> None:
    outlet, transport, _ = _outlet(events=False, chunked=False)
    outlet.body(b"half", 1.0, follows=True)
    outlet.break_off(b"", 2.0)
    assert transport.writes[0].endswith(b"\r\n\r\nhalf")
    assert transport.writes[1:] == [b"<aborted>"]


def test_a_heartbeat_goes_at_once() -> None:
    outlet, transport, _ = _outlet()
    outlet.flush()
    outlet.heartbeat(3.0)
    assert transport.writes[1] == b"%x\r\n%b\r\n" % (len(PING), PING)
    assert outlet.wrote_at == 3.0


@pytest.mark.parametrize("chunked", [True, False])
def test_a_head_that_was_made_before_is_the_one_that_would_have_been(chunked: bool) -> None:
    written = []
    for before in (True, False):
        outlet, transport, _ = _closed(chunked=chunked)
        head = _head(b"text/event-stream")
        if before:
            outlet.make(head)
            head.forget()  # It is not made again.
        outlet.open(head, 1.0)
        outlet.body(_EVENT, 1.0)
        written.append((transport.writes, outlet.keep))
    assert written[0] == written[1]


def test_what_was_made_binds_nobody() -> None:
    outlet, transport, _ = _closed()
    outlet.make(_head(b"text/event-stream"))
    outlet.open(_head(b"application/json", (b"Content-Length", b"2")), 1.0)
    outlet.body(b"{}", 1.0)
    outlet.finish()
    answer = b"".join(transport.writes)
    assert b"Content-Type: application/json\r\n" in answer
    assert answer.endswith(b"\r\n\r\n{}")
    outlet, transport, _ = _closed()
    outlet.make(_head(b"text/event-stream"))
    outlet.answer(502, b"", b"{}", 1.0)
    assert b"chunked" not in transport.writes[0]
    assert b"Content-Length: 2\r\n" in transport.writes[0]
