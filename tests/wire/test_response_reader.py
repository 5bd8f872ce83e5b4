"""The response reader: head, arrivals and end of a response."""

from __future__ import annotations

import gzip
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.chunked import chunk
from undam.errors import RemoteProtocolError
from undam.record import Ending
from undam.timing import Arrival
from undam.wire.response import ResponseParser
from undam.wire.response_reader import ResponseReader
from undam.wire.timestamps import TimestampedRead

OK = b"HTTP/1.1 200 OK\r\n"
GZIP_HEAD = OK + b"Content-Encoding: gzip\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
GZIP = OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"


def feed(
    *pieces: bytes, method: str = "GET", max_body_bytes: int = 1000, stamped: bool = True
) -> tuple[ResponseReader, list[Arrival | None]]:
    parser = ResponseParser(method=method, max_head_bytes=1000)
    reader = ResponseReader(parser, max_body_bytes=max_body_bytes)
    reads = [TimestampedRead(piece, 100 + i, 7, stamped) for i, piece in enumerate(pieces)]
    return reader, [reader.receive(read) for read in reads]


def test_each_read_with_body_bytes_is_an_arrival_with_its_timestamp() -> None:
    reader, arrivals = feed(
        OK,
        b"Transfer-Encoding: chunked\r\n\r\n" + chunk(b"a"),
        b"1\r\n",
        b"b\r",
        b"\n" + chunk(b"c") + chunk(b"d"),
        b"0\r\n\r\n",
    )
    assert arrivals == [None, Arrival(101, b"a", 7), None, Arrival(103, b"b", 7),
                        Arrival(104, b"cd", 7), None]  # fmt: skip
    assert (reader.head_ns, reader.ending, reader.ended_ns) == (
        101,
        Ending.COMPLETE,
        105,
    )
    assert (reader.error, reader.clock, reader.framing) == (
        None,
        "kernel",
        "chunked",
    )


def test_an_arrival_of_coded_data_has_its_coded_size() -> None:
    coded = gzip.compress(b"hello", mtime=0)
    _, arrivals = feed(GZIP, chunk(coded[:10]), chunk(coded[10:]), b"0\r\n\r\n")
    assert arrivals == [
        None,
        Arrival(101, b"", 7, 10),
        Arrival(102, b"hello", 7, len(coded) - 10),
        None,
    ]


def test_one_read_without_a_timestamp_makes_the_clock_user() -> None:
    assert feed(CHUNKED, chunk(b"a"), stamped=False)[0].clock == "user"


@pytest.mark.parametrize(
    ("data", "method", "framing"),
    [
        (OK + b"Content-Length: 0\r\n\r\n", "GET", "length"),
        (OK + b"Content-Length: 9\r\nContent-Encoding: gzip\r\n\r\n", "HEAD", "none"),
        (b"HTTP/1.1 204 No\r\nContent-Encoding: foo\r\n\r\n", "GET", "none"),
    ],
)
def test_a_response_without_a_body_is_complete_with_its_head(
    data: bytes, method: str, framing: str
) -> None:
    reader, arrivals = feed(data, method=method)
    assert (arrivals, reader.ending, reader.framing) == (
        [None],
        Ending.COMPLETE,
        framing,
    )


@pytest.mark.parametrize(
    ("start", "clean", "ending", "why"),
    [
        (OK + b"\r\nab", True, Ending.CLOSED, None),
        (OK + b"\r\nab", False, Ending.TRUNCATED, "close_notify"),
        (OK + b"Content-Length: 3\r\n\r\nab", True, Ending.TRUNCATED, "before the end"),
        (CHUNKED + chunk(b"ab"), True, Ending.TRUNCATED, "before the end"),
        (GZIP_HEAD + gzip.compress(b"ab", mtime=0), True, Ending.CLOSED, None),
        (
            GZIP_HEAD + gzip.compress(b"ab", mtime=0)[:-1],
            True, Ending.BROKEN, "within its gzip data",
        ),
        (GZIP_HEAD, True, Ending.CLOSED, None),
    ],
)  # fmt: skip
def test_the_ending_after_a_close_depends_on_the_framing(
    start: bytes, clean: bool, ending: Ending, why: str | None
) -> None:
    reader, _ = feed(start)
    reader.receive_eof(200, clean=clean)
    assert (reader.ending, reader.ended_ns) == (ending, 200)
    assert (reader.error is None) == (why is None)
    assert (why or "") in (reader.error or "")


