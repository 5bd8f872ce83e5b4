"""The SSE parser: conformance, results per read, size limits, and linear run time."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.sse import Comment, Event, Parser

# Fragments of the grammar reach all branches of the parser far more often than random bytes.
_PIECES = st.sampled_from(
    (
        *(b"data: ", b"data:", b"data", b"event: ", b"event", b"id: ", b"id", b"retry: ", b"retry"),
        *(b": ", b":", b" ", b"\n", b"\r", b"\r\n", b"\n\n", b"\r\n\r\n", b"\n\ndata: "),
        *(b"\xef\xbb\xbf", b"\xef", b"\xbb", b"\xff", b"\xc3", b"\xa9", b"\0", b"a", b"7", b""),
    )
)
_STREAMS = st.one_of(
    st.lists(_PIECES, max_size=40).map(b"".join),
    st.binary(max_size=200),
)


def _reference(stream: bytes) -> list[Event | Comment]:
    """Parse a whole stream step by step, as WHATWG HTML 9.2.6 specifies."""
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _unfinished = re.split("\r\n|\r|\n", text)
    out: list[Event | Comment] = []
    data = kind = ident = ""
    for line in lines:
        if line == "":
            if data != "":
                out.append(Event(data[:-1], kind or "message", ident))
            data = kind = ""
        elif line.startswith(":"):
            out.append(Comment(line[1:].removeprefix(" ")))
        else:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if name == "data":
                data += value + "\n"
            elif name == "event":
                kind = value
            elif name == "id" and "\0" not in value:
                ident = value
    return out


@given(_STREAMS)
@example(b"event: data: a\ndata: b\n\n")
@example(b"data: a\n\n\ndata: b\n\n")
@example(b"data: a\n\nevent: x\ndata: b\ndata: c\n\n")
def test_whole_stream_equals_the_reference(stream: bytes) -> None:
    assert Parser().receive_data(stream) == _reference(stream)


@pytest.mark.seconds
@given(_STREAMS)
@example(b"\xef\xbb\xbfdata: a\r\rdata: b\r\n\r\n: c\r")
def test_each_byte_returns_what_it_completes(stream: bytes) -> None:
    parser = Parser()
    parsed: list[Event | Comment] = []
    for end in range(1, len(stream) + 1):
        parsed += parser.receive_data(stream[end - 1 : end])
        prefix = stream[:end]
        assert parsed == _reference(prefix)


@pytest.mark.seconds
@given(_STREAMS, st.data())
def test_result_does_not_depend_on_read_boundaries(stream: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(stream)))
    whole, parts = Parser(), Parser()
    out = whole.receive_data(stream)
    assert parts.receive_data(stream[:at]) + parts.receive_data(stream[at:]) == out
    assert parts.last_event_id == whole.last_event_id
    assert parts.retry_ms == whole.retry_ms
    assert parts.pending_bytes == whole.pending_bytes


@given(_STREAMS, st.integers(1, 12), st.integers(1, 5))
def test_bound_does_not_depend_on_read_boundaries(stream: bytes, limit: int, step: int) -> None:
    def run(size: int) -> tuple[list[Event | Comment], str]:
        parser = Parser(max_event_bytes=limit)
        out: list[Event | Comment] = []
        try:
            for at in range(0, len(stream), size):
                out += parser.receive_data(stream[at : at + size])
            parser.receive_eof()
        except RemoteProtocolError as error:
            return out, str(error)
        return out, ""

    assert run(step) == run(len(stream) or 1)


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_complete_events_are_returned_at_once(end: bytes) -> None:
    parser = Parser()
    assert parser.receive_data(b"data: hi" + end + end) == [Event("hi")]
    assert parser.receive_data(b": beat" + end) == [Comment("beat")]
    assert parser.pending_bytes == 0
    assert parser.receive_data(b"data: ho" + end) == []
    assert parser.receive_data(end[:1]) == [Event("ho")]
    assert parser.receive_data(end[1:]) == []
    assert parser.receive_data(b"data: hum" + end + end) == [Event("hum")]


def test_pending_bytes_is_zero_only_between_events() -> None:
    parser = Parser()
    steps = [
        (b"", 0), (b"da", 2), (b"ta: x", 7), (b"\n", 7), (b"id: 1\r", 12), (b"\n", 12),
        (b": c", 15), (b"\n", 12), (b"\n", 0), (b"\n", 0), (b": c", 3), (b"\n", 0),
        (b"data: y\n\ndata: z", 7),
        (b"\n\n", 0), (b"event: a\ndata: b\n\n", 0),
    ]  # fmt: skip
    for read, pending in steps:
        parser.receive_data(read)
        assert parser.pending_bytes == pending, read


def test_eof_discards_the_unfinished_event_and_returns_its_size() -> None:
    parser = Parser()
    parser.receive_data(b"id: 1\nevent: x\ndata: a\nda")
    assert parser.receive_eof() == 5 + 8 + 7 + 2
    assert parser.receive_eof() == parser.pending_bytes == 0
    assert parser.last_event_id == ""


def test_last_event_id_is_set_by_the_blank_line() -> None:
    parser = Parser()
    parser.receive_data(b"id: 1\n")
    assert parser.last_event_id == ""
    parser.receive_data(b"\n")
    assert parser.last_event_id == "1"


class TestBound:
    def test_error_names_event_and_limit(self) -> None:
        parser = Parser(max_event_bytes=20)
        parser.receive_data(b"data: a\n\n: comment\n\nevent: x\ndata: b\n\n")
        parser.receive_data(b"data: c\n\n")
        with pytest.raises(RemoteProtocolError, match=r"^event 4 is larger than 20 bytes$"):
            parser.receive_data(b"data: " + b"x" * 15)

    @pytest.mark.parametrize("stream", [
        b"data: " + b"x" * 14 + b"\n\n",
        b"data: 678\ndata: 6789\n\n",
        b"event: 8\ndata: 6789ab\n\n",
        b"data: " + b"x" * 13 + b"\r\n:" + b"c" * 0 + b"\r\n\r\n",
    ])  # fmt: skip
    def test_event_of_exactly_the_limit_is_accepted(self, stream: bytes) -> None:
        parsed = Parser(max_event_bytes=20).receive_data(stream)
        assert any(isinstance(part, Event) for part in parsed)
        with pytest.raises(RemoteProtocolError, match="larger than 18 bytes"):
            Parser(max_event_bytes=18).receive_data(stream)

    def test_many_small_events_in_one_large_read(self) -> None:
        events = Parser(max_event_bytes=20).receive_data(b"data: abc\n\n" * 1000)
        assert events == [Event("abc")] * 1000

    def test_events_before_the_error_are_returned_first(self) -> None:
        parser = Parser(max_event_bytes=20)
        assert parser.receive_data(b"data: a\n\n:c\ndata: " + b"x" * 99) == [
            Event("a"),
            Comment("c"),
        ]
        for _ in range(2):
            with pytest.raises(RemoteProtocolError, match="event 2 is larger"):
                parser.receive_data(b"\n\ndata: b\n\n")
        with pytest.raises(RemoteProtocolError, match="event 2 is larger"):
            parser.receive_eof()

    def test_parser_keeps_raising_after_an_error(self) -> None:
        parser = Parser(max_event_bytes=20)
        with pytest.raises(RemoteProtocolError):
            parser.receive_data(b"data: " + b"x" * 99 + b"\n\n")
        with pytest.raises(RemoteProtocolError):
            parser.receive_data(b"data: b\n\n")

    def test_ignored_fields_count_towards_the_limit(self) -> None:
        with pytest.raises(RemoteProtocolError):
            Parser(max_event_bytes=20).receive_data(b"a\n" * 21)

    def test_complete_comments_do_not_count_towards_the_limit(self) -> None:
        parser = Parser(max_event_bytes=20)
        parser.receive_data(b"data: x\n")
        assert len(parser.receive_data(b": 345678\n" * 1000)) == 1000
        assert parser.receive_data(b"\n") == [Event("x")]

    def test_unfinished_comment_counts_towards_the_limit(self) -> None:
        with pytest.raises(RemoteProtocolError):
            Parser(max_event_bytes=20).receive_data(b":" + b"x" * 20)

    def test_limit_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="positive"):
            Parser(max_event_bytes=0)


class _CountingBuffer(bytearray):
    """Buffer that counts the bytes that are copied out of it."""

    copied = 0

    def __bytes__(self) -> bytes:
        self.copied += len(self)
        return bytes(memoryview(self))


class _CountingParser(Parser):
    """Parser that counts the bytes that it scans, copies and joins."""

    def __init__(self) -> None:
        super().__init__(max_event_bytes=_BIG)
        self._held = self.buffer = _CountingBuffer()
        self.scanned = 0

    def _parse_blocks(self, data: bytes, *rest: Any) -> None:
        self.scanned += len(data)
        super()._parse_blocks(data, *rest)

    def _parse_lines(self, data: bytes, *rest: Any) -> None:
        self.scanned += len(data)
        super()._parse_lines(data, *rest)

    def _parse_line(self, line: bytes, *rest: Any) -> None:
        self.scanned += len(line)
        super()._parse_line(line, *rest)

    def _dispatch(self, *rest: Any) -> None:
        self.scanned += sum(map(len, self._data))
        super()._dispatch(*rest)

    @property
    def work(self) -> int:
        return self.scanned + self.buffer.copied


_BIG = 1 << 30


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("unit", "tail", "read_bytes"),
    [
        pytest.param(b"x", b"", 1, id="a line without an end, byte by byte"),
        pytest.param(b"x", b"", 64, id="a line without an end"),
        pytest.param(b"data: x\n", b"\n", 1, id="an event of many lines, byte by byte"),
        pytest.param(b"data: x\n", b"\n", 4096, id="an event of many lines"),
        pytest.param(b"a\n", b"\n", _BIG, id="tiny lines in one read"),
        pytest.param(b"\r", b"", 64, id="CR"),
        pytest.param(b"\r\n", b"", 1, id="CRLF, byte by byte"),
        pytest.param(b"\n", b"", _BIG, id="LF in one read"),
        pytest.param(b":\n", b"", 64, id="comments without a blank line"),
        pytest.param(b": c\n\n", b"", 4096, id="comments"),
        pytest.param(b"data: x\n\n", b"", _BIG, id="events in one read"),
        pytest.param(b"id: 1\n", b"\n", 4096, id="IDs"),
        pytest.param(b"retry: 9\n", b"\n", 4096, id="retries"),
        pytest.param(b"\xef\xbb\xbf", b"", 1, id="BOMs"),
    ],
)
def test_work_is_linear(unit: bytes, tail: bytes, read_bytes: int) -> None:
    stream = unit * (40_000 // len(unit)) + tail
    parser = _CountingParser()
    for at in range(0, len(stream), read_bytes):
        parser.receive_data(stream[at : at + read_bytes])
    parser.receive_eof()
    # Each byte is scanned twice (once in a block, once in a line), copied once and joined once.
    assert parser.work <= 5 * len(stream)


@pytest.mark.parametrize(
    ("data", "pending"),
    [
        (b"data: a\n\n", b""),
        (b"data: a\n\ndata: b", b"data: b"),
        (b"data: a\r\ndata:b\r\n", b"data: a\ndata: b\n"),
        (b"id: 7\nevent: x\ndata: a\nda", b"event: x\ndata: a\nda"),
        (b": comment", b": comment"),
    ],
)
def test_the_unfinished_event_is_available(data: bytes, pending: bytes) -> None:
    parser = Parser()
    parser.receive_data(data)
    assert parser.pending == pending
