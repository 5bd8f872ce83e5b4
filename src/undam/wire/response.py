"""HTTP/1.1 response parser, without I/O or a clock."""

from __future__ import annotations

from typing import Literal

import httptools

from undam.errors import RemoteProtocolError
from undam.record import Head
from undam.work_budget import MAX_HEADER_LINES

Framing = Literal["chunked", "length", "close", "none"]

_SHOWN_BYTES = 32
_SWITCHING = 101
_NO_BODY = frozenset({204, 304})
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
_HTTP2_FRAME_BYTES = 9
_HTTP2_SETTINGS = 4


class ResponseParser:
    """Parser for one response; interim (1xx) responses are skipped.

    Args:
        method: method of the request. A response to HEAD and a 2xx to CONNECT have no body.
        max_head_bytes: maximum total size of all heads. The same limit applies to later bytes that
            are not part of the body.

    Attributes:
        head, framing: set by the call that receives the end of the head.
        complete: the body ended as its framing requires. Any bytes after the body are ignored.
    """

    def __init__(self, *, method: str = "GET", max_head_bytes: int = 65536) -> None:
        self.head: Head | None = None
        self.framing: Framing = "none"
        self.transfer_codings: tuple[str, ...] = ()
        self.interim = 0
        self.complete = False
        self.received_bytes = 0
        self._method = method
        self._max_head_bytes = max_head_bytes
        self._lines: list[tuple[str, str]] = []
        self._has_too_many_lines = False
        self._trailers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._first = b""
        self._switched = False
        self._overhead_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """Trailer fields after a chunked body."""
        return tuple(self._trailers)

    def to_send(self) -> bytes:
        """Return no bytes; an HTTP/1.1 client sends nothing while it receives a response."""
        return b""

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the body bytes in ``data``, without framing.

        Raises:
            RemoteProtocolError: the data is not HTTP/1, or the head is too large. ``take_body``
                returns the body bytes before the error.
        """
        self.received_bytes += len(data)
        if len(self._first) < _SHOWN_BYTES:
            self._first += data[: _SHOWN_BYTES - len(self._first)]
        while data and not self._has_head():
            # The head is parsed piece by piece, so that an endless head is not buffered beyond its
            # limit.
            left = self._max_head_bytes - self._overhead_bytes
            piece, data = data[:left], data[left:]
            self._feed(piece)
            if self._has_head():
                self._overhead_bytes = 0
            else:
                self._bound(len(piece), "response head")
        self._feed(data)
        if self._body or self.complete:
            self._overhead_bytes = 0
        elif self._has_head():
            self._bound(len(data), "chunk framing")
        return self.take_body()

    def take_body(self) -> list[bytes]:
        """Return the body bytes that are parsed but not yet returned."""
        body, self._body = self._body, []
        return body

    def close(self) -> None:
        """Release llhttp, which has a reference to this object.

        The garbage collector may be disabled, and then the reference cycle would never be freed.
        The parser cannot receive any more data.
        """
        self.__dict__.pop("_parser", None)

    def _has_head(self) -> bool:
        return self.head is not None

    def _is_over(self) -> bool:
        # Data after the end of the response, or after a protocol switch, is not parsed.
        return self.complete or self._switched

    def _feed(self, data: bytes) -> None:
        if self.complete or not data:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # Only a 101 response raises this; on_headers_complete has recorded it.
        except httptools.HttpParserError as error:
            if not self._is_over():
                raise RemoteProtocolError(self._fault(error)) from None
        if self._has_too_many_lines:
            raise RemoteProtocolError(
                f"the response head has more than {MAX_HEADER_LINES} header fields"
            )
        if self._switched:
            raise RemoteProtocolError(
                "the server switched protocols (101), which was not requested"
            )

    def _bound(self, size: int, what: str) -> None:
        self._overhead_bytes += size
        if self._overhead_bytes >= self._max_head_bytes:
            raise RemoteProtocolError(f"the {what} is larger than {self._max_head_bytes} bytes")

    def _fault(self, error: Exception) -> str:
        reason = str(error) or type(error).__name__
        if self.head is not None:
            return f"the response is not valid HTTP: {reason}"
        first = self._first
        if first.startswith(_TLS_RECORDS):
            return "the server uses TLS on this port; try https://"
        if _is_http2(first):
            return "the server accepts only HTTP/2 here; try --http2"
        if first[:5] == b"HTTP/":
            return (
                f"the response head is not valid HTTP: {reason} (it begins with {escaped(first)})"
            )
        return f"the server does not use HTTP; it sent {escaped(first)}"

    # Callbacks of httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        line = (name.decode("latin-1"), value.decode("latin-1"))
        if self.head is None:
            self._lines.append(line)
        elif not self.complete:
            self._trailers.append(line)

    def on_headers_complete(self) -> None:
        if self.head is not None:
            return
        status = self._parser.get_status_code()
        lines, self._lines = tuple(self._lines), []
        self._has_too_many_lines = len(lines) > MAX_HEADER_LINES
        if status // 100 == 1:
            self.interim += 1
            self._switched = status == _SWITCHING
            return
        self.head = Head(status, self._parser.get_http_version(), lines)
        self._frame(self.head)

    def on_body(self, data: bytes) -> None:
        if not self.complete:
            self._body.append(data)

    def on_message_complete(self) -> None:
        self.complete = self.head is not None

    def _frame(self, head: Head) -> None:
        codings = [c for value in head.all("transfer-encoding") for c in listed(value)]
        tunnel = self._method == "CONNECT" and head.status // 100 == 2
        if self._method == "HEAD" or tunnel or head.status in _NO_BODY:
            self.complete = True
        elif codings and codings[-1] == "chunked":
            self.framing = "chunked"
            codings.pop()
        elif not codings and head.get("content-length") is not None:
            self.framing = "length"
        else:
            self.framing = "close"
        self.transfer_codings = tuple(codings)


def escaped(data: bytes) -> str:
    """Return bytes as printable ASCII text, with escapes."""
    return ascii(data)[1:]


def listed(value: str) -> list[str]:
    """Return the members of a comma-separated header value in lower case, without parameters."""
    members = (part.partition(";")[0].strip().lower() for part in value.split(","))
    return [member for member in members if member]


def _is_http2(first: bytes) -> bool:
    """Return whether ``data`` begins with a SETTINGS frame on stream 0 (RFC 9113 3.4)."""
    return (
        len(first) >= _HTTP2_FRAME_BYTES
        and first[3] == _HTTP2_SETTINGS
        and first[0] == 0
        and first[5:9] == bytes(4)
    )
