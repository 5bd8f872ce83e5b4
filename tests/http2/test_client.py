"""HTTP/2 client connection, tested against an h2 server and against invalid data."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import h2.settings
import pytest

from support.http2_pair import FIELDS, OK, Http2Pair
from support.work import assert_linear
from undam.errors import LocalProtocolError, RemoteProtocolError
from undam.http2.client import (
    WINDOW_BYTES,
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    Http2Connection,
    StreamReset,
)
from undam.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Frame,
    Http2FrameReader,
    encode_frame,
)


def test_request_and_response() -> None:
    pair = Http2Pair()
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
    pair = Http2Pair()
    first, second = pair.client.request(FIELDS, b""), pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(first, OK)
    pair.server.send_data(first, b"x", end_stream=True)
    pair.server.send_headers(second, OK, end_stream=True)
    found = pair.exchange()
    assert DataReceived(first, b"x", True, 1) in found
    assert HeadersReceived(second, tuple(OK), True, "response") in found


def test_a_body_with_a_length() -> None:
    pair = Http2Pair()
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
    pair = Http2Pair()
    stream_id = pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(stream_id, [*OK, ("content-length", "5")])
    pair.client.receive_data(pair.server.data_to_send())
    with pytest.raises(RemoteProtocolError, match="Content-Length is 5,"):
        pair.client.receive_data(encode_frame(DATA, 1, stream_id, b"x"))


def test_reset_and_goaway() -> None:
    pair = Http2Pair()
    stream_id = pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.reset_stream(stream_id, 2)
    assert pair.exchange() == [StreamReset(stream_id, "INTERNAL_ERROR")]
    pair.server.close_connection(0, last_stream_id=stream_id)
    assert pair.exchange() == [GoAwayReceived(stream_id, "NO_ERROR")]


def test_an_open_stream_continues_after_goaway() -> None:
    pair = Http2Pair()
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
    pair = Http2Pair(INITIAL_WINDOW_SIZE=10)
    stream_id = pair.client.request(FIELDS, b"x" * 25)
    pair.exchange()
    blocked = pair.client.is_blocked
    assert blocked
    pair.server.increment_flow_control_window(100, stream_id)
    pair.exchange()
    assert not pair.client.is_blocked
    assert sum(len(e.data) for e in pair.received(h2.events.DataReceived)) == 25


def test_windows_are_opened_before_they_are_used_up() -> None:
    pair = Http2Pair()
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
    pair = Http2Pair()
    pair.server.ping(b"12345678")
    assert pair.exchange() == []
    assert pair.received(h2.events.PingAckReceived)


FIRST_SETTINGS = encode_frame(SETTINGS, 0, 0)
HEAD_BLOCK = b"\x88"


def _number(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + _number(value)


def _raw_client(requests: int = 1) -> Http2Connection:
    """Return a client with streams 1, 3, … that has received the server's settings."""
    client = Http2Connection()
    for _ in range(requests):
        client.request(FIELDS, b"")
    client.receive_data(FIRST_SETTINGS)
    client.to_send()
    return client


