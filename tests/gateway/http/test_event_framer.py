"""Event framer: whole events with unchanged bytes, however the bytes are split into reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.gateway.http.event_framer import EventFramer, last_boundary
from undam.sse import Parser


@pytest.mark.parametrize(
    ("data", "whole"),
    [
        (b"", 0),
        (b"data: a", 0),
        (b"data: a\n", 0),
        (b"data: a\n\n", 9),
        (b"data: a\n\ndata: b", 9),
        (b"data: a\r\n\r\n", 11),
        (b"data: a\r\n\r\nda", 11),
        (b"data: a\r\n\n", 10),
        (b"data: a\n\r\n", 10),
        (b"data: a\r\r", 9),
        (b"data: a\r\rdata: b\r", 9),
        (b"data: a\n\r", 9),
        # This line end may be the first byte of a CRLF.
        (b"data: a\r\n\r", 10),
        (b": comment\n", 10),
        (b": comment", 0),
        (b": one\n: two\n: thr", 12),
        (b"data: a\n\n: comment\r\n", 20),
        # A comment within an event does not end the event.
        (b"data: a\n: comment\n", 0),
        (b"\n: left over from a CRLF\n", 25),
        (b"id: 7\n", 0),
    ],
)
def test_the_last_boundary_is_found(data: bytes, whole: int) -> None:
    assert last_boundary(data) == whole


_LINES = st.sampled_from(
    [b"data: x", b"data: {}", b": c", b"", b"", b"id: 1", b"event: e", b"data", b"retry: 3"]
)
_ENDS = st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"])


@given(
    st.lists(st.tuples(_LINES, _ENDS), max_size=30),
    st.lists(st.integers(1, 12), max_size=60),
    st.integers(1, 40),
)
def test_a_comment_between_any_two_pieces_does_not_change_the_events(
    lines: list[tuple[bytes, bytes]], cuts: list[int], most: int
) -> None:
    data = b"".join(line + end for line, end in lines)
    framer, out, at = EventFramer(most), [], 0
    commented = b""
    for size in [*cuts, len(data)]:
        piece = framer.take(data[at : at + size])
        at += size
        out.append(piece)
        commented += piece
        if not framer.inside_event:
            commented += b": here\n"
        assert len(framer.held) <= most
    assert b"".join(out) + framer.flush() == data
    commented += data[len(b"".join(out)) :]

    def events(text: bytes) -> list[object]:
        items = Parser().receive_data(text)
        return [one for one in items if getattr(one, "text", None) != "here"]

    assert events(commented) == events(data)


def test_an_event_too_large_to_hold_is_returned_in_pieces() -> None:
    framer = EventFramer(10)
    assert framer.take(b"data: " + b"x" * 20) == b"data: " + b"x" * 20
    assert (framer.inside_event, framer.at_boundary) == (True, False)
    assert framer.take(b"xx\n") == b"xx\n"
    assert framer.take(b"\nda") == b"\n"
    assert (framer.inside_event, framer.held) == (False, b"da")
    assert framer.flush() == b"da"
    assert framer.at_boundary
