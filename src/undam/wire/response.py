"""HTTP/1.1 responses: bytes in, a head and body bytes out. No I/O and no clock."""

from __future__ import annotations

from typing import Literal

import httptools

from undam.errors import RemoteProtocolError
from undam.record import Head

Framing = Literal["chunked", "length", "close", "none"]

_SHOWN_BYTES = 32
_SWITCHING = 101
_NO_BODY = frozenset({204, 304})
_TLS_RECORDS = (b"\x15\x03", b"\x16\x03")
_HTTP2_FRAME_BYTES = 9
_HTTP2_SETTINGS = 4


class ResponseParser:
    """Read one response, skipping interim (1xx) ones.

    The call that brings the end of the head sets ``head`` and ``framing``; ``complete`` tells that
    the body ended as its framing says. Bytes after that are ignored.

    Args:
        method: of the request; the response to HEAD, and a 2xx to CONNECT, has no body.
        max_head_bytes: for all heads together, and for anything later that is not body.
    """

    def __init__(self, *, method: str = "GET", max_head_bytes: int = 65536) -> None:
        self.head: Head | None = None
        self.framing: Framing = "none"
        self.transfer_codings: tuple[str, ...] = ()
        self.trailers: tuple[tuple[str, str], ...] = ()
        self.interim = 0
        self.complete = False
        self.seen_bytes = 0
        self._method = method
        self._max = max_head_bytes
        self._lines: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._first = b""
        self._switched = False
        self._barren_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    def receive_data(self, data: bytes) -> list[bytes]:
        """The body bytes in ``data``, without framing.

        Raises:
            RemoteProtocolError: not HTTP/1, or too large a head. Body bytes before the fault are
                kept for ``take_body``.
        """
        self.seen_bytes += len(data)
        if len(self._first) < _SHOWN_BYTES:
            self._first += data[: _SHOWN_BYTES - len(self._first)]
        while data and not self._has_head():
            # In pieces, so that no more of an endless head is kept than its bound.
            room = self._max - self._barren_bytes
            piece, data = data[:room], data[room:]
            self._feed(piece)
            if self._has_head():
                self._barren_bytes = 0
            else:
                self._bound(len(piece), "response head")
        self._feed(data)
        if self._body or self.complete:
            self._barren_bytes = 0
        elif self._has_head():
            self._bound(len(data), "chunk framing")
        return self.take_body()

    def take_body(self) -> list[bytes]:
        """The body bytes that were read and not yet handed out."""
        body, self._body = self._body, []
        return body

    def close(self) -> None:
        """Let go of llhttp, which knows this object: where no collector runs, circles stay.

        Nothing may be received any more.
        """
        self.__dict__.pop("_parser", None)

    def _has_head(self) -> bool:
        return self.head is not None

    def _is_over(self) -> bool:
        # What follows the end, or a switch of protocols, is not this parser's to judge.
        return self.complete or self._switched

    def _feed(self, data: bytes) -> None:
        if self.complete or not data:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # Only 101 does this, and on_headers_complete has noted it.
        except httptools.HttpParserError as error:
            if not self._is_over():
                raise RemoteProtocolError(self._fault(error)) from None
        if self._switched:
            raise RemoteProtocolError("the server switched protocols (101) without being asked")

    def _bound(self, size: int, what: str) -> None:
        self._barren_bytes += size
        if self._barren_bytes >= self._max:
            raise RemoteProtocolError(f"the {what} is larger than {self._max} bytes")

    def _fault(self, error: Exception) -> str:
        reason = str(error) or type(error).__name__
        if self.head is not None:
            return f"the response breaks HTTP: {reason}"
        first = self._first
        if first.startswith(_TLS_RECORDS):
            return "the server speaks TLS on this port; try https://"
        if _is_http2(first):
            return "the server speaks HTTP/2 only; give the address where it takes HTTP/1.1"
        if first[:5] == b"HTTP/":
            return f"the response head breaks HTTP: {reason} (it begins with {escaped(first)})"
        return f"the server does not speak HTTP; it sent {escaped(first)}"

    # What httptools calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        line = (name.decode("latin-1"), value.decode("latin-1"))
        if self.head is None:
            self._lines.append(line)
        elif not self.complete:
            self.trailers += (line,)

    def on_headers_complete(self) -> None:
        if self.head is not None:
            return
        status = self._parser.get_status_code()
        lines, self._lines = tuple(self._lines), []
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
    """Bytes of unknown kind as printable ASCII."""
    return ascii(data)[1:]


def listed(value: str) -> list[str]:
    """The members of a comma-separated header, in lower case, without parameters."""
    members = (part.partition(";")[0].strip().lower() for part in value.split(","))
    return [member for member in members if member]


def _is_http2(first: bytes) -> bool:
    """Whether a connection begins with a SETTINGS frame on stream 0 (RFC 9113 3.4)."""
    return (
        len(first) >= _HTTP2_FRAME_BYTES
        and first[3] == _HTTP2_SETTINGS
        and first[0] == 0
        and first[5:9] == bytes(4)
    )
