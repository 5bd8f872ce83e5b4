"""Parser state of one upstream response. This module does no I/O.

llhttp parses heads and bodies that are not chunked. Chunks are decoded by ``http1.chunked``, which
also accepts the spaces in size lines that RFC 9112 allows. The table below lists all transitions
between phases; any other signal leaves the phase unchanged.
"""

from __future__ import annotations

from enum import Enum

import httptools

from undam.errors import RemoteProtocolError
from undam.gateway.http.headers import ResponseHead
from undam.http1.chunked import ChunkedDecoder
from undam.http1.headers import RawHeaders

STATUS_WITHOUT_BODY = frozenset({204, 304})
"""Final statuses whose responses end with the head (RFC 9112, 6.3)."""

SWITCHING_PROTOCOLS = 101
"""Status after which the connection carries another protocol (RFC 9110, 7.8)."""
_BLANK_LINE = b"\r\n\r\n"
_UPGRADED = "the upstream switched protocols without a request to do so"


class ResponsePhase(Enum):
    """Phase of a response, named after the parts that have arrived."""

    HEAD = "head"
    """The final head is incomplete. Interim (1xx) responses belong to this phase."""
    BODY = "body"
    COMPLETE = "complete"
    OVERRUN = "overrun"
    """More bytes followed the complete response, so the connection cannot be reused."""
    FAILED = "failed"
    """The response is not valid HTTP."""


class _Signal(Enum):
    MESSAGE_BEGIN = "message begins"
    FINAL_HEAD = "final head"
    MESSAGE_END = "message ends"
    FAULT = "fault"


_TRANSITIONS: dict[ResponsePhase, dict[_Signal, ResponsePhase]] = {
    ResponsePhase.HEAD: {
        _Signal.FINAL_HEAD: ResponsePhase.BODY,
        _Signal.FAULT: ResponsePhase.FAILED,
    },
    ResponsePhase.BODY: {
        _Signal.MESSAGE_END: ResponsePhase.COMPLETE,
        _Signal.FAULT: ResponsePhase.FAILED,
    },
    ResponsePhase.COMPLETE: {
        _Signal.MESSAGE_BEGIN: ResponsePhase.OVERRUN,
        _Signal.FAULT: ResponsePhase.OVERRUN,
    },
    ResponsePhase.OVERRUN: {},
    ResponsePhase.FAILED: {},
}

# Module constants, because an enumeration lookup would take longer than the rest of an llhttp
# callback.
_HEAD, _BODY = ResponsePhase.HEAD, ResponsePhase.BODY
_COMPLETE, _OVERRUN = ResponsePhase.COMPLETE, ResponsePhase.OVERRUN


