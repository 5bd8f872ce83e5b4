"""Client side of an HTTP/2 connection, without I/O: bytes in, events and bytes out.

A request takes a few microseconds, so that it does not delay a load test. Frames of the server are
checked by the rules of RFC 9113; fields that it forbids are returned, because they are findings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from undam.errors import LocalProtocolError
from undam.http2.client_stream import ClientStream, HeadKind
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
    encode_reset,
    encode_window_update,
    error_name,
    violation,
)
from undam.http2.header_blocks import (
    Fields,
    HeaderBlock,
    HeaderBlockReader,
    encode_fields,
    encode_headers,
)
from undam.http2.send_windows import DEFAULT_WINDOW_BYTES, SendWindows

# The receive windows are larger than any answer, so that the server never waits for this client.
WINDOW_BYTES = 1 << 24
_REFILL_BYTES = WINDOW_BYTES // 2
_MAX_STREAM_ID = (1 << 31) - 1
_UNLIMITED_STREAMS = 1 << 31
# IDs of the settings that this client sends, and of the server settings that it applies.
_ENABLE_PUSH, _MAX_CONCURRENT_STREAMS, _INITIAL_WINDOW_SIZE, _MAX_FRAME_SIZE = 2, 3, 4, 5
_SETTING_BYTES = 6
_PING_BYTES = 8
_FLOW_CONTROL_ERROR, _CANCEL = 3, 8
# Number of reset streams that are remembered, because frames of the server may still arrive on
# them.
_MAX_RESET_STREAMS = 1 << 16


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """A response head, an interim head, or trailers."""

    stream_id: int
    fields: tuple[tuple[str, str], ...]
    ended: bool
    kind: HeadKind


class DataReceived(NamedTuple):
    """Content of DATA frames; ``ended`` marks the end of the stream."""

    stream_id: int
    data: bytes
    ended: bool
    largest_frame_bytes: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The server sent RST_STREAM."""

    stream_id: int
    code: str


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The server accepts no new streams, and ignores the streams after ``last_stream_id``."""

    last_stream_id: int
    code: str


ClientEvent = HeadersReceived | DataReceived | StreamReset | GoAwayReceived


class Http2Connection:
    """Client side of one connection.

    Attributes:
        max_streams: number of streams that the server allows at a time, which the caller must
            respect; ``None`` before its settings were received.
    """

    def __init__(self) -> None:
        self.max_streams: int | None = None
        self._out = bytearray(_OPENING)
        self._frames = Http2FrameReader()
        self._blocks = HeaderBlockReader()
        self._windows = SendWindows()
        self._windows_changed = False
        self._next_stream_id = 1
        self._used_bytes = 0
        # Streams whose response has not ended.
        self._streams: dict[int, ClientStream] = {}
        # Streams that either side has reset, oldest first.
        self._reset: dict[int, None] = {}

    @property
    def is_blocked(self) -> bool:
        """Return whether a request body waits for a flow-control window of the server."""
        return self._windows.is_blocked

    @property
    def missing_bytes(self) -> int:
        """Return the expected number of bytes up to the end of the next frame."""
        return self._frames.missing_bytes

    def request(self, fields: Fields, body: bytes) -> int:
        """Queue a request; return its stream ID.

        Raises:
            LocalProtocolError: all stream numbers of the connection are used.
        """
        stream_id = self._next_stream_id
        if stream_id > _MAX_STREAM_ID:
            raise LocalProtocolError(
                "the HTTP/2 connection has no stream number left; open another connection"
            )
        self._next_stream_id = stream_id + 2
        block, is_head = encode_fields(fields)
        stream = self._streams[stream_id] = ClientStream(stream_id, body, is_head=is_head)
        most = self._windows.max_frame_bytes
        self._out += encode_headers(stream_id, block, ended=not body, max_frame_bytes=most)
        if body:
            self._out += self._windows.send(stream)
        return stream_id

    def cancel(self, stream_id: int) -> None:
        """Queue an RST_STREAM frame; later frames on the stream are ignored."""
        stream = self._streams.get(stream_id)
        if stream is not None:
            self._close_by_reset(stream)
            self._out += encode_reset(stream_id, _CANCEL)

    def to_send(self) -> bytes:
        """Return the bytes to send now; there may be none."""
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive_data(self, data: bytes) -> list[ClientEvent]:
        """Return the events that ``data`` contains.

        Raises:
            RemoteProtocolError: the data is not valid HTTP/2.
        """
        found: list[ClientEvent] = []
        handlers, blocks = self._HANDLERS, self._blocks
        for frame in self._frames.receive_data(data):
            if blocks.is_incomplete and frame.kind != CONTINUATION:
                raise violation("a header block is interrupted by another frame")
            handler = handlers.get(frame.kind)
            if handler is not None and (event := handler(self, frame)) is not None:
                found.append(event)
        if self._windows_changed:
            self._windows_changed = False
            self._out += self._windows.send_all()
        return found

    def _receive_content(self, frame: Frame) -> DataReceived | None:
        stream_id, size = frame.stream_id, len(frame.payload)
        ended = bool(frame.flags & END_STREAM)
        self._used_bytes += size
        if self._used_bytes >= _REFILL_BYTES:
            self._out += encode_window_update(0, self._used_bytes)
            self._used_bytes = 0
        data = frame.data()
        stream = self._streams.get(stream_id)
        if stream is None:
            self._ignore(stream_id, ended=ended)
            return None
        stream.receive_content(len(data), ended=ended)
        if ended:
            self._end(stream)
        else:
            stream.used_bytes += size
            if stream.used_bytes >= _REFILL_BYTES:
                self._out += encode_window_update(stream_id, stream.used_bytes)
                stream.used_bytes = 0
        return DataReceived(stream_id, data, ended, size)

    def _receive_headers(self, frame: Frame) -> HeadersReceived | None:
        return self._receive_block(self._blocks.receive_headers(frame))

    def _receive_continuation(self, frame: Frame) -> HeadersReceived | None:
        return self._receive_block(self._blocks.receive_continuation(frame))

    def _receive_block(self, block: HeaderBlock | None) -> HeadersReceived | None:
        if block is None:
            return None
        stream_id, fields, ended = block
        stream = self._streams.get(stream_id)
        if stream is None:
            self._ignore(stream_id, ended=ended)
            return None
        kind = stream.receive_fields(fields, ended=ended)
        if ended:
            self._end(stream)
        return HeadersReceived(stream_id, fields, ended, kind)

    def _receive_reset(self, frame: Frame) -> StreamReset | None:
        code = _number(frame, "RST_STREAM")
        stream = self._open_stream(frame)
        if stream is None:
            return None
        self._close_by_reset(stream)
        return StreamReset(frame.stream_id, error_name(code))

    def _receive_window_update(self, frame: Frame) -> StreamReset | None:
        increment = _number(frame, "WINDOW_UPDATE") & 0x7FFFFFFF
        if not increment:
            raise violation("a WINDOW_UPDATE frame has the increment 0")
        if frame.stream_id == 0:
            self._windows.open_connection(increment)
            self._windows_changed = True
            return None
        stream = self._open_stream(frame)
        if stream is None:
            return None
        if not self._windows.open_stream(stream, increment):
            self._close_by_reset(stream)
            self._out += encode_reset(frame.stream_id, _FLOW_CONTROL_ERROR)
            return StreamReset(frame.stream_id, error_name(_FLOW_CONTROL_ERROR))
        self._out += self._windows.send(stream)
        return None

    def _receive_settings(self, frame: Frame) -> None:
        payload = frame.payload
        _check_connection_frame(frame, "SETTINGS")
        if len(payload) % _SETTING_BYTES or (frame.flags & ACK and payload):
            raise violation(f"a SETTINGS frame has {len(payload)} bytes")
        if frame.flags & ACK:
            return
        if self.max_streams is None:
            self.max_streams = _UNLIMITED_STREAMS
        for at in range(0, len(payload), _SETTING_BYTES):
            value = int.from_bytes(payload[at + 2 : at + 6], "big")
            self._apply(int.from_bytes(payload[at : at + 2], "big"), value)
        self._windows_changed = True
        self._out += _SETTINGS_ACK

    def _apply(self, setting: int, value: int) -> None:
        if setting == _MAX_CONCURRENT_STREAMS:
            self.max_streams = value
        elif setting == _INITIAL_WINDOW_SIZE:
            self._windows.set_initial(value)
        elif setting == _MAX_FRAME_SIZE:
            self._windows.set_max_frame(value)
        elif setting == _ENABLE_PUSH and value > 1:
            raise violation(f"SETTINGS_ENABLE_PUSH is {value}")

    def _receive_ping(self, frame: Frame) -> None:
        _check_connection_frame(frame, "PING")
        if len(frame.payload) != _PING_BYTES:
            raise violation(f"a PING frame has {len(frame.payload)} bytes")
        if not frame.flags & ACK:
            self._out += encode_frame(PING, ACK, 0, frame.payload)

    def _receive_goaway(self, frame: Frame) -> GoAwayReceived:
        _check_connection_frame(frame, "GOAWAY")
        payload = frame.payload
        if len(payload) < 8:
            raise violation(f"a GOAWAY frame has {len(payload)} bytes")
        last_stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
        return GoAwayReceived(last_stream_id, error_name(int.from_bytes(payload[4:8], "big")))

    def _receive_push_promise(self, frame: Frame) -> None:
        raise violation(f"PUSH_PROMISE on stream {frame.stream_id}, although push is disabled")

    def _open_stream(self, frame: Frame) -> ClientStream | None:
        """Return the stream to which a frame belongs, or ``None`` if that stream is closed.

        Raises:
            RemoteProtocolError: the stream was never opened.
        """
        stream_id = frame.stream_id
        if stream_id % 2 == 0 or stream_id >= self._next_stream_id:
            raise violation(f"a frame on stream {stream_id}, which was never opened")
        return self._streams.get(stream_id)

    def _ignore(self, stream_id: int, *, ended: bool) -> None:
        """Accept a frame on a stream that either side has reset.

        Raises:
            RemoteProtocolError: the stream has ended or was never opened.
        """
        if stream_id not in self._reset:
            raise violation(f"a frame on stream {stream_id}, which is not open")
        if ended:
            del self._reset[stream_id]

    def _end(self, stream: ClientStream) -> None:
        """Remove a stream whose response has ended."""
        del self._streams[stream.stream_id]
        if self._windows.discard(stream):
            # The server has responded before it received the whole body.
            self._out += encode_reset(stream.stream_id, _CANCEL)

    def _close_by_reset(self, stream: ClientStream) -> None:
        del self._streams[stream.stream_id]
        self._windows.discard(stream)
        self._reset[stream.stream_id] = None
        if len(self._reset) > _MAX_RESET_STREAMS:
            del self._reset[next(iter(self._reset))]

    _HANDLERS: ClassVar[dict[int, Callable[[Http2Connection, Frame], ClientEvent | None]]] = {
        DATA: _receive_content,
        HEADERS: _receive_headers,
        RST_STREAM: _receive_reset,
        SETTINGS: _receive_settings,
        PUSH_PROMISE: _receive_push_promise,
        PING: _receive_ping,
        GOAWAY: _receive_goaway,
        WINDOW_UPDATE: _receive_window_update,
        CONTINUATION: _receive_continuation,
    }


def _number(frame: Frame, name: str) -> int:
    """Return the payload of a frame whose payload is a single number."""
    if len(frame.payload) != 4:
        raise violation(f"a {name} frame has {len(frame.payload)} bytes")
    return int.from_bytes(frame.payload, "big")


def _check_connection_frame(frame: Frame, name: str) -> None:
    if frame.stream_id:
        raise violation(f"a {name} frame on stream {frame.stream_id} instead of stream 0")


def _setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


_SETTINGS_ACK = encode_frame(SETTINGS, ACK, 0)
_OPENING = (
    PREFACE
    + encode_frame(
        SETTINGS,
        0,
        0,
        _setting(_ENABLE_PUSH, 0)
        + _setting(_INITIAL_WINDOW_SIZE, WINDOW_BYTES)
        + _setting(_MAX_CONCURRENT_STREAMS, 100),
    )
    + encode_window_update(0, WINDOW_BYTES - DEFAULT_WINDOW_BYTES)
)
