"""The JSON lines parser: lines, size limits, and linear run time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.sse import Event, LineParser

_STREAMS = st.lists(st.sampled_from([b'{"a": 1}', b"\n", b"\r\n", b"\r", b" ", b"\xff", b"x"])).map(
    b"".join
)


def test_each_non_blank_line_is_an_event() -> None:
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


def test_last_line_without_lf_is_returned_at_eof() -> None:
    parser = LineParser()
    parser.receive_data(b'{"a":1}\n{"done":true}')
    assert parser.receive_eof() == [Event('{"done":true}')]
    assert parser.receive_eof() == []
    assert LineParser().receive_eof() == []


def test_last_line_of_white_space_is_ignored() -> None:
    parser = LineParser()
    parser.receive_data(b"a\n  \r")
    assert parser.receive_eof() == []


def test_only_lf_ends_a_line() -> None:
    text = '"a\u2028b\x85c\rd"'
    assert LineParser().receive_data(text.encode() + b"\n") == [Event(text)]


def test_invalid_utf8_is_replaced() -> None:
    assert LineParser().receive_data(b"a\xffb\n\xed\xa0\x80\n") == [
        Event("a\ufffdb"),
        Event("\ufffd" * 3),
    ]


@pytest.mark.seconds
@given(_STREAMS, st.integers(1, 5))
def test_result_does_not_depend_on_read_boundaries(stream: bytes, step: int) -> None:
    whole, parts = LineParser(), LineParser()
    out: list[Event] = []
    for at in range(0, len(stream), step):
        out += parts.receive_data(stream[at : at + step])
    assert out == whole.receive_data(stream)
    assert parts.pending_bytes == whole.pending_bytes
    assert parts.receive_eof() == whole.receive_eof()


class TestBound:
    def test_error_names_line_and_limit(self) -> None:
        parser = LineParser(max_line_bytes=10)
        assert len(parser.receive_data(b"0123456789\n" * 3 + b"0123")) == 3
        with pytest.raises(RemoteProtocolError, match=r"^line 4 is larger than 10 bytes$"):
            parser.receive_data(b"456789a")

    def test_complete_line_over_the_limit(self) -> None:
        with pytest.raises(RemoteProtocolError, match="line 1 is larger"):
            LineParser(max_line_bytes=10).receive_data(b"0123456789a\n")

    def test_lines_before_the_error_are_returned_first(self) -> None:
        parser = LineParser(max_line_bytes=10)
        assert parser.receive_data(b"a\n0123456789a\nb\n") == [Event("a")]
        with pytest.raises(RemoteProtocolError, match="line 2 is larger"):
            parser.receive_data(b"b\n")
        with pytest.raises(RemoteProtocolError, match="line 2 is larger"):
            parser.receive_eof()

    def test_limit_must_be_positive(self) -> None:
        with pytest.raises(ValueError, match="positive"):
            LineParser(max_line_bytes=0)


class _CountingBuffer(bytearray):
    """Buffer that counts the bytes that are copied out of it."""

    copied = 0

    def __bytes__(self) -> bytes:
        self.copied += len(self)
        return bytes(memoryview(self))


class _CountingParser(LineParser):
    """Parser that counts the bytes that it scans and copies."""

    def __init__(self) -> None:
        super().__init__()
        self._held = self.buffer = _CountingBuffer()
        self.scanned = 0

    def _receive(self, data: bytes, *rest: Any) -> None:
        self.scanned += len(data)
        super()._receive(data, *rest)

    @property
    def work(self) -> int:
        return self.scanned + self.buffer.copied


@pytest.mark.parametrize(("unit", "step"), [(b"x", 1), (b"\n", 64), (b"a\n", 4096)])
def test_work_is_linear(unit: bytes, step: int) -> None:
    parser = _CountingParser()
    stream = unit * 20_000
    for at in range(0, len(stream), step):
        parser.receive_data(stream[at : at + step])
    parser.receive_eof()
    assert parser.work <= 2 * len(stream) + 1
