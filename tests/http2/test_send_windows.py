"""Flow-control windows for request bodies, and the frames that the windows allow."""

from __future__ import annotations

import pytest

from undam.errors import RemoteProtocolError
from undam.http2.client_stream import ClientStream
from undam.http2.frames import DATA, END_STREAM, Frame, Http2FrameReader, encode_frame
from undam.http2.send_windows import DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES, SendWindows


def _frames(data: bytes) -> list[Frame]:
    return Http2FrameReader().receive_data(data)


def _sizes(data: bytes) -> list[int]:
    return [len(frame.payload) for frame in _frames(data)]


def test_a_body_that_fits_is_sent_at_once() -> None:
    windows = SendWindows()
    stream = ClientStream(1, b"body", is_head=False)
    assert _frames(windows.send(stream)) == [Frame(DATA, END_STREAM, 1, b"body")]
    assert not windows.is_blocked


def test_a_body_is_divided_by_the_maximum_frame_size() -> None:
    windows = SendWindows()
    assert _sizes(windows.send(ClientStream(1, bytes(40_000), is_head=False))) == [
        16384, 16384, 7232,
    ]  # fmt: skip
    windows.set_max_frame(20_000)
    data = windows.send(ClientStream(3, bytes(20_000), is_head=False))
    assert data == encode_frame(DATA, END_STREAM, 3, bytes(20_000))


def test_the_window_of_the_connection_limits_all_streams() -> None:
    windows = SendWindows()
    first, second = (ClientStream(n, bytes(40_000), is_head=False) for n in (1, 3))
    windows.send(first)
    assert sum(_sizes(windows.send(second))) == DEFAULT_WINDOW_BYTES - 40_000
    third = ClientStream(5, b"abc", is_head=False)
    assert windows.send(third) == b""
    assert windows.send_all() == b""
    windows.open_connection(20_000)
    sent = _frames(windows.send_all())
    assert {frame.stream_id for frame in sent} == {3, 5}
    assert sum(len(frame.payload) for frame in sent) == 80_003 - DEFAULT_WINDOW_BYTES
    assert not windows.is_blocked


def test_a_stream_waits_for_its_own_window() -> None:
    windows = SendWindows()
    windows.set_initial(10)
    stream = ClientStream(1, b"x" * 25, is_head=False)
    assert _sizes(windows.send(stream)) == [10]
    assert windows.is_blocked
    assert windows.open_stream(stream, 5)
    assert _sizes(windows.send(stream)) == [5]
    assert windows.open_stream(stream, 100)
    assert _frames(windows.send(stream)) == [Frame(DATA, END_STREAM, 1, b"x" * 10)]
    assert not windows.is_blocked


def test_a_smaller_initial_window_can_make_the_window_negative() -> None:
    windows = SendWindows()
    windows.set_initial(100)
    stream = ClientStream(1, bytes(200), is_head=False)
    assert _sizes(windows.send(stream)) == [100]
    windows.set_initial(40)
    assert windows.open_stream(stream, 60)
    assert windows.send(stream) == b""
    assert windows.open_stream(stream, 1)
    assert _sizes(windows.send(stream)) == [1]
    windows.set_initial(140)
    assert _frames(windows.send_all()) == [Frame(DATA, END_STREAM, 1, bytes(99))]


def test_a_window_must_not_exceed_its_maximum() -> None:
    windows = SendWindows()
    stream = ClientStream(1, b"", is_head=False)
    assert windows.open_stream(stream, MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
    assert not windows.open_stream(stream, 1)
    windows.open_connection(MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
    with pytest.raises(RemoteProtocolError, match="connection is too large"):
        windows.open_connection(1)


def test_a_larger_initial_window_must_not_make_a_window_too_large() -> None:
    windows = SendWindows()
    windows.set_initial(0)
    stream = ClientStream(1, bytes(10), is_head=False)
    windows.send(stream)
    assert windows.open_stream(stream, 1)
    windows.set_initial(MAX_WINDOW_BYTES)
    with pytest.raises(RemoteProtocolError, match="SETTINGS_INITIAL_WINDOW_SIZE"):
        windows.send_all()


@pytest.mark.parametrize("size", [0, 16383, 1 << 24])
def test_an_invalid_frame_size_is_rejected(size: int) -> None:
    with pytest.raises(RemoteProtocolError, match="SETTINGS_MAX_FRAME_SIZE"):
        SendWindows().set_max_frame(size)


def test_an_invalid_initial_window_is_rejected() -> None:
    with pytest.raises(RemoteProtocolError, match="SETTINGS_INITIAL_WINDOW_SIZE"):
        SendWindows().set_initial(MAX_WINDOW_BYTES + 1)


def test_a_discarded_body_is_not_sent() -> None:
    windows = SendWindows()
    windows.set_initial(0)
    stream = ClientStream(1, b"body", is_head=False)
    windows.send(stream)
    assert windows.discard(stream)
    assert not windows.discard(stream)
    windows.set_initial(100)
    assert windows.send_all() == b""