def _replies(client: Http2Connection) -> list[Frame]:
    return Http2FrameReader().receive_data(client.to_send())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "the server uses HTTP/1 here, not HTTP/2"),
        (encode_frame(PING, 0, 0, b"too short"), "PING frame has 9 bytes"),
        (encode_frame(PING, 0, 1, bytes(8)), "PING frame on stream 1"),
        (encode_frame(GOAWAY, 0, 0, b"short"), "GOAWAY frame has 5 bytes"),
        (encode_frame(GOAWAY, 0, 1, bytes(8)), "GOAWAY frame on stream 1"),
        (encode_frame(SETTINGS, 0, 0, bytes(7)), "SETTINGS frame has 7 bytes"),
        (encode_frame(SETTINGS, ACK, 0, bytes(6)), "SETTINGS frame has 6 bytes"),
        (encode_frame(SETTINGS, 0, 1), "SETTINGS frame on stream 1"),
        (encode_frame(SETTINGS, 0, 0, _setting(2, 2)), "SETTINGS_ENABLE_PUSH is 2"),
        (encode_frame(SETTINGS, 0, 0, _setting(4, 1 << 31)), "SETTINGS_INITIAL_WINDOW_SIZE"),
        (encode_frame(SETTINGS, 0, 0, _setting(5, 100)), "SETTINGS_MAX_FRAME_SIZE is 100"),
        (encode_frame(RST_STREAM, 0, 1, b"abc"), "RST_STREAM frame has 3 bytes"),
        (encode_frame(RST_STREAM, 0, 3, bytes(4)), "stream 3, which was never opened"),
        (encode_frame(RST_STREAM, 0, 0, bytes(4)), "stream 0, which was never opened"),
        (encode_frame(WINDOW_UPDATE, 0, 1, bytes(5)), "WINDOW_UPDATE frame has 5 bytes"),
        (encode_frame(WINDOW_UPDATE, 0, 1, bytes(4)), "increment 0"),
        (encode_frame(WINDOW_UPDATE, 0, 0, bytes(4)), "increment 0"),
        (encode_frame(WINDOW_UPDATE, 0, 5, _number(1)), "stream 5, which was never opened"),
        (encode_frame(WINDOW_UPDATE, 0, 2, _number(1)), "stream 2, which was never opened"),
        (encode_frame(WINDOW_UPDATE, 0, 0, _number((1 << 31) - 1)), "connection is too large"),
        (encode_frame(PUSH_PROMISE, 4, 1, _number(2) + HEAD_BLOCK), "push is disabled"),
        (encode_frame(DATA, 0, 1, b"x"), "DATA precedes the response head"),
        (encode_frame(DATA, 0, 3, b"x"), "stream 3, which is not open"),
        (encode_frame(DATA, 0, 0, b"x"), "stream 0, which is not open"),
        (encode_frame(HEADERS, 4, 3, HEAD_BLOCK), "stream 3, which is not open"),
        (encode_frame(HEADERS, 4, 1, b"\xff\xff\xff"), "cannot be decoded"),
        (encode_frame(HEADERS, 4, 1, b"") + encode_frame(HEADERS, 4, 1, b""), "trailers"),
        (encode_frame(HEADERS, 0, 1, b"") + encode_frame(PING, 0, 0, bytes(8)), "interrupted"),
        (encode_frame(HEADERS, 0, 1, b"") + encode_frame(0x42, 0, 0), "interrupted"),
        (encode_frame(CONTINUATION, 4, 1, HEAD_BLOCK), "does not follow its HEADERS"),
    ],
)
def test_invalid_data_is_rejected(data: bytes, reason: str) -> None:
    with pytest.raises(RemoteProtocolError, match=reason):
        _raw_client().receive_data(data)


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_a_frame_after_the_end_of_a_stream_is_rejected(kind: int) -> None:
    client = _raw_client()
    client.receive_data(encode_frame(HEADERS, END_STREAM | 4, 1, HEAD_BLOCK))
    for ignored in (RST_STREAM, WINDOW_UPDATE):
        assert client.receive_data(encode_frame(ignored, 0, 1, _number(1))) == []
    with pytest.raises(RemoteProtocolError, match="stream 1, which is not open"):
        client.receive_data(encode_frame(kind, 4, 1, HEAD_BLOCK))


def test_unknown_and_priority_frames_are_ignored() -> None:
    client = _raw_client()
    data = encode_frame(2, 0, 9, bytes(5)) + encode_frame(0x42, 0xFF, 8, b"anything")
    assert client.receive_data(data) == []
    assert client.to_send() == b""


