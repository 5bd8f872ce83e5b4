"""Lines of JSON to events."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.sse import Event, LineParser

_STREAMS = st.lists(st.sampled_from([b'{"a": 1}', b"\n", b"\r\n", b"\r", b" ", b"\xff", b"x"])).map(
    b"".join
)


def test_lines() -> None:
    parser = LineParser()
    assert parser.receive_data(b'{"a":1}\n{"b":2}\r\n\n  \n {"c":3} \n{"d"') == [
        Event('{"a":1}'),
        Event('{"b":2}'),
        Event('{"c":3}'),
    ]
    assert parser.pending_bytes == 4
    assert parser.receive_data(b":4}") == []
    assert parser.receive_data(b"\n") == [Event('{"d":4}')]
    assert parser.pending_bytes == 0


def test_a_last_line_without_its_end_counts() -> None:
    parser = LineParser()
    parser.receive_data(b'{"a":1}\n{"done":true}')
    assert parser.receive_eof() == [Event('{"done":true}')]
    assert parser.receive_eof() == []
    assert LineParser().receive_eof() == []


def test_a_last_line_of_white_space_does_not() -> None:
    parser = LineParser()
    parser.receive_data(b"a\n  \r")
    assert parser.receive_eof() == []


def test_only_lf_ends_a_line() -> None:
    text = '"a\u2028b\x85c\rd"'
    assert LineParser().receive_data(text.encode() + b"\n") == [Event(text)]


def test_invalid_utf8_survives() -> None:
    assert LineParser().receive_data(b"a\xffb\n\xed\xa0\x80\n") == [
        Event("a\ufffdb"),
        Event("\ufffd" * 3),
    ]


@given(_STREAMS, st.integers(1, 5))
def test_cuts_change_nothing(stream: bytes, step: int) -> None:
    whole, parts = LineParser(), LineParser()
    out: list[Event] = []
    for at in range(0, len(stream), step):
        out += parts.receive_data(stream[at : at + step])
    assert out == whole.receive_data(stream)
    assert parts.pending_bytes == whole.pending_bytes
    assert parts.receive_eof() == whole.receive_eof()


class TestBound:
    def test_says_limit_and_line(self) -> None:
        parser = LineParser(max_line_bytes=10)
        assert len(parser.receive_data(b"0123456789\n" * 3 + b"0123")) == 3
        with pytest.raises(RemoteProtocolError, match=r"^line 4 is larger than 10 bytes$"):
            parser.receive_data(b"456789a")

    def test_a_whole_line_that_is_too_long(self) -> None:
        with pytest.raises(RemoteProtocolError, match="line 1 is larger"):
            LineParser(max_line_bytes=10).receive_data(b"0123456789a\n")

    def test_what_came_before_is_given_first(self) -> None:
        parser = LineParser(max_line_bytes=10)
        assert parser.receive_data(b"a\n0123456789a\nb\n") == [Event("a")]
        with pytest.raises(RemoteProtocolError, match="line 2 is larger"):
            parser.receive_data(b"b\n")
        with pytest.raises(RemoteProtocolError, match="line 2 is larger"):
            parser.receive_eof()

    def test_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="positive"):
            LineParser(max_line_bytes=0)


@pytest.mark.slow
@pytest.mark.parametrize(("unit", "step"), [(b"x", 1), (b"\n", 64), (b"a\n", 4096)])
def test_linear(unit: bytes, step: int) -> None:
    def seconds(count: int) -> float:
        stream, best = unit * count, float("inf")
        for _ in range(3):
            parser = LineParser()
            start = time.perf_counter()
            for at in range(0, len(stream), step):
                parser.receive_data(stream[at : at + step])
            best = min(best, time.perf_counter() - start)
        return best

    # 8 where work is linear, 64 where it is quadratic.
    assert seconds(160_000) / seconds(20_000) < 24
