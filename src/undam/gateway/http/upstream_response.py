"""Parser state of one upstream response. This module does no I/O.

llhttp parses the bytes. The table below lists all transitions between phases; any other signal
leaves the phase unchanged.
"""

from __future__ import annotations

from enum import Enum

import httptools

from undam.gateway.http.headers import ResponseHead
from undam.http1.headers import RawHeaders

_SWITCHING_PROTOCOLS = 101
_UPGRADED = "the upstream switched protocols without a request to do so"


class ResponsePhase(Enum):
    """Phase of a response: the parts that have arrived."""

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

# Looking up a member on its class would take longer than the rest of an llhttp callback.
_HEAD, _BODY = ResponsePhase.HEAD, ResponsePhase.BODY
_COMPLETE, _OVERRUN = ResponsePhase.COMPLETE, ResponsePhase.OVERRUN


class UpstreamResponse:
    """Parser of one response.

    Attributes:
        phase: current phase.
        head: the final head; available once the phase is BODY.
        error: reason for the phase FAILED.
        started: at least one byte has arrived.
        between_chunks: the parser has just reached the end of a chunk.

    Args:
        without_body: the request was HEAD, so the response has no body regardless of its head.
    """

    __slots__ = (
        "_head_bytes", "_headers", "_keep_alive", "_max_head_bytes", "_parser", "_pieces",
        "_reason", "_without_body", "between_chunks", "error", "head", "phase", "started",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int, *, without_body: bool) -> None:
        self.phase = _HEAD
        self.head: ResponseHead | None = None
        self.error = ""
        self.started = False
        self.between_chunks = False
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
        assert self._parser is not None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(_UPGRADED)
        except httptools.HttpParserError as error:
            self._fail(f"the upstream's response is malformed: {error}"[:200])
        if self.phase is _HEAD:
            self._head_bytes += len(data)
            if self._head_bytes > self._max_head_bytes:
                self._fail(
                    f"the head of the upstream's response is over {self._max_head_bytes} bytes"
                )
        pieces = self._pieces
        if not pieces:
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        return body

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
        if status == _SWITCHING_PROTOCOLS:
            self._fail(_UPGRADED)
        if status < 200 or self.phase is not _HEAD:
            return
        headers, self._headers = self._headers, []
        self.head = ResponseHead(status, self._reason, headers)
        self._advance(_Signal.FINAL_HEAD)
        for name, value in headers:
            if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
                self._fail("the upstream uses an unsupported transfer coding")
        if self._without_body:
            self._advance(_Signal.MESSAGE_END)

    def on_body(self, data: bytes) -> None:
        if self.phase is _BODY:
            self._pieces.append(data)

    def on_chunk_header(self) -> None:
        self.between_chunks = False

    def on_chunk_complete(self) -> None:
        self.between_chunks = True

    def on_message_complete(self) -> None:
        assert self._parser is not None
        if self.phase is _BODY:
            self._keep_alive = bool(self._parser.should_keep_alive())
            self._advance(_Signal.MESSAGE_END)
