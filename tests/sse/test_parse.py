"""The parser: when it gives what, its bounds, and that no input makes it slow."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.sse import Comment, Event, Parser

# Pieces that meet every branch of the grammar far more often than random bytes would.
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


def _by_the_book(stream: bytes) -> list[Event | Comment]:
    """The algorithm of WHATWG HTML 9.2.6 on a whole stream, written as the standard tells it."""
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
def test_whole_streams_by_the_book(stream: bytes) -> None:
    assert Parser().receive_data(stream) == _by_the_book(stream)


@given(_STREAMS)
@example(b"\xef\xbb\xbfdata: a\r\rdata: b\r\n\r\n: c\r")
def test_each_byte_gives_what_it_completes(stream: bytes) -> None:
    parser = Parser()
    given_so_far: list[Event | Comment] = []
    for end in range(1, len(stream) + 1):
        given_so_far += parser.receive_data(stream[end - 1 : end])
        prefix = stream[:end]
        # A stream that stands after one or two bytes of a BOM has said nothing yet.
        assert given_so_far == _by_the_book(prefix)


@given(_STREAMS, st.data())
def test_cuts_change_nothing(stream: bytes, draw: st.DataObject) -> None:
    at = draw.draw(st.integers(0, len(stream)))
    whole, parts = Parser(), Parser()
    out = whole.receive_data(stream)
    assert parts.receive_data(stream[:at]) + parts.receive_data(stream[at:]) == out
    assert parts.last_event_id == whole.last_event_id
    assert parts.retry_ms == whole.retry_ms
    assert parts.pending_bytes == whole.pending_bytes


@given(_STREAMS, st.integers(1, 12), st.integers(1, 5))
def test_cuts_do_not_move_the_bound(stream: bytes, limit: int, step: int) -> None:
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
def test_nothing_waits_for_the_next_read(end: bytes) -> None:
    parser = Parser()
    assert parser.receive_data(b"data: hi" + end + end) == [Event("hi")]
    assert parser.receive_data(b": beat" + end) == [Comment("beat")]
    assert parser.pending_bytes == 0
    assert parser.receive_data(b"data: ho" + end) == []
    assert parser.receive_data(end[:1]) == [Event("ho")]
    assert parser.receive_data(end[1:]) == []
    assert parser.receive_data(b"data: hum" + end + end) == [Event("hum")]


def test_pending_bytes_tell_whether_a_read_ended_inside_an_event() -> None:
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


def test_eof_discards_the_unfinished_event_and_says_so() -> None:
    parser = Parser()
    parser.receive_data(b"id: 1\nevent: x\ndata: a\nda")
    assert parser.receive_eof() == 5 + 8 + 7 + 2
    assert parser.receive_eof() == parser.pending_bytes == 0
    assert parser.last_event_id == ""


def test_last_event_id_changes_only_with_the_blank_line() -> None:
    parser = Parser()
    parser.receive_data(b"id: 1\n")
    assert parser.last_event_id == ""
    parser.receive_data(b"\n")
    assert parser.last_event_id == "1"


class TestBound:
    def test_says_limit_and_event(self) -> None:
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
    def test_exactly_the_limit_is_no_error(self, stream: bytes) -> None:
        given_ = Parser(max_event_bytes=20).receive_data(stream)
        assert any(isinstance(part, Event) for part in given_)
        with pytest.raises(RemoteProtocolError, match="larger than 18 bytes"):
            Parser(max_event_bytes=18).receive_data(stream)

    def test_many_small_events_in_one_large_read(self) -> None:
        events = Parser(max_event_bytes=20).receive_data(b"data: abc\n\n" * 1000)
        assert events == [Event("abc")] * 1000

    def test_what_came_before_is_given_first(self) -> None:
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

    def test_a_failed_parser_stays_failed(self) -> None:
        parser = Parser(max_event_bytes=20)
        with pytest.raises(RemoteProtocolError):
            parser.receive_data(b"data: " + b"x" * 99 + b"\n\n")
        with pytest.raises(RemoteProtocolError):
            parser.receive_data(b"data: b\n\n")

    def test_fields_that_are_ignored_count(self) -> None:
        with pytest.raises(RemoteProtocolError):
            Parser(max_event_bytes=20).receive_data(b"a\n" * 21)

    def test_comments_that_were_given_do_not_count(self) -> None:
        parser = Parser(max_event_bytes=20)
        parser.receive_data(b"data: x\n")
        assert len(parser.receive_data(b": 345678\n" * 1000)) == 1000
        assert parser.receive_data(b"\n") == [Event("x")]

    def test_an_unfinished_comment_counts(self) -> None:
        with pytest.raises(RemoteProtocolError):
            Parser(max_event_bytes=20).receive_data(b":" + b"x" * 20)

    def test_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="positive"):
            Parser(max_event_bytes=0)


def _seconds(run: Callable[[], object]) -> float:
    """The best of three: the least disturbed one."""
    times = []
    for _ in range(3):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


_BIG = 1 << 30


def _feed(stream: bytes, read_bytes: int) -> None:
    parser = Parser(max_event_bytes=_BIG)
    for at in range(0, len(stream), read_bytes):
        parser.receive_data(stream[at : at + read_bytes])
    parser.receive_eof()


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
@pytest.mark.slow
def test_linear(unit: bytes, tail: bytes, read_bytes: int) -> None:
    # Eight times the input takes 8 times as long where work is linear and 64 times where it is
    # quadratic; 24 lies between with room on both sides for a machine that is busy.
    small = unit * (40_000 // len(unit)) + tail
    large = unit * (320_000 // len(unit)) + tail
    ratio = _seconds(lambda: _feed(large, read_bytes)) / _seconds(lambda: _feed(small, read_bytes))
    assert ratio < 24
