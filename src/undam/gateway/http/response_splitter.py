"""Splitter for the gateway's own HTTP/1.1 responses, into headers and body. No I/O.

A stream of HTTP/2 is served by the same code as a connection of HTTP/1.1. Its responses are
well-formed, because the gateway has written them, so their parts are only separated here.
"""

from __future__ import annotations

from undam.gateway.http.upstream_response import STATUS_WITHOUT_BODY
from undam.http1.chunked import ChunkedDecoder
from undam.http1.headers import RawHeaders

# Connection-specific headers, which are not allowed in HTTP/2 (RFC 9113, 8.2.2).
_CONNECTION_HEADERS = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"}
)
_BLANK_LINE = b"\r\n\r\n"


class ResponseSplitter:
    """Splitter for one response.

    Attributes:
        started: the final head was returned.
        ended: the whole response was returned.

    Args:
        without_body: the request is a HEAD request.
    """

    __slots__ = ("_decoder", "_left", "_unread", "_without_body", "ended", "started")

    def __init__(self, *, without_body: bool) -> None:
        self.started = self.ended = False
        self._without_body = without_body
        self._decoder: ChunkedDecoder | None = None
        self._left = 0
        self._unread = b""

    def receive_data(self, data: bytes) -> tuple[RawHeaders | None, bytes]:
        """Return the headers, once they are complete, and the body bytes in the received data.

        The headers begin with ``:status``.
        """
        headers = None
        if not self.started:
            data = self._unread + data
            headers, data = self._split_head(data)
            if headers is None:
                self._unread = data
                return None, b""
        if self._decoder is not None:
            return headers, self._decode(data)
        body = data[: self._left]
        self._left -= len(body)
        self.ended = not self._left
        return headers, body

    def _split_head(self, data: bytes) -> tuple[RawHeaders | None, bytes]:
        while True:
            head, found, rest = data.partition(_BLANK_LINE)
            if not found:
                return None, data
            line, *fields = head.split(b"\r\n")
            status = line.split(b" ", 2)[1]
            if status != b"100":
                break
            data = rest  # HTTP/2 clients send the body without waiting for 100 (Continue).
        headers: RawHeaders = [(b":status", status)]
        chunked = False
        for field in fields:
            name, _, value = field.partition(b":")
            lower = name.lower()
            if lower == b"transfer-encoding":
                chunked = True
            elif lower == b"content-length":
                self._left = int(value)
            if lower not in _CONNECTION_HEADERS:
                headers.append((lower, value.strip()))
        self.started = True
        self._unread = b""
        if self._without_body or int(status) in STATUS_WITHOUT_BODY:
            self._left, chunked = 0, False
        if chunked:
            self._decoder = ChunkedDecoder(lenient=True)
        return headers, rest

    def _decode(self, data: bytes) -> bytes:
        assert self._decoder is not None
        if not self._unread and self._decoder.between_chunks:
            # Nearly every write of a stream is one whole chunk.
            at = data.find(b"\r\n") + 2
            if 2 < at < 12 and len(data) - at - 2 == int(data[: at - 2], 16) > 0:
                return data[at:-2]
        body, self._unread, self.ended = self._decoder.decode(self._unread + data)
        return body
