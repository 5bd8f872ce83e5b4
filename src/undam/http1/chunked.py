"""Chunked transfer coding (RFC 9112, 7.1): encoder, and decoder for request and response bodies.

For requests, the decoder rejects any input that two implementations could interpret differently,
because request smuggling depends on such differences. An upstream is trusted, so for responses the
decoder accepts the spaces around sizes and extensions that nginx and HAProxy accept, too.
"""

from __future__ import annotations

import re

from undam.errors import RemoteProtocolError

LAST_CHUNK = b"0\r\n\r\n"
"""End of a chunked body without trailers."""

# Only attacks on parsers use chunks of 16^8 bytes or more, or size lines longer than this.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})((?:[ \t]*;[\t -~]{0,200})?)\r\n")
_MAX_LINE_BYTES = 256
_LENIENT_SIZE = re.compile(rb"0{0,64}([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]{0,4096})?\r\n")
_MAX_LENIENT_LINE_BYTES = 5 << 10
_TRAILER = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+\r\n")
_MAX_TRAILER_BYTES = 4 << 10
# Chunk extensions and small chunks are legitimate, but a body that consists mostly of framing is an
# attack. Framing beyond this allowance must not exceed the content.
_FRAMING_ALLOWANCE_BYTES = 16 << 10


def encode_chunk(data: bytes) -> bytes:
    """Return ``data`` as one chunk; ``data`` must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class ChunkedDecoder:
    """Decoder for one body. It discards extensions and trailers.

    Args:
        lenient: accept deviations from the grammar that are unambiguous, for responses.
    """

    __slots__ = ("_body_bytes", "_framing_bytes", "_in_trailer", "_left", "_lenient")

    def __init__(self, *, lenient: bool = False) -> None:
        self._lenient = lenient
        self._left = 0
        self._in_trailer = False
        self._body_bytes = 0
        self._framing_bytes = 0

    @property
    def between_chunks(self) -> bool:
        """True if the next byte begins a size line."""
        return not (self._left or self._in_trailer)

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
                # `_left` includes the line end (two bytes) after the chunk.
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
            if at == len(data):
                return b"".join(pieces), b"", False
            line = (_LENIENT_SIZE if self._lenient else _SIZE).match(data, at)
            if line is None:
                if self._lenient:
                    _check_lenient_line(data[at : at + _MAX_LENIENT_LINE_BYTES + 1])
                else:
                    _check_partial_line(data[at : at + _MAX_LINE_BYTES + 1])
                return b"".join(pieces), data[at:], False
            size = int(line[1], 16)
            if not self._lenient:
                self._count(size, line.end() - at + 2)
            at = line.end()
            self._left = size + 2 if size else 0
            self._in_trailer = not size
        end = _trailer_end(data, at, lenient=self._lenient)
        if end is None:
            return b"".join(pieces), data[at:], False
        return b"".join(pieces), data[end:], True

    def _count(self, body_bytes: int, framing_bytes: int) -> None:
        self._body_bytes += body_bytes
        self._framing_bytes += framing_bytes
        if self._framing_bytes > _FRAMING_ALLOWANCE_BYTES + self._body_bytes:
            raise RemoteProtocolError("the body is mostly chunk framing")


def _trailer_end(data: bytes, at: int, *, lenient: bool) -> int | None:
    """Return the end of the trailer section that begins at ``at``; ``None`` if it is incomplete."""
    if data[at : at + 2] == b"\r\n":
        return at + 2
    blank_line = data.find(b"\r\n\r\n", at)
    if blank_line < 0:
        bare = not lenient and b"\n" in data[at:].replace(b"\r\n", b"")
        if bare or len(data) - at > _MAX_TRAILER_BYTES:
            raise RemoteProtocolError("the trailer is malformed")
        return None
    end = blank_line + 4
    if end - at > _MAX_TRAILER_BYTES or not (lenient or _TRAILER.fullmatch(data, at, end)):
        raise RemoteProtocolError("the trailer is malformed")
    return end


def _check_partial_line(line: bytes) -> None:
    """Raise an error if ``line`` cannot be the beginning of a valid size line."""
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


def _check_lenient_line(line: bytes) -> None:
    """Raise an error if ``line`` cannot be the beginning of a size line in a response."""
    digits = line.partition(b";")[0].rstrip(b"\r \t")
    if (
        len(line) > _MAX_LENIENT_LINE_BYTES
        or b"\n" in line
        or (digits and re.fullmatch(rb"0*[0-9A-Fa-f]{0,15}", digits) is None)
        or (not digits and line)
    ):
        raise RemoteProtocolError("a chunk size is malformed")
