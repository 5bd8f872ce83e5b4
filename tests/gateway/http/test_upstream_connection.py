"""Which reads of an upstream pass as they came, and that the bytes are the same on either way."""

from __future__ import annotations

import asyncio
import random
import re
from typing import cast

import pytest

from support.chunked import chunk
from undam.gateway.http.fast_path import BATCH, FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.upstream_connection import UpstreamConnection
from undam.gateway.interfaces import Upstream

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
_EVENT = b'data: {"choices": [{"delta": {"content": "a"}}]}'
_CHUNK = re.compile(rb"([0-9A-Fa-f]+)\r\n")


class _Owner:
    def __init__(self) -> None:
        self.free: list[UpstreamConnection] = []

    def give(self, connection: UpstreamConnection) -> None:
        self.free.append(connection)

    def lost(self, connection: UpstreamConnection) -> None: ...


class _Transport:
    closed = False

    def write(self, data: bytes) -> None: ...

    def abort(self) -> None:
        self.closed = True


class _Receiver:
    """Keeps what came by which way, and allows the short one where an event may begin."""

    def __init__(self) -> None:
        self.short: list[bytes] = []
        self.long: list[bytes] = []
        self.body = b""
        self.ended = self.died_of = ""
        self.track_of = FastPath(self._passed, self._full, 0.0)
        self.bundles: list[int] = []

    def _passed(self, data: bytes) -> None:
        self.short.append(data)
        self.body += _dechunked(data)

    def _full(self) -> None:
        self.bundles.append(len(self.track_of.take_gaps()))

    def head_came(self, head: ResponseHead, now: float) -> None:
        assert head.status == 200

    def body_came(self, data: bytes, now: float) -> None:
        self.long.append(data)
        self.body += data

    def end_came(self) -> None:
        self.ended = "yes"

    def died(self, why: str, *, answered: bool) -> None:
        self.died_of = why

    def fast_path(self) -> FastPath | None:
        return self.track_of if self.body.endswith((b"\n\n", b"\r\n\r\n")) else None

    def upstream_full(self, full: bool) -> None: ...


def _dechunked(data: bytes) -> bytes:
    body, at = b"", 0
    while at < len(data):
        line = _CHUNK.match(data, at)
        assert line is not None
        size = int(line[1], 16)
        body += data[line.end() : line.end() + size]
        at = line.end() + size + 2
    return body


def _asked() -> tuple[UpstreamConnection, _Receiver]:
    connection = UpstreamConnection(Upstream("a", "127.0.0.1", 1), _Owner(), 16 << 10)
    connection.connection_made(cast("asyncio.BaseTransport", _Transport()))
    receiver = _Receiver()
    connection.begin(receiver, b"", headless=False, once=False)
    return connection, receiver


def _streaming() -> tuple[UpstreamConnection, _Receiver]:
    connection, receiver = _asked()
    connection.data_received(_HEAD + chunk(_EVENT + b"\n\n"))
    assert (len(receiver.long), receiver.short) == (1, [])
    return connection, receiver


_LF = _EVENT + b"\n\n"


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(chunk(_LF), id="an event"),
        pytest.param(chunk(_EVENT + b"\r\n\r\n"), id="with CRLF"),
        pytest.param(chunk(_LF) + chunk(_LF), id="two in two chunks"),
        pytest.param(chunk(_LF + _LF), id="two in one"),
        pytest.param(b"%X\r\n%b\r\n" % (0xFB, b"data: " + b"a" * 243 + b"\n\n"), id="upper case"),
        pytest.param(b"00%x\r\n%b\r\n" % (len(_LF), _LF), id="zeros before the size"),
        pytest.param(chunk(b"data: " + b"a" * 2033 + b"\n\n"), id="just not short"),
        pytest.param(chunk(b"data: " + b"a" * 9000 + b"\n\n"), id="long"),
    ],
)
def test_whole_chunks_of_whole_events_pass_as_they_came(read: bytes) -> None:
    connection, receiver = _streaming()
    connection.data_received(read)
    assert receiver.short == [read]
    assert len(receiver.long) == 1
    assert receiver.track_of.last == read
    assert receiver.track_of.bytes == len(read)
    assert len(receiver.track_of.gaps) == 1


@pytest.mark.parametrize(
    ("read", "rest"),
    [
        pytest.param(chunk(b": ping\n\n"), b"", id="a comment"),
        pytest.param(chunk(_EVENT + b"\n"), b"", id="half a blank line"),
        pytest.param(chunk(_EVENT + b"\r\n"), b"", id="a line with CRLF"),
        pytest.param(chunk(_LF + b"data: "), b"", id="an event and a half"),
        pytest.param(chunk(_LF)[:-1], b"\n", id="half the chunk's end"),
        pytest.param(chunk(_LF)[:-2], b"\r\n", id="without the chunk's end"),
        pytest.param(chunk(_LF) + chunk(_LF)[:20], chunk(_LF)[20:], id="a chunk and a half"),
    ],
)
def test_all_else_is_read_and_loses_nothing(read: bytes, rest: bytes) -> None:
    connection, receiver = _streaming()
    connection.data_received(read)
    assert receiver.short == []
    connection.data_received(rest)
    assert receiver.body == _LF + _dechunked(read + rest)
    assert not receiver.died_of


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(b"%x\r\n%b\r\n" % (len(_LF) + 1, _LF) + chunk(_LF), id="too large"),
        pytest.param(b"%x\r\n%b\r\n" % (len(_LF) - 1, _LF), id="too small"),
        pytest.param(b"%x\r\n%bXX" % (len(_LF), _LF), id="no line end after the chunk"),
        pytest.param(b"zz\r\n%b\r\n" % _LF, id="no size"),
    ],
)
def test_a_chunk_that_lies_about_its_size_never_passes(read: bytes) -> None:
    connection, receiver = _streaming()
    connection.data_received(read)
    assert receiver.short == []
    assert "malformed" in receiver.died_of


def test_the_end_is_told_and_the_connection_free() -> None:
    connection, receiver = _streaming()
    connection.data_received(chunk(_LF))
    connection.data_received(b"0\r\n\r\n")
    assert receiver.ended == "yes"
    assert cast("_Owner", connection._owner).free == [connection]


def test_the_gaps_are_handed_over_in_bundles() -> None:
    connection, receiver = _streaming()
    for _ in range(2 * BATCH + 3):
        connection.data_received(chunk(_LF))
    assert receiver.bundles == [BATCH, BATCH]
    assert len(receiver.track_of.gaps) == 3
    assert min(receiver.track_of.gaps) >= 0.0
    assert receiver.track_of.before == receiver.track_of.last == chunk(_LF)


@pytest.mark.parametrize("seed", range(60))
def test_however_it_is_cut_the_body_is_the_same(seed: int) -> None:
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
    connection, receiver = _asked()
    last = 0
    for cut in sorted(cuts):
        connection.data_received(data[last:cut])
        last = cut
    assert receiver.body == b"".join(pieces)
    assert receiver.short
    assert not receiver.died_of
    connection.data_received(b"0\r\n\r\n")
    assert receiver.ended == "yes"
