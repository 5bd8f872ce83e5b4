"""Upstream connection: use of the fast path, and forwarding without lost or changed bytes."""

from __future__ import annotations

import asyncio
import random
import re
from typing import cast

import pytest

from support.chunked import LAST_CHUNK, chunk
from undam.gateway.http.event_framer import EventFramer
from undam.gateway.http.fast_path import BATCH, FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.upstream_connection import UpstreamConnection
from undam.gateway.interfaces import Upstream

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b'data: {"choices": [{"delta": {"content": "a"}}]}'
_LF = _EVENT + b"\n\n"
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)\r\n")


class _Pool:
    def __init__(self) -> None:
        self.idle: list[UpstreamConnection] = []

    def connection_idle(self, connection: UpstreamConnection) -> None:
        self.idle.append(connection)

    def connection_closed(self, connection: UpstreamConnection) -> None: ...


class _Transport:
    aborted = False

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str) -> None: ...

    def get_write_buffer_size(self) -> int:
        return 0


class _Receiver:
    """Receiver that records data separately for the fast path and the parsed path."""

    def __init__(self) -> None:
        self.connection: UpstreamConnection | None = None
        self.fast: list[bytes] = []
        self.parsed: list[bytes] = []
        self.body = b""
        self.complete = False
        self.failure = ""
        self.batches: list[int] = []
        self.fast_path = FastPath(self._write, self._take_batch, 0.0)
        self.fast_path.framer = EventFramer()

    def _write(self, data: bytes) -> None:
        self.fast.append(data)
        self.body += _dechunked(data)

    def _take_batch(self) -> None:
        self.batches.append(len(self.fast_path.take_gaps()))

    def head_received(self, head: ResponseHead, now: float) -> None:
        assert head.status == 200
        assert self.connection is not None
        self.connection.fast_path = self.fast_path

    def body_received(self, data: bytes, now: float) -> None:
        self.parsed.append(data)
        self.body += data
        assert self.fast_path.framer is not None
        self.fast_path.framer.take(data)

    def response_complete(self) -> None:
        self.complete = True

    def connection_lost(self, why: str, *, started: bool, sent: bool) -> None:
        self.failure = why

    def request_paused(self, paused: bool) -> None: ...


def _dechunked(data: bytes) -> bytes:
    body, at = b"", 0
    while at < len(data):
        line = _CHUNK.match(data, at)
        assert line is not None
        size = int(line[1], 16)
        body += data[line.end() : line.end() + size]
        at = line.end() + size + 2
    return body


def _requested(*, without_body: bool = False) -> tuple[UpstreamConnection, _Receiver, _Pool]:
    pool, receiver = _Pool(), _Receiver()
    connection = UpstreamConnection(Upstream("a", "127.0.0.1", 1), pool, 16 << 10)
    connection.connection_made(cast("asyncio.BaseTransport", _Transport()))
    receiver.connection = connection
    connection.begin(receiver, b"", without_body=without_body, single_use=False)
    return connection, receiver, pool


def _streaming() -> tuple[UpstreamConnection, _Receiver]:
    connection, receiver, _ = _requested()
    connection.data_received(_HEAD + chunk(_LF))
    assert (len(receiver.parsed), receiver.fast) == (1, [])
    return connection, receiver


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(chunk(_LF), id="an event"),
        pytest.param(chunk(_EVENT + b"\r\n\r\n"), id="with CRLF"),
        pytest.param(chunk(_LF) + chunk(_LF), id="two in two chunks"),
        pytest.param(chunk(_LF + _LF), id="two in one chunk"),
        pytest.param(b"%X\r\n%b\r\n" % (0xFB, b"data: " + b"a" * 243 + b"\n\n"), id="upper case"),
        pytest.param(b"00%x\r\n%b\r\n" % (len(_LF), _LF), id="zeros before the size"),
        pytest.param(chunk(b"data: " + b"a" * 2033 + b"\n\n"), id="just above the table"),
        pytest.param(chunk(b"data: " + b"a" * 9000 + b"\n\n"), id="long"),
    ],
)
def test_whole_chunks_of_whole_events_take_the_fast_path(read: bytes) -> None:
    connection, receiver = _streaming()
    connection.data_received(read)
    assert receiver.fast == [read]
    assert len(receiver.parsed) == 1
    assert receiver.fast_path.tail.endswith(read)
    assert receiver.fast_path.bytes == len(read)
    assert len(receiver.fast_path.gaps) == 1


@pytest.mark.parametrize(
    ("read", "rest"),
    [
        pytest.param(chunk(b": ping\n\n"), b"", id="a comment"),
        pytest.param(chunk(_EVENT + b"\n"), b"", id="half a blank line"),
        pytest.param(chunk(_EVENT + b"\r\n"), b"", id="a line with CRLF"),
        pytest.param(chunk(_LF + b"data: "), b"", id="an event and a half"),
        pytest.param(chunk(_LF)[:-1], b"\n", id="half the line end of the chunk"),
        pytest.param(chunk(_LF)[:-2], b"\r\n", id="without the line end of the chunk"),
        pytest.param(chunk(_LF) + chunk(_LF)[:20], chunk(_LF)[20:], id="a chunk and a half"),
    ],
)
def test_other_reads_are_parsed_without_loss(read: bytes, rest: bytes) -> None:
    connection, receiver = _streaming()
    connection.data_received(read)
    assert receiver.fast == []
    connection.data_received(rest)
    assert receiver.body == _LF + _dechunked(read + rest)
    assert not receiver.failure


