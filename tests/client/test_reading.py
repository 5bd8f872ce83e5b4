"""`events` and `aevents` with hard-to-parse streams, split at various positions."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import pytest

from undam.client import Comment, Event, aevents, events
from undam.client.reading import MAX_EVENT_BYTES
from undam.errors import RemoteProtocolError, UsageError

_JSON = '{"a": "x\u2028y\u2029z\x85w\x0b\x0c\x1c"}'
_LARGE = "é" * (5 * 1024 * 1024 // 2)

STREAMS: dict[str, tuple[bytes, list[Event]]] = {
    "U+2028 and U+0085 in JSON": (f"data: {_JSON}\n\n".encode(), [Event(_JSON)]),
    "CR LF": (b"data: a\r\ndata: b\r\n\r\ndata: c\r\n\r\n", [Event("a\nb"), Event("c")]),
    "a lone CR": (b"data: a\rdata: b\r\rdata: c\r\r", [Event("a\nb"), Event("c")]),
    "all line ends mixed": (b"data: a\r\n\ndata: b\n\r\ndata: c\r\r", [*map(Event, "abc")]),
    "a byte order mark": (b"\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Event("a"), Event("b")]),
    "a second byte order mark": (
        b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Event("b")],
    ),
    "a byte order mark in the data": ("data: \ufeffa\n\n".encode(), [Event("\ufeffa")]),
    "UTF-8 of two, three and four bytes": (
        "data: é€😀\n\n".encode(), [Event("é€😀")],
    ),
    "bytes that are not UTF-8": (b"data: a\xffb\xc3\n\n", [Event("a\ufffdb\ufffd")]),
    "heartbeats between events": (
        b": ping\n\ndata: a\n\n:\n\n: x\ndata: b\n\n", [Event("a"), Event("b")],
    ),
    "a lone retry, a lone id, a ping without data": (
        b"retry: 10\n\nid: 7\n\nevent: ping\n\ndata: a\n\n", [Event("a", id="7")],
    ),
    "an empty data line": (b"data:\n\ndata: \n\n", [Event(""), Event("")]),
    "names and ids": (
        b"event: e\nid: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n",
        [Event("a", "e", "1"), Event("b", "message", "1"), Event("c")],
    ),
    "an end inside an event": (b"data: a\n\ndata: b\n", [Event("a")]),
    "no event at all": (b"", []),
}  # fmt: skip

Cut = Callable[[bytes], Iterable[bytes]]


def _randomly(data: bytes) -> Iterator[bytes]:
    source, at = random.Random(7), 0
    while at < len(data):
        step = source.randint(0, 5)
        yield data[at : at + step]
        at += step


CUTS: dict[str, Cut] = {
    "whole": lambda data: [data],
    "byte by byte": lambda data: (data[i : i + 1] for i in range(len(data))),
    "at random, with empty reads": _randomly,
}


def _read(source: Iterable[bytes], max_event_bytes: int = MAX_EVENT_BYTES) -> list[Event]:
    return list(events(source, max_event_bytes=max_event_bytes))


def _aread(source: Iterable[bytes], max_event_bytes: int = MAX_EVENT_BYTES) -> list[Event]:
    async def reads() -> AsyncIterator[bytes]:
        for data in source:
            await asyncio.sleep(0)
            yield data

    async def run() -> list[Event]:
        return [one async for one in aevents(reads(), max_event_bytes=max_event_bytes)]

    return asyncio.run(run())


Read = Callable[..., list[Event]]
both = pytest.mark.parametrize("read", [_read, _aread], ids=["events", "aevents"])


@both
@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("name", STREAMS)
def test_events_are_read_exactly(name: str, cut: str, read: Read) -> None:
    data, expected = STREAMS[name]
    assert read(CUTS[cut](data)) == expected


@both
@pytest.mark.parametrize("step", [1 << 10, 65536, 1 << 30])
def test_an_event_of_five_megabytes_is_read_exactly(step: int, read: Read) -> None:
    # The data is split at unusual positions, including within characters.
    data = f"data: {_LARGE}\n\ndata: b\n\n".encode()
    assert len(data) > 5 << 20
    found = read(data[at : at + step - 1] for at in range(0, len(data), step - 1))
    assert found == [Event(_LARGE), Event("b")]


@both
def test_a_too_large_event_is_an_error_after_the_earlier_events(read: Read) -> None:
    with pytest.raises(RemoteProtocolError, match="larger than 100 bytes"):
        read([b"data: a\n\ndata: " + b"b" * 200], max_event_bytes=100)
    found: list[Event] = []
    with pytest.raises(RemoteProtocolError):
        found.extend(events([b"data: a\n\ndata: " + b"b" * 200], max_event_bytes=100))
    assert found == [Event("a")]


@both
def test_text_instead_of_bytes_is_rejected(read: Read) -> None:
    with pytest.raises(UsageError, match="from bytes, but the source yielded str"):
        read(["data: a\n\n"])


@both
def test_other_bytes_types_are_accepted(read: Read) -> None:
    assert read([bytearray(b"data: a\n"), memoryview(b"\ndata: b\n\n")]) == [*map(Event, "ab")]


def test_each_event_is_returned_before_the_next_read() -> None:
    asked: list[int] = []

    def reads() -> Iterator[bytes]:
        for number, data in enumerate([b"data: a\n", b"\n", b"data: b\r\r", b"data: c\n\n"]):
            asked.append(number)
            yield data

    flow = events(reads())
    assert (next(flow), asked[-1]) == (Event("a"), 1)
    assert (next(flow), asked[-1]) == (Event("b"), 2)


def test_comments_are_returned_on_request() -> None:
    data = b": one\ndata: a\n\n: two\n\n"
    assert list(events([data], comments=True)) == [Comment("one"), Event("a"), Comment("two")]


def test_last_event_id_retry_and_discarded_bytes() -> None:
    flow = events([b"id: 7\nretry: 250\ndata: a\n\ndata: b"])
    assert (flow.last_event_id, flow.retry_ms) == ("", None)
    assert list(flow) == [Event("a", id="7")]
    assert (flow.last_event_id, flow.retry_ms, flow.discarded_bytes) == ("7", 250, 7)


def test_an_exception_of_the_source_follows_its_events() -> None:
    def reads() -> Iterator[bytes]:
        yield b"data: a\n\ndata: b"
        raise ConnectionResetError("gone")

    flow = events(reads())
    assert next(flow) == Event("a")
    with pytest.raises(ConnectionResetError, match="gone"):
        next(flow)


def test_closing_closes_the_source() -> None:
    closed: list[bool] = []

    def reads() -> Iterator[bytes]:
        try:
            yield b"data: a\n\ndata: b\n\n"
        finally:
            closed.append(True)

    with events(reads()) as flow:
        assert next(flow) == Event("a")
    assert closed == [True]
    assert list(flow) == []


def test_closing_closes_an_asynchronous_source() -> None:
    closed: list[bool] = []

    async def reads() -> AsyncIterator[bytes]:
        try:
            yield b"data: a\n\ndata: b\n\n"
        finally:
            closed.append(True)

    async def run() -> None:
        async with aevents(reads()) as flow:
            assert await anext(flow) == Event("a")
        assert [event async for event in flow] == []

    asyncio.run(run())
    assert closed == [True]
