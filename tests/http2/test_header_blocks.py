"""Header blocks: cached request blocks, division into frames, and limits."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
import pytest
from hpack import Decoder, Encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from support.http2_pair import FIELDS, Http2Pair
from undam.errors import RemoteProtocolError
from undam.http2.frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PRIORITY,
    Frame,
    Http2FrameReader,
)
from undam.http2.header_blocks import (
    MAX_BLOCK_BYTES,
    HeaderBlockReader,
    encode_fields,
    encode_headers,
)

BYTES_FIELDS = tuple((name.encode(), value.encode()) for name, value in FIELDS)


def _decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(bytes(name), bytes(value)) for name, value in Decoder().decode(block, raw=True)]


def test_equal_fields_have_the_same_block_on_each_connection() -> None:
    first = encode_fields(BYTES_FIELDS)
    assert encode_fields(list(BYTES_FIELDS)).block is first.block
    assert _decoded(first.block) == list(BYTES_FIELDS)


def test_a_content_length_at_the_end_is_not_part_of_the_cached_block() -> None:
    fields = (*BYTES_FIELDS, (b"x-name", b"value"))
    for length in (b"0", b"72", b"123456789", b"1" * 126, b"1" * 127, b""):
        with_length = (*fields, (b"content-length", length))
        assert _decoded(encode_fields(with_length).block) == list(with_length)
    prefix = encode_fields(fields).block
    assert encode_fields((*fields, (b"content-length", b"7"))).block == prefix + b"\x1f\x0d\x017"


def test_the_method_head_is_recognized() -> None:
    assert encode_fields([(":method", "HEAD"), (":path", "/")]).is_head
    assert not encode_fields(FIELDS).is_head


def test_no_field_depends_on_earlier_blocks() -> None:
    pair = Http2Pair()
    other = [*FIELDS, ("authorization", "Bearer x"), ("x-long", "y" * 300)]
    for _ in range(500):
        for fields in (FIELDS, other):
            stream_id = pair.client.request(fields, b"")
            pair.exchange()
            pair.server.send_headers(stream_id, [(":status", "204")], end_stream=True)
    received = pair.received(h2.events.RequestReceived)
    assert len(received) == 1000
    for number, event in enumerate(received):
        fields = [(name.decode(), value.decode()) for name, value in event.headers]
        assert fields == (other if number % 2 else FIELDS)


@settings(max_examples=50)
@given(st.lists(st.tuples(st.from_regex("[a-z0-9-]{1,20}", fullmatch=True), st.text()), max_size=8))
def test_a_block_decodes_to_its_fields(fields: list[tuple[str, str]]) -> None:
    fields = [(":method", "POST"), *fields]
    expected = [(name.encode(), value.encode()) for name, value in fields]
    assert _decoded(encode_fields(fields).block) == expected


@pytest.mark.parametrize("size", [0, 9, 10, 11, 20, 21])
def test_a_large_block_is_divided_into_frames(size: int) -> None:
    block = bytes(range(size))
    data = encode_headers(3, block, ended=True, max_frame_bytes=10)
    frames = Http2FrameReader().receive_data(data)
    kinds = [frame.kind for frame in frames]
    assert kinds == [HEADERS, *[CONTINUATION] * (len(kinds) - 1)]
    assert b"".join(frame.payload for frame in frames) == block
    assert len(frames) == max(1, -(-size // 10))
    assert frames[0].flags & END_STREAM
    assert [bool(frame.flags & END_HEADERS) for frame in frames] == [False] * (len(kinds) - 1) + [
        True
    ]


def test_padding_and_priority_are_removed() -> None:
    block = Encoder().encode([(":status", "200")])
    flags = PADDED | PRIORITY | END_HEADERS | END_STREAM
    frame = Frame(HEADERS, flags, 1, b"\x03" + bytes(5) + block + bytes(3))
    assert HeaderBlockReader().receive_headers(frame) == (1, ((":status", "200"),), True)


@pytest.mark.parametrize(
    ("flags", "payload"),
    [
        (PADDED, b""),
        (PADDED, b"\x05abcd"),
        (PRIORITY, b"1234"),
        (PADDED | PRIORITY, b"\x01" + b"12345"),
    ],
)
def test_padding_or_priority_that_does_not_fit_is_rejected(flags: int, payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="too short for its padding"):
        HeaderBlockReader().receive_headers(Frame(HEADERS, flags | END_HEADERS, 1, payload))


def test_fragments_are_joined() -> None:
    block = Encoder().encode([(":status", "200"), ("name", "value")])
    reader = HeaderBlockReader()
    assert reader.receive_headers(Frame(HEADERS, END_STREAM, 1, block[:3])) is None
    assert reader.is_incomplete
    assert reader.receive_continuation(Frame(CONTINUATION, 0, 1, b"")) is None
    whole = reader.receive_continuation(Frame(CONTINUATION, END_HEADERS, 1, block[3:]))
    assert whole == (1, ((":status", "200"), ("name", "value")), True)
    assert not reader.is_incomplete


def test_a_continuation_must_follow_its_headers() -> None:
    reader = HeaderBlockReader()
    frame = Frame(CONTINUATION, END_HEADERS, 1, b"\x88")
    with pytest.raises(RemoteProtocolError, match="does not follow"):
        reader.receive_continuation(frame)
    reader.receive_headers(Frame(HEADERS, 0, 3, b"\x88"))
    with pytest.raises(RemoteProtocolError, match="does not follow"):
        reader.receive_continuation(frame)


@pytest.mark.parametrize("size", [0, 1, 16384])
def test_the_size_of_a_block_is_limited_even_if_its_frames_are_empty(size: int) -> None:
    reader = HeaderBlockReader()
    reader.receive_headers(Frame(HEADERS, 0, 1, b""))
    frame = Frame(CONTINUATION, 0, 1, b"x" * size)
    for _ in range((MAX_BLOCK_BYTES - 9) // (size + 9)):
        reader.receive_continuation(frame)
    with pytest.raises(RemoteProtocolError, match="larger than 65536 bytes"):
        reader.receive_continuation(frame)


def test_the_decompressed_size_is_limited() -> None:
    # 100 references of one byte each repeat a 4000-byte entry in the dynamic table.
    encoder = Encoder()
    block = encoder.encode([("a", "x" * 4000)], huffman=False)
    block += encoder.encode([("a", "x" * 4000)]) * 100
    assert len(block) < 5000
    with pytest.raises(RemoteProtocolError, match="larger than 65536 bytes"):
        HeaderBlockReader().receive_headers(Frame(HEADERS, END_HEADERS, 1, block))


@pytest.mark.parametrize("block", [b"\xff\xff\xff", b"\x80", b"\x40\x7f", b"\x3f\xff\xff\xff\xff"])
def test_an_invalid_block_is_rejected(block: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="cannot be decoded"):
        HeaderBlockReader().receive_headers(Frame(HEADERS, END_HEADERS, 1, block))


def test_a_request_with_a_large_block_reaches_the_server() -> None:
    pair = Http2Pair(MAX_FRAME_SIZE=16384)
    fields = [*FIELDS, *[(f"x-{n}", "\x7f" * 1000) for n in range(20)]]
    server = pair.server = h2.connection.H2Connection(
        h2.config.H2Configuration(client_side=False, validate_inbound_headers=False)
    )
    server.initiate_connection()
    pair.client = type(pair.client)()
    pair.client.request(fields, b"body")
    pair.exchange()
    (request,) = pair.received(h2.events.RequestReceived)
    assert len(request.headers) == len(fields)
    assert b"".join(e.data for e in pair.received(h2.events.DataReceived)) == b"body"
