"""Chunked decoder for responses (RFC 9112 7.1), with a fast path for reads of one whole chunk.

Extensions, trailers and malformed data are passed to llhttp, so that a load test accepts the same
responses as `wire.response`. The stricter decoder of `http1.chunked` is for request bodies.
"""

from __future__ import annotations

import re

from undam.http1.chunked import LAST_CHUNK
from undam.wire.response import ResponseParser

_LINE_END = b"\r\n"
_ZERO = LAST_CHUNK[0]
_SIZE = re.compile(rb"([0-9a-fA-F]{1,8})\r\n")
# Beginning of a plain size line whose end has not arrived. llhttp reports the errors in other
# lines.
_PARTIAL_SIZE = re.compile(rb"(?:0?|[1-9a-fA-F][0-9a-fA-F]{0,7})\r?\Z")
# Longest size line without extensions, including the line end of the previous chunk.
_LINE_BYTES = 12
_HEAD_FOR_PARSER = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
# A one-byte chunk without its line end puts llhttp into the state that follows chunk data.
_ONE_BYTE = b"1\r\nX"


class ResponseChunkDecoder:
    """Decoder for a chunked body, starting at its first byte.

    Attributes:
        complete: whether the end of the body was received; later data is ignored.
    """

    def __init__(self) -> None:
        self.complete = False
        self._held = b""
        self._left = 0
        # True if the line end after the data of a chunk has not arrived.
        self._open = False
        self._before = b""
        self._parser: ResponseParser | None = None

    def receive_data(self, data: bytes) -> bytes:
        """Return the body bytes in ``data``.

        Raises:
            RemoteProtocolError: the coding is invalid; ``rest`` returns the body bytes before.
        """
        if not self._left and not self._held and not self._open:
            line = _SIZE.match(data)
            if line is not None and data[-2:] == _LINE_END:
                size = int(line[1], 16)
                begin = line.end()
                if size and begin + size + 2 == len(data):
                    return data[begin:-2]
        return self._decode(data) if self._parser is None else self._parse(data)

    def rest(self) -> bytes:
        """Return the body bytes that preceded the error in the failed read."""
        assert self._parser is not None
        return self._before + b"".join(self._parser.take_body())

    def close(self) -> None:
        """Free the parser; see `wire.response.ResponseParser.close`."""
        if self._parser is not None:
            self._parser.close()

    def _decode(self, data: bytes) -> bytes:
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
                body.append(self._switch_to_parser(data[at:], b"".join(body)))
                break
            elif after == at:
                self._held = data[at:]
                break
            else:
                at = after
        return b"".join(body)

    def _take_line(self, data: bytes, at: int) -> int:
        """Parse the size line at ``at`` and return the position of its end.

        Returns ``at`` if the line is incomplete, and -1 if it is not a plain size line.
        """
        begin = at + 2 if self._open else at
        if not _LINE_END.startswith(data[at : min(begin, at + 2)]):
            return -1
        end = data.find(_LINE_END, begin, begin + _LINE_BYTES)
        if end < 0:
            return at if _PARTIAL_SIZE.match(data, begin) else -1
        if data[begin:end] == b"0":
            last = data[begin : begin + len(LAST_CHUNK)]
            self.complete = last == LAST_CHUNK
            if self.complete:
                return begin + len(LAST_CHUNK)
            return at if LAST_CHUNK.startswith(last) else -1
        line = _SIZE.match(data, begin)
        if line is None or data[begin] == _ZERO:
            return -1
        self._left, self._open = int(line[1], 16), False
        return line.end()

    def _switch_to_parser(self, data: bytes, before: bytes) -> bytes:
        self._parser = ResponseParser()
        self._parser.receive_data(_HEAD_FOR_PARSER + (_ONE_BYTE if self._open else b""))
        self._before = before
        body = self._parse(data)
        self._before = b""
        return body

    def _parse(self, data: bytes) -> bytes:
        assert self._parser is not None
        body = self._parser.receive_data(data)
        self.complete = self._parser.complete
        return b"".join(body)
