"""HTTP/2 in captures: many streams on one connection, on either side of a proxy."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.capture_builder import (
    Connection,
    Http2Messages,
    Side,
    chat_events,
    chat_request,
    chunk,
    head,
)
from undam.http2.frames import RST_STREAM, WINDOW_UPDATE, encode_frame
from undam.record import Ending
from undam.rules import Verdict
from undam.tap.capture.capture_file import Packet
from undam.tap.capture.segments import Endpoint
from undam.tap.http.http2 import Http2Tracker
from undam.tap.http.http2_frames import FrameDivider
from undam.tap.reassembly import Piece
from undam.tap.session import TapSession

MS = 1_000_000
CLIENT, SERVER = Endpoint("10.0.0.2", 50000), Endpoint("10.0.0.3", 9000)
DONE = b"data: [DONE]\n\n"
EVENTS = 60


def due_times(number: int) -> list[float]:
    chance = random.Random(number)
    due = [200.0 + number]
    while len(due) < EVENTS:
        due.append(due[-1] + chance.uniform(5, 45))
    return due


def blocks(due: Sequence[float]) -> list[float]:
    return [due[min(EVENTS - 1, number // 12 * 12 + 11)] + 0.3 for number in range(EVENTS)]


def analyze(packets: list[Packet]) -> TapSession:
    session = TapSession()
    for packet in sorted(packets, key=lambda one: one.at_ns):
        session.receive_packet(packet)
    session.finish()
    return session


class OneSide:
    """One side of a proxy, either with HTTP/1.1 connections or with one HTTP/2 connection."""

    def __init__(self, client: str, server: tuple[str, int], *, http2: bool) -> None:
        self._messages = Http2Messages() if http2 else None
        self._client, self._server = client, server
        # Header compression depends on the message order, so bytes are generated only at the end.
        self._writes: list[tuple[float, int, bool, Callable[[], bytes]]] = []
        if self._messages is not None:
            self._writes.append((0.1, 0, True, self._messages.preface))

    def stream(self, number: int, start_ms: float, times: Sequence[float]) -> None:
        """Add a request and its response, with events at these times."""
        text, at, stream_id = f"question {number}", times[0] - 0.2, 2 * number + 1
        events = list(zip(times, chat_events(len(times), f"answer-{number}"), strict=True))
        end = times[-1] + 0.2
        if self._messages is None:
            self._add(start_ms, number, True, partial(chat_request, text))
            self._add(at, number, False, head)
            for at, event in events:
                self._add(at, number, False, partial(chunk, event))
            self._add(end, number, False, lambda: chunk(DONE) + chunk(b""))
            return
        messages = self._messages
        self._add(start_ms, 0, True, partial(messages.request, stream_id, text))
        self._add(at, 0, False, partial(messages.head, stream_id, pieces=2))
        for at, event in events:
            self._add(at, 0, False, partial(messages.data, stream_id, event, padding=number))
        self._add(end, 0, False, partial(messages.data, stream_id, DONE, end=True))

    def _add(
        self, at_ms: float, connection: int, by_client: bool, build: Callable[[], bytes]
    ) -> None:
        self._writes.append((at_ms, connection, by_client, build))

    def packets(self) -> list[Packet]:
        """Return the packets on all connections."""
        connections: dict[int, Connection] = {}
        for at_ms, index, by_client, build in sorted(self._writes, key=lambda one: one[0]):
            if index not in connections:
                client = Side(self._client, 40000 + index, 1000)
                connections[index] = Connection(client, Side(*self._server, 5000))
                connections[index].open(at_ms - 0.05)
            send = connections[index].request if by_client else connections[index].response
            send(at_ms, build())
        return [packet for one in connections.values() for packet in one.packets]


def through_proxy(*, outer: bool, inner: bool, count: int, held: bool) -> list[Packet]:
    near = OneSide("10.0.0.1", ("10.0.0.2", 8080), http2=outer)
    far = OneSide("10.0.0.2", ("10.0.0.3", 9000), http2=inner)
    for number in range(count):
        due = due_times(number)
        near.stream(number, 1.0 + number, blocks(due) if held else [at + 0.3 for at in due])
        far.stream(number, 1.4 + number, due)
    return near.packets() + far.packets()


@pytest.mark.parametrize(("outer", "inner"), [(True, True), (False, True), (True, False)])
def test_holds_are_found_with_http2_on_either_side(outer: bool, inner: bool) -> None:
    for held, verdict in ((True, Verdict.BATCHED), (False, Verdict.STREAMING)):
        session = analyze(through_proxy(outer=outer, inner=inner, count=5, held=held))
        (result,) = session.proxies.values()
        assert (result.streams, result.verdict) == (5, verdict)
        longest = max(
            out - due
            for number in range(5)
            for due, out in zip(due_times(number), blocks(due_times(number)), strict=True)
        )
        assert max(result.holds_ns) / MS == pytest.approx(longest if held else 0.3, abs=0.01)
        assert session.table.stats.http2 == 0
        assert sum(result.integrity.counts.values()) == 0
        assert result.integrity.streams == 5


def test_packet_loss_on_an_http2_connection_is_reported_and_never_a_hold() -> None:
    packets = through_proxy(outer=False, inner=True, count=3, held=False)
    given_up = 0
    for seed in range(8):
        chance = random.Random(seed)
        session = analyze([one for one in packets if chance.random() > 0.05])
        verdicts = [one.verdict for one in session.proxies.values()]
        assert all(one in {Verdict.STREAMING, Verdict.UNKNOWN} for one in verdicts), seed
        assert session.table.stats.lost_bytes
        assert not any(sum(one.integrity.counts.values()) for one in session.proxies.values())
        given_up += session.table.stats.http2
    assert given_up > 4


def test_a_connection_whose_beginning_is_missing_is_counted_as_not_decoded() -> None:
    packets = sorted(
        through_proxy(outer=False, inner=True, count=2, held=False), key=lambda one: one.at_ns
    )
    session = analyze([one for one in packets if one.at_ns > packets[0].at_ns + 300 * MS])
    assert session.table.stats.http2 == 1
    assert not session.proxies


def tracker_with_request() -> tuple[Http2Tracker, Http2Messages]:
    tracker, messages = Http2Tracker(CLIENT, SERVER), Http2Messages()
    start = messages.preface({4: 100}) + messages.request(1)
    tracker.receive_piece(Piece(MS, start), from_client=True)
    tracker.receive_piece(Piece(2 * MS, messages.head(1)), from_client=False)
    return tracker, messages


def test_a_used_up_window_is_counted_once_until_the_client_enlarges_it() -> None:
    tracker, messages = tracker_with_request()
    update = encode_frame(WINDOW_UPDATE, 0, 1, (100).to_bytes(4, "big"))
    for at in (3, 5):
        tracker.receive_piece(Piece(at * MS, messages.data(1, b"x" * 60)), from_client=False)
        tracker.receive_piece(Piece(at * MS, messages.data(1, b"x" * 40)), from_client=False)
        tracker.receive_piece(Piece((at + 1) * MS, update), from_client=True)
    tracker.receive_piece(Piece(9 * MS, messages.data(1, b"x" * 100, end=True)), from_client=False)
    (stream,) = tracker.finished
    assert (stream.ending, stream.zero_windows) == (Ending.COMPLETE, 2)


@pytest.mark.parametrize("by_client", [True, False])
def test_a_reset_ends_one_stream_and_names_who_sent_it(by_client: bool) -> None:
    tracker, messages = tracker_with_request()
    tracker.receive_piece(Piece(3 * MS, messages.data(1, b"data: x\n\n")), from_client=False)
    reset = encode_frame(RST_STREAM, 0, 1, (8).to_bytes(4, "big"))
    tracker.receive_piece(Piece(4 * MS, reset), from_client=by_client)
    (stream,) = tracker.finished
    expected = (Ending.TIMEOUT, 4 * MS) if by_client else (Ending.RESET, None)
    assert (stream.ending, stream.left_ns) == expected
    assert tracker.open_streams == []


def test_missing_bytes_inside_a_data_frame_do_not_end_the_decoding() -> None:
    tracker, messages = tracker_with_request()
    frame = messages.data(1, b"data: " + b"x" * 50 + b"\n\n")
    tracker.receive_piece(Piece(3 * MS, frame[:20]), from_client=False)
    tracker.receive_piece(Piece(4 * MS, frame[40:], 20), from_client=False)
    tracker.receive_piece(Piece(5 * MS, messages.data(1, b"y", end=True)), from_client=False)
    (stream,) = tracker.finished
    assert (stream.lost_bytes, stream.breaks) == (20, [1])
    assert stream.ending is Ending.COMPLETE


@pytest.mark.parametrize(
    "data", [b"\xff" * 40, encode_frame(1, 4, 1, b"\xff" * 20), encode_frame(0, 8, 1, b"\x09a")]
)
def test_invalid_frames_end_the_decoding(data: bytes) -> None:
    tracker, _ = tracker_with_request()
    tracker.receive_piece(Piece(3 * MS, data), from_client=False)
    assert tracker.is_broken
    assert tracker.open_streams == []


FRAMES = (
    Http2Messages.data(1, b"a" * 30, padding=7)
    + Http2Messages.data(3, b"")
    + encode_frame(8, 0, 0, bytes(4))
    + Http2Messages.data(1, b"b" * 300, end=True)
)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, len(FRAMES)), max_size=8))
def test_any_division_of_frames_gives_the_same_content(cuts: list[int]) -> None:
    divider, content, ends = FrameDivider(), {1: b"", 3: b"", 0: b""}, []
    bounds = [0, *sorted(cuts), len(FRAMES)]
    for start, stop in pairwise(bounds):
        for part in divider.receive_data(FRAMES[start:stop]):
            content[part.stream_id] += part.payload
            ends += [(part.kind, part.stream_id)] * part.is_last
    assert content == {1: b"a" * 30 + b"b" * 300, 3: b"", 0: bytes(4)}
    assert ends == [(0, 1), (0, 3), (8, 0), (0, 1)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60), st.integers(0, 3)), max_size=12))
def test_arbitrary_bytes_raise_no_error(pieces: list[tuple[bool, bytes, int]]) -> None:
    tracker, _ = tracker_with_request()
    for number, (from_client, data, lost) in enumerate(pieces):
        tracker.receive_piece(Piece(number * MS, data, lost), from_client=from_client)
    tracker.finish(99 * MS, by="fin", from_server=True)
    assert tracker.open_streams == []