def test_a_close_after_the_end_changes_nothing() -> None:
    reader, _ = feed(CHUNKED + b"0\r\n\r\n")
    reader.receive_eof(200, clean=True)
    assert (reader.ending, reader.ended_ns) == (Ending.COMPLETE, 100)


@pytest.mark.parametrize(
    ("pieces", "last", "why"),
    [
        ((CHUNKED, chunk(b"ab") + b"zz\r\n"), Arrival(101, b"ab", 7), "chunk size"),
        ((CHUNKED + chunk(b"ab") + b"zz\r\n",), Arrival(100, b"ab", 7), "chunk size"),
        (
            (GZIP, chunk(b"<html>junk")),
            Arrival(101, b"", 7, 10),
            "the body is not valid gzip",
        ),
        (
            (GZIP + chunk(gzip.compress(b"ab", mtime=0)[:-2]), b"0\r\n\r\n"),
            None,
            "within its gzip",
        ),
        ((OK + b"Content-Encoding: foo\r\n\r\nab",), None, "unknown content coding 'foo'"),
    ],
)
def test_a_fault_in_the_body_is_an_ending(
    pieces: tuple[bytes, ...], last: Arrival | None, why: str
) -> None:
    reader, arrivals = feed(*pieces)
    assert arrivals[-1] == last
    assert reader.ending is Ending.BROKEN
    assert why in (reader.error or "")
    assert reader.receive(TimestampedRead(b"more", 900, 0, True)) is None


@pytest.mark.parametrize(
    ("start", "body", "expected"),
    [
        (OK + b"\r\n", b"x" * 1000, (1000, None)),
        (OK + b"\r\n", b"x" * 1001, (1000, Ending.LIMIT)),
        (GZIP_HEAD, gzip.compress(b"x" * 1000, mtime=0), (1000, None)),
        (
            GZIP_HEAD,
            gzip.compress(b"x" * 1001, mtime=0),
            (1000, Ending.LIMIT),
        ),
        # The encoded data exceeds the limit but decodes to nothing.
        (
            GZIP_HEAD,
            gzip.compress(b"", mtime=0) * 60,
            (0, Ending.LIMIT),
        ),
    ],
)
def test_the_decoded_and_the_coded_body_are_bounded(
    start: bytes, body: bytes, expected: tuple[int, Ending | None]
) -> None:
    reader, arrivals = feed(start, body)
    assert arrivals[1] is not None
    assert (len(arrivals[1].data), reader.ending) == expected


@pytest.mark.parametrize("data", [b"SSH-2.0-x\r\n", b"HTTP/1.1 101 S\r\n\r\n", b"x" * 2000])
def test_a_fault_before_the_head_is_raised(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError):
        feed(data)


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=8), st.lists(st.integers(0, 2000)))
def test_the_result_does_not_depend_on_the_cuts(parts: list[bytes], cuts: list[int]) -> None:
    coded = gzip.compress(b"".join(parts))
    data = (
        GZIP + b"".join(chunk(coded[i : i + 40]) for i in range(0, len(coded), 40)) + b"0\r\n\r\n"
    )
    edges = sorted({0, len(data), *(cut % len(data) for cut in cuts)})
    reader, arrivals = feed(*(data[a:b] for a, b in itertools.pairwise(edges)))
    assert b"".join(a.data for a in arrivals if a) == b"".join(parts)
    assert sum(a.wire_bytes or 0 for a in arrivals if a) == len(coded)
    assert reader.ending is Ending.COMPLETE
