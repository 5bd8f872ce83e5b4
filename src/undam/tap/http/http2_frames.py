"""Frames in one direction of a captured HTTP/2 connection (RFC 9113, 4 and 6).

A client passes on the content of a DATA frame as it arrives, so its parts are returned before the
frame is complete. All other frames are returned whole.
"""

from __future__ import annotations

from typing import NamedTuple

from undam.errors import RemoteProtocolError
from undam.http2.frames import DATA, PADDED

_HEAD_BYTES = 9
# Frames other than DATA are small, because peers limit header blocks to a few hundred KB.
_MAX_FRAME_BYTES = 1 << 20


class FramePart(NamedTuple):
    """A frame, or part of a DATA frame.

    Args:
        payload: content without padding for DATA, otherwise the whole payload.
        is_last: whether the frame is complete with this part.
        consumed: bytes of the flow-control window that this part of a DATA frame uses.
    """

    kind: int
    flags: int
    stream_id: int
    payload: bytes
    is_last: bool = True
    consumed: int = 0


class FrameDivider:
    """Parser that divides the bytes in one direction into frames."""

    def __init__(self) -> None:
        self._buffer = b""
        self._flags = self._stream_id = 0
        self._content_left = self._padding_left = 0
        self._in_data = False

    @property
    def data_stream_id(self) -> int | None:
        """Stream ID of an incomplete DATA frame; ``None`` if there is none."""
        return self._stream_id if self._in_data else None

    def receive_data(self, data: bytes) -> list[FramePart]:
        """Return the complete frames in ``data``, and the parts of incomplete DATA frames.

        Raises:
            RemoteProtocolError: the bytes are not frames.
        """
        buffer = self._buffer + data if self._buffer else data
        parts: list[FramePart] = []
        at, end = 0, len(buffer)
        while at < end:
            if self._in_data:
                part = self._take_data(buffer, at)
                at += part.consumed
                parts.append(part)
                continue
            if end - at < _HEAD_BYTES:
                break
            length = int.from_bytes(buffer[at : at + 3], "big")
            kind, flags = buffer[at + 3], buffer[at + 4]
            stream_id = int.from_bytes(buffer[at + 5 : at + 9], "big") & 0x7FFFFFFF
            start = at + _HEAD_BYTES
            if kind == DATA:
                padded = bool(flags & PADDED)
                if padded and end == start:
                    break
                self._begin_data(flags, stream_id, length, buffer[start] if padded else None)
                at = start + padded
                if not length - padded:
                    self._in_data = False
                    parts.append(FramePart(DATA, flags, stream_id, b"", True, padded))
                continue
            if length > _MAX_FRAME_BYTES:
                raise RemoteProtocolError(f"a frame of {length} bytes is too large")
            if end - start < length:
                break
            parts.append(FramePart(kind, flags, stream_id, buffer[start : start + length]))
            at = start + length
        self._buffer = buffer[at:]
        return parts

    def _begin_data(self, flags: int, stream_id: int, length: int, padding: int | None) -> None:
        content = length if padding is None else length - 1 - padding
        if content < 0:
            raise RemoteProtocolError("a DATA frame has invalid padding")
        self._flags, self._stream_id, self._in_data = flags, stream_id, True
        self._content_left, self._padding_left = content, padding or 0

    def _take_data(self, buffer: bytes, at: int) -> FramePart:
        """Return the part of the current DATA frame that starts at ``at``."""
        payload = buffer[at : at + self._content_left]
        self._content_left -= len(payload)
        padding = min(self._padding_left, len(buffer) - at - len(payload))
        self._padding_left -= padding
        self._in_data = bool(self._content_left or self._padding_left)
        return FramePart(
            DATA, self._flags, self._stream_id, payload, not self._in_data, len(payload) + padding
        )

    def skip(self, count: int) -> FramePart | None:
        """Skip missing bytes; return ``None`` unless all of them belong to one DATA frame."""
        if not self._in_data or self._buffer:
            return None
        if count > self._content_left + self._padding_left:
            return None
        content = min(count, self._content_left)
        self._content_left -= content
        self._padding_left -= count - content
        self._in_data = bool(self._content_left or self._padding_left)
        return FramePart(DATA, self._flags, self._stream_id, b"", not self._in_data, count)


def looks_like_frames(data: bytes) -> bool:
    """Return whether a segment from the middle of a connection consists of HTTP/2 frames."""
    at, count = 0, 0
    while at + _HEAD_BYTES <= len(data):
        length, kind = int.from_bytes(data[at : at + 3], "big"), data[at + 3]
        if kind > 9 or length > 1 << 16 or data[at + 5] & 0x80:
            return False
        at += _HEAD_BYTES + length
        count += 1
    return count > 0 and at == len(data)
