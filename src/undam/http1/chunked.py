"""Chunked transfer coding (RFC 9112, 7.1): encoder, and strict decoder for request bodies.

The decoder rejects any input that two implementations could interpret differently, because request
smuggling depends on such differences. Responses are decoded by llhttp, which is more lenient.
"""

from __future__ import annotations

import re

from undam.errors import RemoteProtocolError

LAST_CHUNK = b"0\r\n\r\n"
"""End of a chunked body without trailers."""

# Sizes above 16^8 bytes and longer lines than this occur only in attacks on parsers.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})((?:[ \t]*;[\t -~]{0,200})?)\r\n")
_MAX_LINE_BYTES = 256
_TRAILER = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+\r\n")
_MAX_TRAILER_BYTES = 4 << 10
# Chunk extensions and small chunks are legitimate, but a body that consists mostly of framing is an
# attack. Beyond this allowance, framing must not exceed the content.
_FRAMING_ALLOWANCE_BYTES = 16 << 10


def encode_chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk; ``data`` must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedDecoder:
    """Decoder for the body of one request. Extensions and trailers are dropped."""

    __slots__ = ("_body_bytes", "_framing_bytes", "_in_trailer", "_left")

    def __init__(self) -> None:
        self._left = 0
        self._in_trailer = False
        self._body_bytes = 0
        self._framing_bytes = 0

    def decode(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Decode as much of ``data`` as possible.

        Returns:
            The body bytes, the rest of ``data``, and whether the body is complete. The rest must be
            prepended to the next read; after a complete body, it belongs to the next message.

        Raises:
            RemoteProtocolError: the coding is malformed, or the body is mostly framing.
        """
        pieces: list[bytes] = []
        at = 0
        while not self._in_trailer:
            if self._left:
                # `_left` includes the two bytes of the line end after the chunk.
                piece = data[at : at + max(0, self._left - 2)]
                pieces.append(piece)
                self._left -= len(piece)
                at += len(piece)
                if self._left > 2 or len(data) - at < 2:
                    return b"".join(pieces), data[at:], False
                if data[at : at + 2] != b"\r\n":
                    raise RemoteProtocolError("a chunk is longer than its size line states")
                at += 2
                self._left = 0
            line = _SIZE.match(data, at)
            if line is None:
                _check_partial_line(data[at : at + _MAX_LINE_BYTES + 1])
                return b"".join(pieces), data[at:], False
            size = int(line[1], 16)
            self._count(size, line.end() - at + 2)
            at = line.end()
            self._left = size + 2 if size else 0
            self._in_trailer = not size
        end = _trailer_end(data, at)
        if end is None:
            return b"".join(pieces), data[at:], False
        return b"".join(pieces), data[end:], True

    def _count(self, body_bytes: int, framing_bytes: int) -> None:
        self._body_bytes += body_bytes
        self._framing_bytes += framing_bytes
        if self._framing_bytes > _FRAMING_ALLOWANCE_BYTES + self._body_bytes:
            raise RemoteProtocolError("the body is mostly chunk framing")


def _trailer_end(data: bytes, at: int) -> int | None:
    """Return the end of the trailer section that begins at ``at``; ``None`` if incomplete."""
    if data[at : at + 2] == b"\r\n":
        return at + 2
    blank_line = data.find(b"\r\n\r\n", at)
    if blank_line < 0:
        if len(data) - at > _MAX_TRAILER_BYTES or b"\n" in data[at:].replace(b"\r\n", b""):
            raise RemoteProtocolError("the trailer is malformed")
        return None
    end = blank_line + 4
    if end - at > _MAX_TRAILER_BYTES or _TRAILER.fullmatch(data, at, end) is None:
        raise RemoteProtocolError("the trailer is malformed")
    return end


def _check_partial_line(line: bytes) -> None:
    """Raise an error if ``line`` cannot become a valid size line."""
    size, has_extension, extension = line.partition(b";")
    digits = size.rstrip(b" \t") if has_extension else size.rstrip(b"\r \t")
    if (
        len(line) > _MAX_LINE_BYTES
        or b"\n" in line
        or b"\r" in line[:-1]
        or len(digits) > 8
        or (digits and re.fullmatch(rb"[0-9A-Fa-f]+", digits) is None)
        or (not digits and size)
        or (has_extension and not digits)
        or re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]", extension)
    ):
        raise RemoteProtocolError("a chunk size is malformed")
