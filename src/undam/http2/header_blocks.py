"""Header blocks of requests and responses: HPACK coding, and the division into frames.

Every field of a request is encoded as a literal that is never indexed, or as an entry of the static
table. A block therefore does not depend on the state of a connection, and is encoded only once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError, OversizedHeaderListError
from hpack.struct import NeverIndexedHeaderTuple

from undam.http2.frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PRIORITY,
    Frame,
    encode_frame,
    violation,
)

Field = tuple[str, str] | tuple[bytes, bytes]
Fields = Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]

MAX_BLOCK_BYTES = 65536
"""Limit of a received block, compressed and decompressed."""

_CACHED_BLOCKS = 64
_PRIORITY_BYTES = 5
# This overhead is added for each frame of a block, so that the limit also covers empty frames.
_FRAME_OVERHEAD_BYTES = 9
_CONTENT_LENGTH = b"content-length"
# Content-Length has index 28 in the static table.
_CONTENT_LENGTH_LITERAL = b"\x1f\x0d"
_MAX_PLAIN_LENGTH = 126


class EncodedFields(NamedTuple):
    """Header block of a request; ``is_head`` is true for the HEAD method."""

    block: bytes
    is_head: bool


def encode_fields(fields: Fields) -> EncodedFields:
    """Return the header block of a request.

    A Content-Length at the end is not part of the cached block, because it often differs between
    requests that are otherwise equal.
    """
    key: tuple[Field, ...] = tuple(fields)
    name, value = key[-1]
    if name == _CONTENT_LENGTH and isinstance(value, bytes) and len(value) <= _MAX_PLAIN_LENGTH:
        block, is_head = _encode(key[:-1])
        literal = b"%b%c%b" % (_CONTENT_LENGTH_LITERAL, len(value), value)
        return EncodedFields(block + literal, is_head)
    return _encode(key)


@lru_cache(maxsize=_CACHED_BLOCKS)
def _encode(fields: tuple[Field, ...]) -> EncodedFields:
    plain = [NeverIndexedHeaderTuple(_plain(name), _plain(value)) for name, value in fields]
    return EncodedFields(Encoder().encode(plain), (b":method", b"HEAD") in plain)


def _plain(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode()


def encode_headers(stream_id: int, block: bytes, *, ended: bool, max_frame_bytes: int) -> bytes:
    """Return a header block as a HEADERS frame, followed by CONTINUATION frames if necessary."""
    flags = END_STREAM if ended else 0
    if len(block) <= max_frame_bytes:
        return encode_frame(HEADERS, flags | END_HEADERS, stream_id, block)
    frames = [encode_frame(HEADERS, flags, stream_id, block[:max_frame_bytes])]
    for at in range(max_frame_bytes, len(block), max_frame_bytes):
        end = at + max_frame_bytes
        last = END_HEADERS if end >= len(block) else 0
        frames.append(encode_frame(CONTINUATION, last, stream_id, block[at:end]))
    return b"".join(frames)


class HeaderBlock(NamedTuple):
    """Decoded header block; ``ended`` marks the end of the stream."""

    stream_id: int
    fields: tuple[tuple[str, str], ...]
    ended: bool


class HeaderBlockReader:
    """Reader that joins and decodes the header blocks on a connection.

    Attributes:
        is_incomplete: whether the next frame must continue a block.
    """

    def __init__(self) -> None:
        self.is_incomplete = False
        self._decoder = Decoder(MAX_BLOCK_BYTES)
        self._stream_id = 0
        self._ended = False
        self._block = bytearray()
        self._size = 0

    def receive_headers(self, frame: Frame) -> HeaderBlock | None:
        """Return the block that a HEADERS frame completes.

        Raises:
            RemoteProtocolError: the frame or the block is invalid or too large.
        """
        self._stream_id, self._ended = frame.stream_id, bool(frame.flags & END_STREAM)
        self._size = 0
        return self._receive(_fragment(frame), frame.flags)

    def receive_continuation(self, frame: Frame) -> HeaderBlock | None:
        """Return the block that a CONTINUATION frame completes.

        Raises:
            RemoteProtocolError: the frame does not continue a block, or the block is invalid.
        """
        if not self.is_incomplete or frame.stream_id != self._stream_id:
            raise violation("a CONTINUATION frame does not follow its HEADERS frame")
        return self._receive(frame.payload, frame.flags)

    def _receive(self, fragment: bytes, flags: int) -> HeaderBlock | None:
        self._size += len(fragment) + _FRAME_OVERHEAD_BYTES
        if self._size > MAX_BLOCK_BYTES:
            raise violation(f"a header block is larger than {MAX_BLOCK_BYTES} bytes")
        self._block += fragment
        self.is_incomplete = not flags & END_HEADERS
        if self.is_incomplete:
            return None
        block, self._block = bytes(self._block), bytearray()
        return HeaderBlock(self._stream_id, self._decode(block), self._ended)

    def _decode(self, block: bytes) -> tuple[tuple[str, str], ...]:
        try:
            fields = self._decoder.decode(block, raw=True)
        except OversizedHeaderListError:
            raise violation(f"a header block is larger than {MAX_BLOCK_BYTES} bytes") from None
        except (HPACKError, IndexError, UnicodeDecodeError):
            raise violation("a header block cannot be decoded (HPACK)") from None
        return tuple((_text(name), _text(value)) for name, value in fields)


def _text(octets: str | bytes) -> str:
    return octets if isinstance(octets, str) else octets.decode("latin-1")


def _fragment(frame: Frame) -> bytes:
    """Return the fragment of the block in a HEADERS frame, without padding and priority."""
    payload, start, padding = frame.payload, 0, 0
    if frame.flags & PADDED:
        start, padding = 1, payload[0] if payload else 0
    if frame.flags & PRIORITY:
        start += _PRIORITY_BYTES
    if start + padding > len(payload):
        raise violation("a HEADERS frame is too short for its padding or priority")
    return payload[start : len(payload) - padding]
