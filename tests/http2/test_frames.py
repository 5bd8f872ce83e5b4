"""HTTP/2 frames: any division into reads, padding, limits, and error names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.errors import RemoteProtocolError
from undam.http2.frames import (
    DATA,
    MAX_FRAME_BYTES,
    PADDED,
    PING,
    Frame,
    Http2FrameReader,
    encode_frame,
    encode_window_update,
    error_name,
)

FRAMES = st.builds(
    Frame, st.integers(0, 20), st.integers(0, 255), st.integers(0, 2**31 - 1),
    st.binary(max_size=60),
)  # fmt: skip


@given(st.lists(FRAMES, max_size=8), st.integers(1, 40))
def test_frames_survive_any_division(frames: list[Frame], size: int) -> None:
    data = b"".join(frame.encode() for frame in frames)
    reader = Http2FrameReader()
    found = [
        frame
        for start in range(0, len(data), size)
        for frame in reader.receive_data(data[start : start + size])
    ]
    assert found == frames
    assert reader.pending_bytes == 0


def test_an_incomplete_frame_is_kept() -> None:
    reader = Http2FrameReader()
    whole = encode_frame(PING, 1, 0, b"12345678")
    assert reader.receive_data(whole[:-1]) == []
    assert reader.pending_bytes == len(whole) - 1
    assert reader.receive_data(whole[-1:]) == [Frame(PING, 1, 0, b"12345678")]


def test_missing_bytes_end_with_the_next_frame() -> None:
    reader = Http2FrameReader()
    small, large = encode_frame(DATA, 0, 1, b"x" * 10), encode_frame(DATA, 0, 1, b"y" * 500)
    assert reader.missing_bytes == 9
    reader.receive_data(small)
    assert reader.missing_bytes == len(small)
    for size in range(1, 10):
        reader.receive_data(large[size - 1 : size])
        expected = len(small) if size < 3 else len(large)
        assert reader.missing_bytes == expected - size
    reader.receive_data(large[9:])
    assert reader.missing_bytes == len(large)


def test_a_large_frame_is_rejected_before_it_is_buffered() -> None:
    head = encode_frame(DATA, 0, 1, b"x" * (MAX_FRAME_BYTES + 1))[:9]
    with pytest.raises(RemoteProtocolError, match="16385 bytes"):
        Http2FrameReader().receive_data(head)


@pytest.mark.parametrize(
    ("payload", "data"), [(b"\x00abc", b"abc"), (b"\x02abc\0\0", b"abc"), (b"\x00", b"")]
)
def test_padding_is_removed(payload: bytes, data: bytes) -> None:
    assert Frame(DATA, PADDED, 1, payload).data() == data
    assert Frame(DATA, 0, 1, payload).data() == payload


@pytest.mark.parametrize("payload", [b"", b"\x01", b"\x05abc"])
def test_invalid_padding_is_rejected(payload: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="padding"):
        Frame(DATA, PADDED, 1, payload).data()


def test_window_update() -> None:
    assert encode_window_update(3, 65536) == bytes.fromhex("000004080000000003 00010000")


def test_error_names() -> None:
    assert error_name(0) == "NO_ERROR"
    assert error_name(2) == "INTERNAL_ERROR"
    assert error_name(13) == "HTTP_1_1_REQUIRED"
    assert error_name(14) == "error 14"


def test_an_http1_answer_is_named_instead_of_a_large_frame() -> None:
    with pytest.raises(RemoteProtocolError, match="uses HTTP/1 here, not HTTP/2; try --http1"):
        Http2FrameReader().receive_data(b"HTTP/1.1 400 Bad Request\r\n\r\n")
