"""Event-stream conformance tests, parsed whole, byte by byte and at random split points.

The first vectors are the examples of WHATWG HTML 9.2.6.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import NamedTuple

import pytest

from undam.sse import Comment, Event, Parser

CUTS = 10_000
"""Total number of random cuts, distributed over all vectors."""


class Vector(NamedTuple):
    """Input bytes of a conformance test, and the results expected at the end of input."""

    name: str
    stream: bytes
    parsed: tuple[Event | Comment, ...] = ()
    last_event_id: str = ""
    retry_ms: int | None = None
    discarded: int = 0


VECTORS = (
    Vector(
        "spec: three lines of data are one event",
        b"data: YHOO\ndata: +2\ndata: 10\n\n",
        (Event("YHOO\n+2\n10"),),
    ),
    Vector(
        "spec: four blocks: a comment, an ID, the ID reset, a leading space",
        b": test stream\n\ndata: first event\nid: 1\n\n"
        b"data:second event\nid\n\ndata:  third event\n\n",
        (
            Comment("test stream"),
            Event("first event", id="1"),
            Event("second event"),
            Event(" third event"),
        ),
    ),
    Vector(
        "spec: two empty events and an unfinished block",
        b"data\n\ndata\ndata\n\ndata:",
        (Event(""), Event("\n")),
        discarded=5,
    ),
    Vector(
        "spec: one space after the colon is dropped",
        b"data:test\n\ndata: test\n\n",
        (Event("test"), Event("test")),
    ),
    Vector(
        "spec 9.2.1: event types",
        b"event: add\ndata: 73857293\n\nevent: remove\ndata: 2153\n\n",
        (Event("73857293", "add"), Event("2153", "remove")),
    ),
    Vector("nothing", b""),
    Vector("blank lines only", b"\n\r\n\r\n\n\r"),
    Vector("LF", b"data: a\ndata: b\n\ndata: c\n\n", (Event("a\nb"), Event("c"))),
    Vector("CRLF", b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", (Event("a\nb"), Event("c"))),
    Vector("CR", b"data: a\rdata: b\r\rdata: c\r\r", (Event("a\nb"), Event("c"))),
    Vector(
        "all line ends mixed",
        b"data: a\r\n\rdata: b\n\r\ndata: c\r\ndata: d\n\r",
        (Event("a"), Event("b"), Event("c\nd")),
    ),
    Vector("a blank line of CRLF after LF", b"data: a\n\r\ndata: b\n\n", (Event("a"), Event("b"))),
    Vector("CR CRLF is two ends", b"data: a\r\r\ndata: b\r\r\n", (Event("a"), Event("b"))),
    Vector("BOM", b"\xef\xbb\xbfdata: a\n\n", (Event("a"),)),
    Vector("BOM before a blank line", b"\xef\xbb\xbf\ndata: a\n\n", (Event("a"),)),
    Vector(
        "only the first of two BOMs",
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n",
        (Event("b"),),
    ),
    Vector("BOM only at the start", b"data: a\n\n\xef\xbb\xbfdata: b\n\n", (Event("a"),)),
    Vector("BOM inside data stays", b"data: \xef\xbb\xbfa\n\n", (Event("\ufeffa"),)),
    Vector("incomplete BOM", b"\xef\xbbdata: a\n\ndata: b\n\n", (Event("b"),)),
    Vector("BOM alone", b"\xef\xbb\xbf"),
    Vector("half a BOM", b"\xef\xbb", discarded=2),
    Vector("comment", b": hello\n\n", (Comment("hello"),)),
    Vector("empty comments", b":\n: \n", (Comment(""), Comment(""))),
    Vector("comment without a blank line", b":a\ndata: b\n\n", (Comment("a"), Event("b"))),
    Vector(
        "comment inside an event",
        b"data: a\n:c\ndata: b\n\n",
        (Comment("c"), Event("a\nb")),
    ),
    Vector("comment after a CR", b":a\r:b\r\n:c\n", (Comment("a"), Comment("b"), Comment("c"))),
    Vector("comment of colons", b"::: a\n", (Comment(":: a"),)),
    Vector("unfinished comment", b": abc", discarded=5),
    Vector("data without a colon", b"data\n\n", (Event(""),)),
    Vector("data with a colon only", b"data:\n\n", (Event(""),)),
    Vector("data with a space only", b"data: \n\n", (Event(""),)),
    Vector("data with two spaces", b"data:  \n\n", (Event(" "),)),
    Vector("a tab is not removed", b"data:\ta\n\n", (Event("\ta"),)),
    Vector("a space before the colon makes another field", b"data : a\n\n"),
    Vector("a space before the name makes another field", b" data: a\n\n"),
    Vector("field names are case-sensitive", b"Data: a\nDATA: b\n\n"),
    Vector("colons in data", b"data: a: b:c\n\n", (Event("a: b:c"),)),
    Vector("empty last line of data", b"data: a\ndata\n\n", (Event("a\n"),)),
    Vector("unknown fields", b"foo: a\nbar\ndata: b\nbaz:c\n\n", (Event("b"),)),
    Vector("block without data", b"event: x\n\ndata: a\n\n", (Event("a"),)),
    Vector("type after data", b"data: a\nevent: x\n\n", (Event("a", "x"),)),
    Vector("the last type counts", b"event: x\nevent: y\ndata: a\n\n", (Event("a", "y"),)),
    Vector("empty type", b"event: x\nevent:\ndata: a\n\n", (Event("a"),)),
    Vector("empty type before data", b"event: \ndata: a\n\n", (Event("a"),)),
    Vector("type without a colon", b"event\ndata: a\n\n", (Event("a"),)),
    Vector("type with 'data: ' inside", b"event: data: x\ndata: a\n\n", (Event("a", "data: x"),)),
    Vector("type is not kept", b"event: x\ndata: a\n\ndata: b\n\n", (Event("a", "x"), Event("b"))),
    Vector("message by name", b"event: message\ndata: a\n\n", (Event("a"),)),
    Vector(
        "ID is kept",
        b"id: 7\ndata: a\n\ndata: b\n\nevent: c\ndata: c\n\n",
        (Event("a", id="7"), Event("b", id="7"), Event("c", "c", "7")),
        "7",
    ),
    Vector("ID without data", b"id: 7\n\ndata: a\n\n", (Event("a", id="7"),), "7"),
    Vector("ID without an event", b"id: 7\n\n", (), "7"),
    Vector("ID of an unfinished event", b"id: 7\n\nid: 8\ndata: x\n", (), "7", discarded=12),
    Vector("ID with NUL is ignored", b"id: 7\nid: 8\0\ndata: a\n\n", (Event("a", id="7"),), "7"),
    Vector("ID reset", b"id: 7\n\nid\ndata: a\n\n", (Event("a"),)),
    Vector("ID keeps a second space", b"id:  7 \ndata: a\n\n", (Event("a", id=" 7 "),), " 7 "),
    Vector("ID outside ASCII", "id: ü\ndata: a\n\n".encode(), (Event("a", id="ü"),), "ü"),
    Vector("retry", b"retry: 1500\n\n", retry_ms=1500),
    Vector("retry before the blank line", b"retry: 1500\n", retry_ms=1500, discarded=11),
    Vector("retry of zeros", b"retry: 000\n", retry_ms=0, discarded=10),
    Vector("retry with leading zeros", b"retry: 0000000000000000000009\n\n", retry_ms=9),
    Vector("retry that is empty", b"retry: 5\nretry\nretry:\n\n", retry_ms=5),
    Vector("retry with a sign", b"retry: 5\nretry: +6\nretry: -7\n\n", retry_ms=5),
    Vector("retry with a point", b"retry: 5\nretry: 1.5\nretry: 1e3\n\n", retry_ms=5),
    Vector("retry with white space", b"retry: 5\nretry:  6\nretry: 7 \nretry: 1_0\n\n", retry_ms=5),
    Vector("retry in other digits", "retry: 5\nretry: ٣\nretry: ²\n\n".encode(), retry_ms=5),
    Vector("retry with too many digits", b"retry: 5\nretry: " + b"9" * 5000 + b"\n\n", retry_ms=5),
    Vector("UTF-8", "data: žluťoučký 馬 🐎\n\n".encode(), (Event("žluťoučký 馬 🐎"),)),
    Vector(
        "Unicode line separators",
        "data: a\u2028b\x85c\x0b\x0c\x1d\n\n".encode(),
        (Event("a\u2028b\x85c\x0b\x0c\x1d"),),
    ),
    Vector("invalid UTF-8", b"data: a\xff\xfeb\xc3\n\n", (Event("a\ufffd\ufffdb\ufffd"),)),
    Vector(
        "a character cut by a line end",
        b"data: \xf0\x9f\ndata: \x90\x8e\n\n",
        (Event("\ufffd\n\ufffd\ufffd"),),
    ),
    Vector("an encoded surrogate", b"data: \xed\xa0\x80\n\n", (Event("\ufffd" * 3),)),
    Vector(
        "invalid UTF-8 everywhere",
        b"\xffdata: a\nevent: \xff\nid: \xff\n:\xff\ndata: b\n\n",
        (Comment("\ufffd"), Event("b", "\ufffd", "\ufffd")),
        "\ufffd",
    ),
    Vector("NUL in data", b"data: a\0b\n\n", (Event("a\0b"),)),
    Vector("unfinished line", b"data: a\n\ndata: b", (Event("a"),), discarded=7),
    Vector("unfinished event", b"data: a\n\ndata: b\n", (Event("a"),), discarded=7),
    Vector("unfinished event of two lines", b"event: x\ndata: b\r", discarded=15),
    Vector(
        "too many blank lines", b"\n\n\ndata: a\n\n\n\n\ndata: b\n\n\n", (Event("a"), Event("b"))
    ),
    Vector(
        "a model's stream",
        b": keep-alive\n\n"
        b'data: {"choices":[{"delta":{"role":"assistant"}}]}\n\n'
        b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
        b"data: [DONE]\n\n",
        (
            Comment("keep-alive"),
            Event('{"choices":[{"delta":{"role":"assistant"}}]}'),
            Event('{"choices":[{"delta":{"content":"Hi"}}]}'),
            Event("[DONE]"),
        ),
    ),
    Vector(
        "named events of a model",
        b'event: ping\ndata: {"type": "ping"}\n\nevent: message_stop\ndata: {}\n\n',
        (Event('{"type": "ping"}', "ping"), Event("{}", "message_stop")),
    ),
)


def _check(vector: Vector, reads: Iterable[bytes]) -> None:
    parser = Parser()
    parsed: list[Event | Comment] = []
    for read in reads:
        parsed += parser.receive_data(read)
    discarded = parser.receive_eof()
    results = (tuple(parsed), parser.last_event_id, parser.retry_ms, discarded)
    assert results == vector[2:]


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_one_read(vector: Vector) -> None:
    _check(vector, [vector.stream])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_byte_by_byte(vector: Vector) -> None:
    _check(vector, [vector.stream[at : at + 1] for at in range(len(vector.stream))])


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector.name)
def test_two_reads(vector: Vector) -> None:
    short = vector.stream[:300]
    for at in range(len(short) + 1):
        _check(vector, [vector.stream[:at], b"", vector.stream[at:]])


@pytest.mark.seconds
def test_random_cuts() -> None:
    rng = random.Random(9_2_6)
    done = 0
    while done < CUTS:
        vector = VECTORS[done % len(VECTORS)]
        count = rng.randint(0, 8)
        at = sorted(rng.randint(0, len(vector.stream)) for _ in range(count))
        ends = [*at, len(vector.stream)]
        _check(vector, [vector.stream[a:b] for a, b in zip([0, *at], ends, strict=True)])
        done += 1


def test_vector_names_are_unique() -> None:
    assert len({vector.name for vector in VECTORS}) == len(VECTORS)