def test_the_first_bytes_are_the_preface_settings_and_window() -> None:
    data = Http2Connection().to_send()
    assert data.startswith(PREFACE)
    values = _setting(2, 0) + _setting(4, WINDOW_BYTES) + _setting(3, 100)
    assert Http2FrameReader().receive_data(data[len(PREFACE) :]) == [
        Frame(SETTINGS, 0, 0, values),
        Frame(WINDOW_UPDATE, 0, 0, _number(WINDOW_BYTES - 65535)),
    ]


def test_settings_and_pings_are_acknowledged_once() -> None:
    client = _raw_client()
    client.receive_data(encode_frame(SETTINGS, 0, 0, _setting(0x99, 5) + _setting(1, 0)))
    client.receive_data(encode_frame(SETTINGS, ACK, 0))
    client.receive_data(encode_frame(PING, 0, 0, b"12345678"))
    client.receive_data(encode_frame(PING, ACK, 0, b"87654321"))
    assert _replies(client) == [Frame(SETTINGS, ACK, 0, b""), Frame(PING, ACK, 0, b"12345678")]


def test_stream_numbers_are_odd_and_ascending_until_they_are_exhausted() -> None:
    client = Http2Connection()
    assert [client.request(FIELDS, b"") for _ in range(3)] == [1, 3, 5]
    client._next_stream_id = (1 << 31) - 1
    assert client.request(FIELDS, b"") == (1 << 31) - 1
    with pytest.raises(LocalProtocolError, match="no stream number left"):
        client.request(FIELDS, b"")


def test_changed_settings_apply_to_open_streams() -> None:
    pair = Http2Pair(INITIAL_WINDOW_SIZE=10)
    pair.client.request(FIELDS, b"x" * 50)
    pair.exchange()
    codes = h2.settings.SettingCodes
    for window, received in ((30, 30), (20, 30), (30, 30), (1000, 50)):
        pair.server.update_settings({codes.INITIAL_WINDOW_SIZE: window})
        pair.exchange()
        assert sum(len(e.data) for e in pair.received(h2.events.DataReceived)) == received
    pair.server.update_settings({codes.MAX_FRAME_SIZE: 20_000, codes.INITIAL_WINDOW_SIZE: 65535})
    pair.exchange()
    pair.client.request(FIELDS, b"x" * 30_000)
    pair.exchange()
    assert [len(e.data) for e in pair.received(h2.events.DataReceived)][-2:] == [20_000, 10_000]


def test_a_large_body_is_sent_as_the_server_reads_it() -> None:
    pair = Http2Pair()
    stream_id = pair.client.request(FIELDS, b"x" * 300_000)
    pair.exchange()
    acknowledged = 0
    while pair.client.is_blocked:
        received = pair.received(h2.events.DataReceived)
        assert acknowledged < len(received)
        for event in received[acknowledged:]:
            pair.server.acknowledge_received_data(event.flow_controlled_length, stream_id)
        acknowledged = len(received)
        pair.exchange()
    assert acknowledged
    assert sum(len(e.data) for e in pair.received(h2.events.DataReceived)) == 300_000
    assert pair.received(h2.events.StreamEnded)


def test_a_window_update_that_is_too_large_resets_the_stream() -> None:
    client = _raw_client(2)
    update = encode_frame(WINDOW_UPDATE, 0, 1, _number((1 << 31) - 1))
    assert client.receive_data(update) == [StreamReset(1, "FLOW_CONTROL_ERROR")]
    assert _replies(client) == [Frame(RST_STREAM, 0, 1, _number(3))]
    head = client.receive_data(encode_frame(HEADERS, 4, 3, HEAD_BLOCK))
    assert head == [HeadersReceived(3, ((":status", "200"),), False, "response")]


def test_a_response_before_the_end_of_the_body_stops_the_body() -> None:
    pair = Http2Pair(INITIAL_WINDOW_SIZE=10)
    stream_id = pair.client.request(FIELDS, b"x" * 25)
    pair.exchange()
    pair.server.send_headers(stream_id, [(":status", "413")], end_stream=True)
    pair.exchange()
    assert not pair.client.is_blocked
    assert [event.stream_id for event in pair.received(h2.events.StreamReset)] == [stream_id]


