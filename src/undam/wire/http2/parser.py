"""Parser for one HTTP/2 response, with the interface of `undam.wire.response.ResponseParser`."""

from __future__ import annotations

from undam.errors import RemoteProtocolError
from undam.http2.client import (
    DataReceived,
    GoAwayReceived,
    HeadersReceived,
    Http2Connection,
    StreamReset,
)
from undam.http2.header_blocks import Fields
from undam.record import Ending, Head

_NO_BODY = frozenset({204, 304})


class Http2Parser:
    """Encoder for one request, and parser for the response to it.

    Args:
        fields: pseudo-header and header fields of the request.
        body: body of the request.
        max_head_bytes: maximum total size of all heads and trailers.

    Attributes:
        reset, goaway: error codes of the server's RST_STREAM and GOAWAY; ``None`` without one.
        stopped: ending and reason, once the server has reset the stream.
    """

    def __init__(self, fields: Fields, body: bytes, *, max_head_bytes: int) -> None:
        self.head: Head | None = None
        self.framing = "frames"
        self.transfer_codings: tuple[str, ...] = ()
        self.trailers: tuple[tuple[str, str], ...] = ()
        self.interim = 0
        self.complete = False
        self.received_bytes = 0
        self.reset: str | None = None
        self.goaway: str | None = None
        self.stopped: tuple[Ending, str] | None = None
        self._connection = Http2Connection()
        self._stream_id = self._connection.request(fields, body)
        self._left_bytes = max_head_bytes
        self._max_head_bytes = max_head_bytes
        self._body: list[bytes] = []

    @property
    def is_blocked(self) -> bool:
        """True if the request body is waiting for the server's flow-control window."""
        return self._connection.is_blocked

    def to_send(self) -> bytes:
        """Return the data that is ready to be sent, which may be empty."""
        return self._connection.to_send()

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the body bytes in ``data``.

        Raises:
            RemoteProtocolError: the data is not HTTP/2, the head is too large, or the server
                rejected the request. ``take_body`` returns the body bytes before the error.
        """
        self.received_bytes += len(data)
        for event in self._connection.receive_data(data):
            if isinstance(event, GoAwayReceived):
                self._receive_goaway(event)
            elif event.stream_id != self._stream_id or self.complete:
                continue
            elif isinstance(event, HeadersReceived):
                self._receive_fields(event)
            elif isinstance(event, DataReceived):
                if event.data:
                    self._body.append(event.data)
                self.complete = event.ended
            else:
                self._receive_reset(event)
        return self.take_body()

    def take_body(self) -> list[bytes]:
        """Return the body bytes that are parsed but not yet returned."""
        body, self._body = self._body, []
        return body

    def close(self) -> None:
        """Do nothing; this parser has no reference cycle to break."""

    def _receive_fields(self, event: HeadersReceived) -> None:
        self._left_bytes -= sum(len(name) + len(value) + 32 for name, value in event.fields)
        if self._left_bytes < 0:
            raise RemoteProtocolError(
                f"the response head is larger than {self._max_head_bytes} bytes"
            )
        status = next((value for name, value in event.fields if name == ":status"), "")
        lines = tuple((name, value) for name, value in event.fields if not name.startswith(":"))
        if event.kind == "interim":
            self.interim += 1
        elif event.kind == "trailers":
            self.trailers += lines
        elif not (status.isascii() and status.isdigit()):
            raise RemoteProtocolError("the response has no status")
        else:
            self.head = Head(int(status), "2", lines)
            if event.ended or self.head.status in _NO_BODY:
                self.framing = "none"
        self.complete = event.ended

    def _receive_reset(self, event: StreamReset) -> None:
        self.reset = event.code
        reason = f"the server reset the stream (RST_STREAM, {event.code})"
        if self.head is None:
            hint = "; try --http1" if event.code == "HTTP_1_1_REQUIRED" else ""
            raise RemoteProtocolError(reason + hint)
        self.stopped = Ending.RESET, reason

    def _receive_goaway(self, event: GoAwayReceived) -> None:
        self.goaway = event.code
        if event.last_stream_id < self._stream_id and self.head is None:
            raise RemoteProtocolError(
                f"the server closes the connection and ignores the request (GOAWAY, {event.code})"
            )
