"""The chunked coding taken off (RFC 9112 7.1): most reads are one whole chunk and cost one look.

Whatever is not plain (extensions, trailers, faults) goes to llhttp, so that what counts as a
chunk is the same here as everywhere in this program.
"""

from __future__ import annotations

import re

from undam.wire.response import ResponseParser

_LINE_END = b"\r\n"
_END = b"0\r\n\r\n"
_ZERO = _END[0]
_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")
# A line whose end has not come: of another form, it is llhttp's to say what is wrong with it.
_PART = re.compile(rb"(?:0?|[1-9a-fA-F][0-9a-fA-F]{0,7})\r?\Z")
# The longest line that a size without extensions makes, with the line end of the chunk before it.
_LINE_BYTES = 12
_PRIMING = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# A chunk of one byte: it makes llhttp wait for the line end behind a chunk.
_ONE_BYTE = b"1\r\nX"


class ChunkDecoder:
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
            line = _SIZE.match(data)
            if line is not None and data[-2:] == _LINE_END:
                size = int(line[1], 16)
                begin = line.end()
                if size and begin + size + 2 == len(data):
                    return data[begin:-2]
        return self._walk(data) if self._parser is None else self._through_parser(data)

    def rest(self) -> bytes:
        """After a fault: body bytes that came before it in the same read."""
        assert self._parser is not None
        return self._before + b"".join(self._parser.take_body())

    def close(self) -> None:
        """See `wire.response.ResponseParser.close`."""
        if self._parser is not None:
            self._parser.close()

    def _walk(self, data: bytes) -> bytes:
        data, self._held = self._held + data, b""
        body: list[bytes] = []
        at, size = 0, len(data)
        while at < size and not self.complete:
            if self._left:
                piece = data[at : at + self._left]
                body.append(piece)
                self._left -= len(piece)
                at += len(piece)
                self._open = not self._left
                if self._open and data[at : at + 2] == _LINE_END:
                    at += 2
                    self._open = False
            elif not self._open and (line := _SIZE.match(data, at)) and data[at] != _ZERO:
                self._left = int(line[1], 16)
                at = line.end()
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
            return at if _PART.match(data, begin) else -1
        if data[begin:end] == b"0":
            last = data[begin : begin + len(_END)]
            self.complete = last == _END
            return begin + len(_END) if self.complete else at if _END.startswith(last) else -1
        line = _SIZE.match(data, begin)
        if line is None or data[begin] == _ZERO:
            return -1
        self._left, self._open = int(line[1], 16), False
        return line.end()

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
