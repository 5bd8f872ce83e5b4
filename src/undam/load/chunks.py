"""The chunked coding taken off (RFC 9112 7.1): most reads are one whole chunk and cost one look.

Whatever is not plain (extensions, trailers, faults) goes to llhttp, so that what counts as a
chunk is the same here as everywhere in this program.
"""

from __future__ import annotations

import re

from undam.wire.response import ResponseParser

_LINE_END = b"\r\n"
_END = b"0\r\n\r\n"
_SIZE = re.compile(rb"[0-9a-fA-F]{1,8}\Z")
# The longest line that a size without extensions makes, with the line end of the chunk before it.
_LINE_BYTES = 12
_PRIMING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# A chunk of one byte: it makes llhttp wait for the line end behind a chunk.
_ONE_BYTE = b"1\r\nX"


class Chunks:
    """A chunked body from its first byte on.

    Attributes:
        complete: its end has come; what follows is ignored.
    """

    def __init__(self) -> None:
        self.complete = False
        self._held = b""
        self._left = 0
        # The line end behind the data of a chunk has not come.
        self._open = False
        self._before = b""
        self._parser: ResponseParser | None = None

    def receive_data(self, data: bytes) -> bytes:
        """The body bytes in ``data``.

        Raises:
            RemoteProtocolError: the coding is broken; ``rest`` has the body bytes before that.
        """
        if not self._left and not self._held and not self._open:
            end = data.find(_LINE_END, 0, _LINE_BYTES)
            # int() alone would take "+5" and "1_0" for sizes.
            if end > 0 and data[:end].isalnum() and data[-2:] == _LINE_END:
                try:
                    size = int(data[:end], 16)
                except ValueError:
                    size = 0
                if size and end + size + 4 == len(data) and end <= 8:
                    return data[end + 2 : -2]
        return self._walk(data) if self._parser is None else self._through_parser(data)

    def rest(self) -> bytes:
        """After a fault: body bytes that came before it in the same read."""
        assert self._parser is not None
        return self._before + b"".join(self._parser.take_body())

    def _walk(self, data: bytes) -> bytes:
        data, self._held = self._held + data, b""
        body: list[bytes] = []
        at = 0
        while at < len(data) and not self.complete:
            if self._left:
                piece = data[at : at + self._left]
                body.append(piece)
                self._left -= len(piece)
                at += len(piece)
                self._open = not self._left
            elif (after := self._take_line(data, at)) < 0:
                body.append(self._irregular(data[at:], b"".join(body)))
                break
            elif after == at:
                self._held = data[at:]
                break
            else:
                at = after
        return b"".join(body)

    def _take_line(self, data: bytes, at: int) -> int:
        """Take the line with a size that begins at ``at``; where it ends.

        ``at`` itself means that more must come, and -1 that this is no plain line.
        """
        begin = at + 2 if self._open else at
        if not _LINE_END.startswith(data[at : min(begin, at + 2)]):
            return -1
        end = data.find(_LINE_END, begin, begin + _LINE_BYTES)
        if end < 0:
            return at if len(data) - begin < _LINE_BYTES else -1
        if data[begin:end] == b"0":
            last = data[begin : begin + len(_END)]
            self.complete = last == _END
            return begin + len(_END) if self.complete else at if _END.startswith(last) else -1
        if not _SIZE.match(data[begin:end]):
            return -1
        self._left, self._open = int(data[begin:end], 16), False
        return end + 2 if self._left else -1

    def _irregular(self, data: bytes, before: bytes) -> bytes:
        self._parser = ResponseParser()
        self._parser.receive_data(_PRIMING + (_ONE_BYTE if self._open else b""))
        self._before = before
        body = self._through_parser(data)
        self._before = b""
        return body

    def _through_parser(self, data: bytes) -> bytes:
        assert self._parser is not None
        body = self._parser.receive_data(data)
        self.complete = self._parser.complete
        return b"".join(body)