def test_frames_on_a_cancelled_stream_only_update_the_connection() -> None:
    client = _raw_client(2)
    client.cancel(1)
    client.cancel(1)
    client.cancel(99)
    assert _replies(client) == [Frame(RST_STREAM, 0, 1, _number(8))]
    # The head adds an entry to the dynamic table, and the head of stream 3 refers to that entry.
    assert client.receive_data(encode_frame(HEADERS, 4, 1, HEAD_BLOCK + b"\x40\x01a\x01b")) == []
    for _ in range(WINDOW_BYTES // 16384):
        assert client.receive_data(encode_frame(DATA, 0, 1, bytes(16384))) == []
    replies = _replies(client)
    assert {(frame.kind, frame.stream_id) for frame in replies} == {(WINDOW_UPDATE, 0)}
    assert sum(int.from_bytes(frame.payload, "big") for frame in replies) == WINDOW_BYTES
    head = client.receive_data(encode_frame(HEADERS, 4, 3, HEAD_BLOCK + b"\xbe"))
    assert head == [HeadersReceived(3, ((":status", "200"), ("a", "b")), False, "response")]
    assert client.receive_data(encode_frame(DATA, END_STREAM, 1)) == []
    with pytest.raises(RemoteProtocolError, match="stream 1, which is not open"):
        client.receive_data(encode_frame(DATA, 0, 1))


def test_frames_on_a_stream_that_the_server_has_reset_are_ignored() -> None:
    client = _raw_client()
    assert client.receive_data(encode_frame(RST_STREAM, 0, 1, _number(7))) == [
        StreamReset(1, "REFUSED_STREAM")
    ]
    late = encode_frame(RST_STREAM, 0, 1, _number(7)) + encode_frame(DATA, 0, 1, b"x")
    assert client.receive_data(late) == []


def test_few_reset_streams_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.http2.client._MAX_RESET_STREAMS", 2)
    client = _raw_client(3)
    for stream_id in (1, 3, 5):
        client.cancel(stream_id)
    assert client.receive_data(encode_frame(DATA, 0, 3, b"x")) == []
    with pytest.raises(RemoteProtocolError, match="stream 1, which is not open"):
        client.receive_data(encode_frame(DATA, 0, 1, b"x"))


def test_a_read_takes_time_in_proportion_to_its_frames() -> None:
    floods = (
        encode_frame(SETTINGS, 0, 0, _setting(4, 1000)),
        encode_frame(WINDOW_UPDATE, 0, 1, _number(1)),
        encode_frame(PING, 0, 0, bytes(8)),
        encode_frame(DATA, 0, 1),
    )
    for frame in floods:

        def receive(count: int, frame: bytes = frame) -> None:
            client = _raw_client()
            client.receive_data(encode_frame(HEADERS, 4, 1, HEAD_BLOCK))
            client.receive_data(frame * count)
            client.to_send()

        assert_linear(receive, 400)


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
    assert Http2Pair(MAX_CONCURRENT_STREAMS=7).client.max_streams == 7


def test_cancelled_stream_is_reset_and_its_data_is_ignored() -> None:
    pair = Http2Pair()
    stream_id, other = pair.client.request(FIELDS, b""), pair.client.request(FIELDS, b"")
    pair.exchange()
    pair.server.send_headers(stream_id, OK)
    pair.server.send_headers(other, OK)
    pair.exchange()
    pair.client.cancel(stream_id)
    # This data was in flight when the client cancelled the stream.
    pair.server.send_data(stream_id, b"late")
    pair.server.send_data(stream_id, b"later", end_stream=True)
    assert pair.client.receive_data(pair.server.data_to_send()) == []
    pair.exchange()
    assert [event.stream_id for event in pair.received(h2.events.StreamReset)] in ([], [stream_id])
    pair.server.send_data(other, b"x", end_stream=True)
    assert pair.exchange() == [DataReceived(other, b"x", True, 1)]
