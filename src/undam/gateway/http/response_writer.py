"""Writer for one response to the client: framing, heartbeats, and normal and abnormal endings.

Only whole events of an event stream are written, so a comment or an error event may follow at any
time.
"""

from __future__ import annotations

import asyncio

from undam.gateway.body.request_body import RequestBody
from undam.gateway.http.cross_origin import CrossOrigin
from undam.gateway.http.event_framer import EventFramer
from undam.gateway.http.headers import (
    STREAM_HEAD_LINES,
    UPGRADE_LINES,
    ResponseHead,
    date_line,
    own_head,
)
from undam.gateway.http.upstream_response import STATUS_WITHOUT_BODY, SWITCHING_PROTOCOLS
from undam.gateway.interfaces import RequestRecord
from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.http1.request_parser import RequestHead
from undam.sse import encode_comment

PING = encode_comment("ping")
"""Heartbeat comment with a single line end. After a blank line, openai-python would parse an event
without data if an ``id`` came before, and openai-go before 3.43 would fail in any case."""


class ResponseWriter:
    """Writer for one response to the client.

    Attributes:
        opened: a head was written.
        chunked: the body is sent in chunks.
        framer: framer of an uncompressed event stream; ``None`` for any other body.
        keep: the connection can serve another request after this response.
        request_body: body of the request. If it is incomplete when the response begins, the
            connection is closed afterwards, because the rest of the body is not read.
        wrote_at: time of the last write.
        cross_origin: cross-origin headers; ``None`` if the request has no Origin header. Set it
            before the response is opened.
    """

    __slots__ = (
        "_has_length", "_pending", "_prepared", "_prepared_for", "_record", "_request",
        "_request_id", "_transport", "chunked", "cross_origin", "framer", "keep", "opened",
        "request_body", "write", "wrote_at",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        request: RequestHead,
        record: RequestRecord,
        *,
        request_id: str,
        keep: bool,
        now: float,
    ) -> None:
        self._transport = transport
        self._request = request
        self._record = record
        self._request_id = request_id
        self.cross_origin: CrossOrigin | None = None
        self.request_body: RequestBody | None = None
        self.write = transport.write
        self.keep = keep and request.keep_alive
        self.opened = self.chunked = self._has_length = False
        self.framer: EventFramer | None = None
        self.wrote_at = now
        self._pending = self._prepared = b""
        self._prepared_for: ResponseHead | None = None

    def prepare(self, head: ResponseHead) -> None:
        """Build in advance the bytes that `open` will send for an event stream.

        A response with a different head can still be opened.
        """
        if self._request.method != "HEAD" and not self.opened:
            chunked = self._request.minor == 1
            framing = _framing_lines(chunked=chunked, keep=self.keep and chunked)
            if self.cross_origin is not None:
                self.cross_origin.forward(head)
            self._prepared = head.encode(self._request_id, framing=framing, keep_length=False)
            self._prepared_for = head

    def open(self, head: ResponseHead, now: float, *, body_follows: bool = False) -> None:
        """Forward the head of an upstream's response.

        Args:
            body_follows: delay the head until the next write or `flush`, to send both together.
        """
        self._begin()
        self._record.status = head.status
        if head.status == SWITCHING_PROTOCOLS:
            self.keep = False
            self._send(head.encode(self._request_id, framing=UPGRADE_LINES, keep_length=False), now)
            return
        without_body = self._request.method == "HEAD" or head.status in STATUS_WITHOUT_BODY
        if head.events and not without_body:
            self.framer = EventFramer()
        keep_length = without_body or (head.length is not None and self.framer is None)
        self._has_length = keep_length
        if not keep_length:
            self._choose_framing()
        if head is self._prepared_for:
            data = self._prepared
        else:
            if self.cross_origin is not None:
                self.cross_origin.forward(head)
            data = head.encode(
                self._request_id, framing=self._framing_lines(), keep_length=keep_length
            )
        self._prepared, self._prepared_for = b"", None
        if body_follows:
            self._pending = data
        else:
            self._send(data, now)

    def flush(self) -> None:
        """Send the bytes that were delayed in order to share a write with later data."""
        if self._pending:
            self._send(b"", self.wrote_at)

    def open_event_stream(self, now: float) -> None:
        """Open a stream before any upstream has responded."""
        self._begin()
        self._record.status = 200
        self._prepared, self._prepared_for = b"", None
        self.framer = EventFramer()
        self._choose_framing()
        lines = STREAM_HEAD_LINES + self._cross_origin_lines() + date_line()
        self._send(own_head(200, lines, self._request_id, self._framing_lines()), now)

    def body(self, data: bytes, now: float, *, end_follows: bool = False) -> None:
        """Write the complete events of one read, and buffer the beginning of an incomplete one.

        Args:
            end_follows: delay the bytes until `finish` or `break_off`, which the caller calls next.
        """
        if self.framer is not None:
            data = self.framer.take(data)
        if not data:
            return
        if end_follows:
            self._pending += self._framed(data)
        else:
            self._send(self._framed(data), now)

    def heartbeat(self, now: float) -> None:
        """Write a comment unless an event is incomplete, and restart the heartbeat interval."""
        self.wrote_at = now
        if self.framer is not None and not self.framer.inside_event:
            self._send(self._framed(PING), now)

    def finish(self) -> None:
        """End the response as a complete one."""
        rest = self.framer.flush() if self.framer is not None else b""
        data = self._framed(rest) if rest else b""
        if self.chunked:
            data += LAST_CHUNK
        if data or self._pending:
            self._send(data, self.wrote_at)

    def break_off(self, event: bytes, now: float) -> None:
        """End the response so that no client treats it as complete.

        ``event`` is written if possible, and the end of the framing is omitted. An unfinished event
        is dropped. If the beginning of an event that was too large to hold was already written,
        nothing may follow; the client's parser discards that event (WHATWG HTML, 9.2.6).
        """
        self.keep = False
        self.flush()
        if self.framer is None:
            if not (self.chunked or self._has_length):
                # Without framing, the client would treat an orderly close as the end of the body.
                self._transport.abort()
            return
        self.framer.held = b""
        if not self.framer.inside_event:
            self._send(self._framed(event), now)

    def respond(self, status: int, lines: bytes, body: bytes, now: float) -> None:
        """Write a complete response that the gateway has generated.

        Args:
            lines: additional header lines, including their line breaks.
        """
        self._begin()
        self._record.status = status
        if b"access-control-" not in lines.lower():
            lines += self._cross_origin_lines()
        lines += b"Content-Length: %d\r\n%b" % (len(body), date_line())
        head = own_head(status, lines, self._request_id, self._framing_lines())
        self._send(head if self._request.method == "HEAD" else head + body, now)

    def _begin(self) -> None:
        self.opened = True
        if self.request_body is not None and not self.request_body.complete:
            self.keep = False
            self._prepared_for = None

    def _cross_origin_lines(self) -> bytes:
        return b"" if self.cross_origin is None else self.cross_origin.own_lines()

    def _framed(self, data: bytes) -> bytes:
        return encode_chunk(data) if self.chunked else data

    def _choose_framing(self) -> None:
        self.chunked = self._request.minor == 1
        self.keep = self.keep and self.chunked

    def _framing_lines(self) -> bytes:
        return _framing_lines(chunked=self.chunked, keep=self.keep)

    def _send(self, data: bytes, now: float) -> None:
        if self._pending:
            data, self._pending = self._pending + data, b""
        self.wrote_at = now
        self._record.bytes_out += len(data)
        self.write(data)


def _framing_lines(*, chunked: bool, keep: bool) -> bytes:
    coding = b"Transfer-Encoding: chunked\r\n" if chunked else b""
    return coding if keep else coding + b"Connection: close\r\n"
