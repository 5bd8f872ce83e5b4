"""The client connection against h2's server side, and against invalid data."""

from __future__ import annotations

from typing import TypeVar

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from undam.errors import RemoteProtocolError
from undam.http2.client import (
    WINDOW_BYTES,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    Http2Connection,
    StreamReset,
)
from undam.http2.frames import DATA, encode_frame

FIELDS = [(":method", "POST"), (":scheme", "https"), (":authority", "h"), (":path", "/")]
OK = [(":status", "200"), ("content-type", "text/event-stream")]


E = TypeVar("E", bound=h2.events.Event)


class Pair:
    """HTTP/2 client connection and h2's server side, joined without a network."""

    def __init__(self, **settings: int) -> None:
        self.client = Http2Connection()
        self.server = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        values = {getattr(h2.settings.SettingCodes, name): n for name, n in settings.items()}
        self.server.local_settings = h2.settings.Settings(client=False, initial_values=values)
        self.server.initiate_connection()
        self.requests: list[h2.events.Event] = []
        self.exchange()

    def exchange(self) -> list[object]:
        """Deliver the pending data of both sides until neither has more to send."""
        found: list[object] = []
        while True:
            up, down = self.client.to_send(), self.server.data_to_send()
            if not up and not down:
                return found
            self.requests += self.server.receive_data(up)
            found += self.client.receive_data(down)

    def received(self, kind: type[E]) -> list[E]:
        return [event for event in self.requests if isinstance(event, kind)]


def test_request_and_response() -> None:
    pair = Pair()
    stream_id = pair.client.request(FIELDS, b"body")
    assert pair.exchange() == []
    assert b"".join(e.data for e in pair.received(h2.events.DataReceived)) == b"body"
    assert pair.received(h2.events.StreamEnded)
    pair.server.send_headers(stream_id, [(":status", "103")])
    pair.server.send_headers(stream_id, OK)
    pair.server.send_data(stream_id, b"one")
    pair.server.send_data(stream_id, b"two", pad_length=7)
    pair.server.send_headers(stream_id, [("trailer", "x")], end_stream=True)
    assert pair.exchange() == [
        HeadersReceived(stream_id, ((":status", "103"),), False, "interim"),
        HeadersReceived(stream_id, tuple(OK), False, "response"),
        DataReceived(stream_id, b"one", False, 3),
        DataReceived(stream_id, b"two", False, 11),
        HeadersReceived(stream_id, (("trailer", "x"),), True, "trailers"),
    ]


def test_end_with_data_and_without_a_body() -> None:
    pair = Pair()
    first, second = pair.client.request(FIELDS, b""), pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(first, OK)
    pair.server.send_data(first, b"x", end_stream=True)
    pair.server.send_headers(second, OK, end_stream=True)
    found = pair.exchange()
    assert DataReceived(first, b"x", True, 1) in found
    assert HeadersReceived(second, tuple(OK), True, "response") in found


def test_a_body_with_a_length() -> None:
    pair = Pair()
    for _ in range(3):
        stream_id = pair.client.request(FIELDS, b"")
        pair.exchange()
        pair.server.send_headers(stream_id, [*OK, ("content-length", "40000")])
        for end in (False, False, False, True):
            pair.server.send_data(stream_id, b"x" * 10_000, end_stream=end)
        found = [event for event in pair.exchange() if isinstance(event, DataReceived)]
        assert sum(len(event.data) for event in found) == 40_000
        assert found[-1].ended


def test_a_body_that_is_shorter_than_its_length_is_rejected() -> None:
    pair = Pair()
    stream_id = pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(stream_id, [*OK, ("content-length", "5")])
    pair.client.receive_data(pair.server.data_to_send())
    with pytest.raises(RemoteProtocolError, match="Expected 5 bytes"):
        pair.client.receive_data(encode_frame(DATA, 1, stream_id, b"x"))


def test_reset_and_goaway() -> None:
    pair = Pair()
    stream_id = pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.reset_stream(stream_id, 2)
    assert pair.exchange() == [StreamReset(stream_id, "INTERNAL_ERROR")]
    pair.server.close_connection(0, last_stream_id=stream_id)
    assert pair.exchange() == [GoAwayReceived(stream_id, "NO_ERROR")]