def test_an_event_in_progress_keeps_the_fast_path_off() -> None:
    connection, receiver = _streaming()
    connection.data_received(chunk(b"data: half"))
    connection.data_received(chunk(b" of it\ndata: the rest of the event\n\n"))
    assert receiver.fast == []
    connection.data_received(chunk(_LF))
    assert receiver.fast == [chunk(_LF)]


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(b"%x\r\n%b\r\n" % (len(_LF) + 1, _LF) + chunk(_LF), id="too large"),
        pytest.param(b"%x\r\n%b\r\n" % (len(_LF) - 1, _LF), id="too small"),
        pytest.param(b"%x\r\n%bXX" % (len(_LF), _LF), id="no line end after the chunk"),
        pytest.param(b"zz\r\n%b\r\n" % _LF, id="no size"),
    ],
)
def test_a_chunk_with_a_wrong_size_is_an_error(read: bytes) -> None:
    connection, receiver = _streaming()
    connection.data_received(read)
    assert receiver.fast == []
    assert "malformed" in receiver.failure


def test_a_complete_response_frees_the_connection() -> None:
    connection, receiver, pool = _requested()
    connection.data_received(_HEAD + chunk(_LF))
    connection.data_received(chunk(_LF))
    connection.data_received(LAST_CHUNK)
    assert receiver.complete
    assert pool.idle == [connection]


@pytest.mark.parametrize("extra", [b"HTTP/1.1 200 OK\r\n", b"junk"])
def test_bytes_after_the_response_prevent_reuse(extra: bytes) -> None:
    connection, receiver, pool = _requested()
    connection.data_received(_HEAD + chunk(_LF) + LAST_CHUNK + extra)
    assert receiver.complete
    assert receiver.body == _LF
    assert pool.idle == []
    assert connection.closed


def test_bytes_without_a_request_close_the_connection() -> None:
    connection, _, _ = _requested()
    connection.data_received(_HEAD + LAST_CHUNK)
    connection.data_received(b"HTTP/1.1 200 OK\r\n")
    assert connection.closed


def test_the_response_to_head_has_no_body() -> None:
    connection, receiver, pool = _requested(without_body=True)
    connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
    assert (receiver.complete, receiver.body, pool.idle) == (True, b"", [])


def test_interim_responses_are_dropped() -> None:
    connection, receiver, _ = _requested()
    connection.data_received(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n"
    )
    connection.data_received(_HEAD + chunk(_LF) + LAST_CHUNK)
    assert (receiver.complete, receiver.body) == (True, _LF)


def test_a_body_without_framing_ends_with_the_connection() -> None:
    connection, receiver, _ = _requested()
    connection.data_received(b"HTTP/1.1 200 OK\r\n\r\nhalf")
    connection.connection_lost(None)
    assert (receiver.complete, receiver.body) == (True, b"half")


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"", "the upstream closed the connection"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "the upstream closed the connection"),
        (b"nonsense\r\n\r\n", "malformed"),
        (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "switched protocols"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "unsupported"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"x" * (17 << 10), "over 16384 bytes"),
        # The limit applies although the head and the body arrive in the same read.
        (
            b"HTTP/1.1 200 OK\r\nA: " + b"x" * (17 << 10) + b"\r\nContent-Length: 1\r\n\r\na",
            "over 16384 bytes",
        ),
    ],
)
def test_a_response_that_cannot_become_complete_is_an_error(data: bytes, failure: str) -> None:
    connection, receiver, pool = _requested()
    connection.data_received(data)
    connection.connection_lost(None)
    assert failure in receiver.failure
    assert not receiver.complete
    assert pool.idle == []


def test_gaps_are_reported_in_batches() -> None:
    connection, receiver = _streaming()
    for _ in range(2 * BATCH + 3):
        connection.data_received(chunk(_LF))
    assert receiver.batches == [BATCH, BATCH]
    assert len(receiver.fast_path.gaps) == 3
    assert min(receiver.fast_path.gaps) >= 0.0
    assert receiver.fast_path.tail == chunk(_LF) * 2


@pytest.mark.parametrize("seed", range(60))
def test_the_cuts_between_reads_do_not_change_the_body(seed: int) -> None:
    chance = random.Random(seed)
    pieces = [
        _EVENT + chance.choice([b"\n\n", b"\n\n", b"\r\n\r\n"]) * chance.choice([1, 1, 1, 2])
        if chance.random() < 0.8
        else chance.choice([b": ping\n\n", b"data: x\n", b"\n", b"data: " + b"y" * 3000 + b"\n\n"])
        for _ in range(60)
    ]
    data = _HEAD + b"".join(map(chunk, pieces))
    cuts = {len(data)}
    at = len(_HEAD)
    for piece in pieces:
        if chance.random() < 0.85:
            cuts.add(at)
        if chance.random() < 0.1:
            cuts.add(at + chance.randint(1, len(piece)))
        at += len(chunk(piece))
    connection, receiver, _ = _requested()
    last = 0
    for cut in sorted(cuts):
        connection.data_received(data[last:cut])
        last = cut
    assert receiver.body == b"".join(pieces)
    assert receiver.fast
    assert not receiver.failure
    connection.data_received(LAST_CHUNK)
    assert receiver.complete
