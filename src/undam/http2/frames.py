"""HTTP/2 frames (RFC 9113, 4 and 6): parsing and encoding, without connection state.

A frame takes about 1 us, because streams of tokens consist of many small DATA frames.
"""

from __future__ import annotations

from typing import NamedTuple

from undam.errors import RemoteProtocolError

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
PUSH_PROMISE, CONTINUATION = 5, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""First bytes of a client."""

MAX_FRAME_BYTES = 16384
"""Largest frame that a peer may send unless SETTINGS_MAX_FRAME_SIZE allows more."""

_HEAD_BYTES = 9
_HTTP1 = b"HTTP/1."

ERROR_NAMES = (
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT",
    "STREAM_CLOSED", "FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR",
    "CONNECT_ERROR", "ENHANCE_YOUR_CALM", "INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
)  # fmt: skip


class Frame(NamedTuple):
    """One frame. ``payload`` includes the padding."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    def encode(self) -> bytes:
        """Return the frame as it was received."""
        return encode_frame(self.kind, self.flags, self.stream_id, self.payload)

    def data(self) -> bytes:
        """Return the content of a DATA frame, without padding.

        Raises:
            RemoteProtocolError: the padding is longer than the frame.
        """
        if not self.flags & PADDED:
            return self.payload
        if not self.payload or self.payload[0] >= len(self.payload):
            raise RemoteProtocolError("the server sent a DATA frame with invalid padding")
        return self.payload[1 : len(self.payload) - self.payload[0]]


class Http2FrameReader:
    """Parser that divides the bytes received on a connection into frames."""

    def __init__(self) -> None:
        self._rest = b""
        self._latest_bytes = _HEAD_BYTES

    @property
    def pending_bytes(self) -> int:
        """Number of bytes received of an incomplete frame."""
        return len(self._rest)

    @property
    def missing_bytes(self) -> int:
        """Number of bytes up to the end of the next frame.

        If its length has not been received, the frame is assumed to be as long as the latest one.
        """
        rest = self._rest
        if len(rest) < 3:
            return self._latest_bytes - len(rest)
        return _HEAD_BYTES + int.from_bytes(rest[:3], "big") - len(rest)

    def receive_data(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes.

        Raises:
            RemoteProtocolError: a frame is larger than the default maximum.
        """
        data = self._rest + data if self._rest else data
        frames: list[Frame] = []
        at, end = 0, len(data)
        while end - at >= _HEAD_BYTES:
            length = data[at] << 16 | data[at + 1] << 8 | data[at + 2]
            if data.startswith(_HTTP1, at):
                raise RemoteProtocolError("the server uses HTTP/1 here, not HTTP/2; try --http1")
            if length > MAX_FRAME_BYTES:
                raise RemoteProtocolError(
                    f"the server sent a frame of {length} bytes; the limit is {MAX_FRAME_BYTES}"
                )
            start = at + _HEAD_BYTES
            if end - start < length:
                break
            stream_id = int.from_bytes(data[at + 5 : start], "big") & 0x7FFFFFFF
            payload = data[start : start + length]
            frames.append(Frame(data[at + 3], data[at + 4], stream_id, payload))
            at = start + length
            self._latest_bytes = _HEAD_BYTES + length
        self._rest = data[at:]
        return frames


def encode_frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    return b"%b%c%c%b%b" % (
        len(payload).to_bytes(3, "big"),
        kind,
        flags,
        stream_id.to_bytes(4, "big"),
        payload,
    )


def encode_window_update(stream_id: int, increment: int) -> bytes:
    """Return a WINDOW_UPDATE frame. Stream 0 stands for the connection."""
    return encode_frame(WINDOW_UPDATE, 0, stream_id, increment.to_bytes(4, "big"))


def error_name(code: int) -> str:
    """Return the name of an error code, or its number."""
    return ERROR_NAMES[code] if code < len(ERROR_NAMES) else f"error {code}"


def encode_reset(stream_id: int, code: int) -> bytes:
    """Return an RST_STREAM frame."""
    return encode_frame(RST_STREAM, 0, stream_id, code.to_bytes(4, "big"))


def violation(reason: str) -> RemoteProtocolError:
    """Return the error for a server frame that violates HTTP/2."""
    return RemoteProtocolError(f"the server violated HTTP/2: {reason}")