def test_an_open_stream_continues_after_goaway() -> None:
    pair = Pair()
    stream_id = pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(stream_id, OK)
    pair.client.receive_data(pair.server.data_to_send())
    last = stream_id.to_bytes(4, "big")
    assert pair.client.receive_data(encode_frame(7, 0, 0, last + bytes(4))) == [
        GoAwayReceived(stream_id, "NO_ERROR")
    ]
    pair.server.send_data(stream_id, b"x", end_stream=True)
    assert pair.exchange() == [DataReceived(stream_id, b"x", True, 1)]


def test_a_body_waits_for_the_window_of_the_server() -> None:
    pair = Pair(INITIAL_WINDOW_SIZE=10)
    stream_id = pair.client.request(FIELDS, b"x" * 25)
    pair.exchange()
    blocked = pair.client.is_blocked
    assert blocked
    pair.server.increment_flow_control_window(100, stream_id)
    pair.exchange()
    assert not pair.client.is_blocked
    assert sum(len(e.data) for e in pair.received(h2.events.DataReceived)) == 25


def test_windows_are_opened_before_they_are_used_up() -> None:
    pair = Pair()
    stream_id = pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(stream_id, OK)
    left, block = 3 * WINDOW_BYTES, b"x" * 16384
    while left > 0:
        assert pair.server.local_flow_control_window(stream_id) >= len(block)
        for _ in range(64):
            pair.server.send_data(stream_id, block)
            left -= len(block)
        pair.exchange()


def test_pings_are_answered() -> None:
    pair = Pair()
    pair.server.ping(b"12345678")
    assert pair.exchange() == []
    assert pair.received(h2.events.PingAckReceived)


@pytest.mark.parametrize(
    "data",
    [
        encode_frame(DATA, 0, 5, b"x"),
        encode_frame(6, 0, 0, b"too short"),
        encode_frame(7, 0, 0, b"short"),
        encode_frame(1, 4, 1, b"\xff\xff\xff"),
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
def test_invalid_data_is_rejected(data: bytes) -> None:
    pair = Pair()
    with pytest.raises(RemoteProtocolError):
        pair.client.receive_data(data)


def test_header_fields_that_http2_forbids_are_reported_and_not_rejected() -> None:
    client = Http2Connection()
    config = h2.config.H2Configuration(
        client_side=False, validate_outbound_headers=False, normalize_outbound_headers=False
    )
    server = h2.connection.H2Connection(config)
    server.initiate_connection()
    stream_id = client.request(FIELDS, b"")
    server.receive_data(client.to_send())
    server.send_headers(stream_id, [*OK, ("connection", "keep-alive")])
    (head,) = client.receive_data(server.data_to_send())
    assert isinstance(head, HeadersReceived)
    assert ("connection", "keep-alive") in head.fields


def test_stream_limit_is_known_after_the_settings() -> None:
    assert Http2Connection().max_streams is None
    assert Pair(MAX_CONCURRENT_STREAMS=7).client.max_streams == 7


def test_cancelled_stream_is_reset_and_its_data_is_ignored() -> None:
    pair = Pair()
    stream_id, other = pair.client.request(FIELDS, b""), pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(stream_id, OK)
    pair.server.send_headers(other, OK)
    pair.exchange()
    pair.client.cancel(stream_id)
    # Data in flight when the client cancelled the stream.
    pair.server.send_data(stream_id, b"late")
    pair.server.send_data(stream_id, b"later", end_stream=True)
    late = pair.client.receive_data(pair.server.data_to_send())
    assert {event.stream_id for event in late if isinstance(event, DataReceived)} == {stream_id}
    pair.exchange()
    assert [event.stream_id for event in pair.received(h2.events.StreamReset)] in ([], [stream_id])
    pair.server.send_data(other, b"x", end_stream=True)
    assert pair.exchange() == [DataReceived(other, b"x", True, 1)]
