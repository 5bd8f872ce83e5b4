"""Chunked coding of a request's body, read strictly (RFC 9112, 7.1). No I/O."""

from __future__ import annotations

import re

from undam.errors import RemoteProtocolError

# Sizes above 16^8 bytes, like lines above this, have no use but attacks on parsers.
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})((?:[ \t]*;[\t -~]{0,200})?)\r\n")
_MAX_LINE_BYTES = 256
_TRAILER = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]++:[\t -~\x80-\xff]*+\r\n)*+\r\n")
_MAX_TRAILER_BYTES = 4 << 10
# One chunk may carry an extension; a body that consists of them is an attack, and so is one of
# single bytes, whose framing costs more than its content.
_FREE_BYTES = 16 << 10


class ChunkedReader:
    """The body of one message. Extensions and trailers are read and dropped."""

    __slots__ = ("_body", "_framing", "_in_trailer", "_left")

    def __init__(self) -> None:
        self._left = 0
        self._in_trailer = False
        self._body = 0
        self._framing = 0

    def take(self, data: bytes) -> tuple[bytes, bytes, bool]:
        """Returns the body's bytes in ``data``, what is left of it to be given again with the
        next read (or the next message's beginning), and whether the body is complete.

        Raises:
            RemoteProtocolError: it is malformed, or nearly all framing.
        """
        pieces: list[bytes] = []
        at = 0
        while not self._in_trailer:
            if self._left:
                # The two bytes of the chunk's line end count as left, too.
                piece = data[at : at + max(0, self._left - 2)]
                pieces.append(piece)
                self._left -= len(piece)
                at += len(piece)
                if self._left > 2 or len(data) - at < 2:
                    return b"".join(pieces), data[at:], False
                if data[at : at + 2] != b"\r\n":
                    raise RemoteProtocolError("a chunk is longer than it says")
                at += 2
                self._left = 0
            line = _SIZE.match(data, at)
            if line is None:
                self._check_unfinished(data[at : at + _MAX_LINE_BYTES + 1])
                return b"".join(pieces), data[at:], False
            size = int(line[1], 16)
            self._count(size, line.end() - at + 2)
            at = line.end()
            self._left = size + 2 if size else 0
            self._in_trailer = not size
        end = data.find(b"\r\n", at) if data[at : at + 2] == b"\r\n" else data.find(b"\r\n\r\n", at)
        if end < 0:
            if len(data) - at > _MAX_TRAILER_BYTES or b"\n" in data[at:].replace(b"\r\n", b""):
                raise RemoteProtocolError("the trailer is malformed")
            return b"".join(pieces), data[at:], False
        end += 2 if data[at : at + 2] == b"\r\n" else 4
        if end - at > _MAX_TRAILER_BYTES or _TRAILER.fullmatch(data, at, end) is None:
            raise RemoteProtocolError("the trailer is malformed")
        return b"".join(pieces), data[end:], True

    def _count(self, body: int, framing: int) -> None:
        self._body += body
        self._framing += framing
        if self._framing > _FREE_BYTES + self._body:
            raise RemoteProtocolError("the body is nearly all framing")

    def _check_unfinished(self, line: bytes) -> None:
        """A size line that is not whole yet must be able to become one."""
        size, found, rest = line.partition(b";")
        digits = size.rstrip(b" \t") if found else size.rstrip(b"\r \t")
        if (
            len(line) > _MAX_LINE_BYTES
            or b"\n" in line
            or b"\r" in line[:-1]
            or len(digits) > 8
            or (digits and re.fullmatch(rb"[0-9A-Fa-f]+", digits) is None)
            or (not digits and size)
            or (found and not digits)
            or re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\xff]", rest)
        ):
            raise RemoteProtocolError("a chunk's size is malformed")