class UpstreamResponse:
    """Parser for one response.

    Attributes:
        phase: current phase.
        head: the final head; available once the phase is BODY.
        error: reason for the phase FAILED.
        started: at least one byte has arrived.

    Args:
        without_body: the request was HEAD, so the response has no body regardless of its head.
        upgrade: the request asks for another protocol. After status 101, all bytes are the body.
    """

    __slots__ = (
        "_chunks", "_head_bytes", "_head_end", "_headers", "_keep_alive", "_max_head_bytes",
        "_parser", "_pieces", "_reason", "_unread", "_upgrade", "_without_body", "error", "head",
        "phase", "started",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int, *, without_body: bool, upgrade: bool = False) -> None:
        self._upgrade = upgrade
        self.phase = _HEAD
        self.head: ResponseHead | None = None
        self.error = ""
        self.started = False
        # Decoder of a chunked body, and the bytes that it could not decode yet.
        self._chunks: ChunkedDecoder | None = None
        self._unread = b""
        self._head_end = b""  # The last bytes of an incomplete head.
        self._max_head_bytes = max_head_bytes
        self._without_body = without_body
        self._head_bytes = 0
        self._headers: RawHeaders = []
        self._reason = b""
        self._pieces: list[bytes] = []
        self._keep_alive = False
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    @property
    def complete(self) -> bool:
        """True if the whole response has arrived."""
        return self.phase is _COMPLETE or self.phase is _OVERRUN

    @property
    def switched(self) -> bool:
        """True if the connection carries another protocol from now on."""
        return self.head is not None and self.head.status == SWITCHING_PROTOCOLS

    @property
    def between_chunks(self) -> bool:
        """True if the next byte begins a chunk."""
        return self._chunks is not None and not self._unread and self._chunks.between_chunks

    @property
    def reusable(self) -> bool:
        """True if the connection can be used for another request."""
        return self.phase is _COMPLETE and self._keep_alive and not self._without_body

    @property
    def ends_with_connection(self) -> bool:
        """True if the body ends when the upstream closes the connection."""
        head = self.head
        return self.phase is _BODY and head is not None and not head.chunked and head.length is None

    def receive_data(self, data: bytes) -> bytes:
        """Parse one read; return the body bytes in it, without framing."""
        while self.phase is _HEAD and data:
            end = self._end_of_head(data)
            if self.phase is _HEAD:
                self._feed(data[:end])
            data = data[end:]
        if self.phase is _BODY and self._chunks is not None:
            self._decode(data)
        elif self.switched:
            if data:
                self._pieces.append(data)
        elif data:
            self._feed(data)
        pieces = self._pieces
        if not pieces:
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

    def _end_of_head(self, data: bytes) -> int:
        """Return how many bytes at the start of ``data`` belong to a response head."""
        window = self._head_end + data
        at = window.find(_BLANK_LINE)
        end = len(data) if at < 0 else at + len(_BLANK_LINE) - len(self._head_end)
        self._head_bytes += end
        if self._head_bytes > self._max_head_bytes:
            self._fail(f"the head of the upstream's response is over {self._max_head_bytes} bytes")
        if at < 0:
            self._head_end = window[1 - len(_BLANK_LINE) :]
            return end
        self._head_end, self._head_bytes = b"", 0
        return end

    def _feed(self, data: bytes) -> None:
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            if not self.switched:
                self._fail(_UPGRADED)
        except httptools.HttpParserError as error:
            self._fail(f"the upstream's response is malformed: {error}"[:200])

    def _decode(self, data: bytes) -> None:
        """Decode a part of a chunked body."""
        assert self._chunks is not None
        try:
            body, self._unread, complete = self._chunks.decode(self._unread + data)
        except RemoteProtocolError as error:
            self._fail(f"the upstream's response is malformed: {error}")
            return
        if body:
            self._pieces.append(body)
        if complete:
            self._advance(_Signal.MESSAGE_END)
            if self._unread:
                self._advance(_Signal.MESSAGE_BEGIN)

    def close(self) -> None:
        """Release llhttp, which would otherwise form a reference cycle with this object."""
        self._parser = None

    def _advance(self, signal: _Signal) -> None:
        self.phase = _TRANSITIONS[self.phase].get(signal, self.phase)

    def _fail(self, error: str) -> None:
        self.error = self.error or error
        self._advance(_Signal.FAULT)

    # Callbacks of llhttp.

    def on_message_begin(self) -> None:
        self.started = True
        self._advance(_Signal.MESSAGE_BEGIN)
        self._headers = []
        self._reason = b""

    def on_status(self, reason: bytes) -> None:
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.phase is _HEAD:  # Trailers are dropped.
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if status == SWITCHING_PROTOCOLS and self._upgrade and self.phase is _HEAD:
            self.head = ResponseHead(status, self._reason, self._headers)
            self._advance(_Signal.FINAL_HEAD)
            return
        if status == SWITCHING_PROTOCOLS:
            self._fail(_UPGRADED)
        if status < 200 or self.phase is not _HEAD:
            return
        headers, self._headers = self._headers, []
        for name, value in headers:
            if name.lower() == b"transfer-encoding" and value.strip().lower() != b"chunked":
                # The response head is not returned, so that the client receives an error response.
                self._fail("the upstream uses an unsupported transfer coding")
                return
        self.head = ResponseHead(status, self._reason, headers)
        self._keep_alive = bool(self._parser.should_keep_alive())
        self._advance(_Signal.FINAL_HEAD)
        if self._without_body:
            self._advance(_Signal.MESSAGE_END)
        elif self.head.chunked and status not in STATUS_WITHOUT_BODY:
            self._chunks = ChunkedDecoder(lenient=True)

    def on_body(self, data: bytes) -> None:
        if self.phase is _BODY:
            self._pieces.append(data)

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self.phase is _BODY and not self.switched:
            self._keep_alive = bool(self._parser.should_keep_alive())
            self._advance(_Signal.MESSAGE_END)
