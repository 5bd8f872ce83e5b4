"""Conversion of a response's reads to a head and arrivals, without I/O or a clock.

A fault of the peer raises an exception before the head is complete. After that, it is recorded as
the ending of the response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undam.errors import RemoteProtocolError
from undam.record import Ending, Head, Http2Facts
from undam.timing import Arrival
from undam.wire.content_coding import BodyTooLargeError, ContentDecoder
from undam.wire.response import ResponseParser, listed
from undam.wire.timestamps import TimestampedRead
from undam.work_budget import MAX_ITEMS

if TYPE_CHECKING:
    from undam.wire.http2.parser import Http2Parser


class ResponseReader:
    """Reader for one response, from its first byte to its end.

    Args:
        parser: parser of the HTTP version in use.
        max_body_bytes: maximum size of the decoded body, of the encoded body, and of the output of
            each coding in between.
        max_reads: maximum number of reads in which the body may arrive.

    Attributes:
        clock: "kernel" while every read has had a kernel timestamp, otherwise "user".
        ended_ns: arrival of the read that ended the response.
    """

    def __init__(
        self,
        parser: ResponseParser | Http2Parser,
        *,
        max_body_bytes: int,
        max_reads: int = MAX_ITEMS,
    ) -> None:
        self._parser = parser
        self._max_body_bytes = max_body_bytes
        self._decoder = ContentDecoder((), max_bytes=max_body_bytes)
        self._coded_left_bytes = max_body_bytes
        self._max_reads = max_reads
        self._reads = 0
        self.head_ns: int | None = None
        self.clock = "kernel"
        self.ending: Ending | None = None
        self.ended_ns: int | None = None
        self.error: str | None = None
        self._blocked_ns: int | None = None
        self._send_stall_ns = 0

    @property
    def http2(self) -> Http2Facts | None:
        """Observations on the HTTP/2 connection; ``None`` for HTTP/1.1."""
        if isinstance(self._parser, ResponseParser):
            return None
        return Http2Facts(
            reset=self._parser.reset,
            goaway=self._parser.goaway,
            send_stall_ns=self._send_stall_ns,
        )

    @property
    def is_reusable(self) -> bool:
        """True if the connection can be used for another HTTP/1.1 request (RFC 9112, 9.3)."""
        head = self.head
        if head is None or head.http_version != "1.1" or self.ending is not Ending.COMPLETE:
            return False
        return "close" not in [c for value in head.all("connection") for c in listed(value)]

    @property
    def head(self) -> Head | None:
        """Head of the final response; ``None`` until it is complete."""
        return self._parser.head

    @property
    def framing(self) -> str:
        """Framing of the body: "chunked", "length", "close", "frames", or "none" (no body)."""
        return self._parser.framing

    @property
    def interim(self) -> int:
        """Number of interim (1xx) responses before the final one."""
        return self._parser.interim

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """Trailer fields after a chunked body."""
        return self._parser.trailers

    @property
    def received_bytes(self) -> int:
        """Number of bytes received, including framing."""
        return self._parser.received_bytes

    def to_send(self) -> bytes:
        """Return data that is ready to be sent: the rest of the request, or HTTP/2's own frames."""
        return self._parser.to_send()

    def sent(self, at_ns: int) -> None:
        """Record that all data within the server's flow-control window was sent."""
        if self._is_blocked() and self._blocked_ns is None:
            self._blocked_ns = at_ns

    def receive(self, read: TimestampedRead) -> Arrival | None:
        """Process one read.

        Returns:
            The arrival of the body bytes in the read; ``None`` if there are none.

        Raises:
            RemoteProtocolError: the head is not complete, and the read is not valid HTTP.
        """
        if not read.stamped:
            self.clock = "user"
        fault: RemoteProtocolError | None = None
        try:
            coded = self._parser.receive_data(read.data)
        except RemoteProtocolError as error:
            if self.head is None:
                raise
            fault, coded = error, self._parser.take_body()
        if self._blocked_ns is not None and not self._is_blocked():
            self._send_stall_ns += max(0, read.at_ns - self._blocked_ns)
            self._blocked_ns = None
        if self.head is not None and self.head_ns is None:
            self.head_ns = read.at_ns
            self._open_body(self.head, read.at_ns)
        arrival = self._arrival(read, b"".join(coded)) if coded and self.ending is None else None
        if fault is not None:
            self.end(Ending.BROKEN, read.at_ns, str(fault))
        elif self._parser.complete:
            self._finish(Ending.COMPLETE, read.at_ns)
        elif not isinstance(self._parser, ResponseParser) and self._parser.stopped:
            ending, reason = self._parser.stopped
            self.end(ending, read.at_ns, reason)
        return arrival

    def _is_blocked(self) -> bool:
        return not isinstance(self._parser, ResponseParser) and self._parser.is_blocked

    def receive_eof(self, at_ns: int, *, clean: bool) -> None:
        """End the response, because the peer has closed the connection.

        Args:
            clean: the peer closed as its transport protocol requires.
        """
        if self.framing != "close":
            reason = "the connection closed before the end of the body"
            if not isinstance(self._parser, ResponseParser) and self._parser.goaway:
                reason += f", after GOAWAY ({self._parser.goaway})"
            self.end(Ending.TRUNCATED, at_ns, reason)
        elif not clean:
            self.end(Ending.TRUNCATED, at_ns, "the TLS connection ended without close_notify")
        else:
            self._finish(Ending.CLOSED, at_ns)

    def end(self, ending: Ending, at_ns: int, error: str | None = None) -> None:
        """Set how the response ended, unless this is already set."""
        if self.ending is None:
            self.ending, self.ended_ns, self.error = ending, at_ns, error

    def _open_body(self, head: Head, at_ns: int) -> None:
        # Codings are listed in the order in which they were applied. Transfer codings are applied
        # last.
        codings = [c for value in head.all("content-encoding") for c in listed(value)]
        if self._parser.framing == "none":
            return
        try:
            codings += self._parser.transfer_codings
            self._decoder = ContentDecoder(codings, max_bytes=self._max_body_bytes)
        except RemoteProtocolError as error:
            self.end(Ending.BROKEN, at_ns, str(error))

    def _arrival(self, read: TimestampedRead, coded: bytes) -> Arrival:
        self._reads += 1
        if self._reads >= self._max_reads:
            limit = f"the body arrived in more than {self._max_reads} reads"
            self.end(Ending.LIMIT, read.at_ns, limit)
        accepted = coded[: self._coded_left_bytes]
        self._coded_left_bytes -= len(accepted)
        # A list of pieces would not save memory, because a decompression bomb would make it just as
        # large.
        body = bytearray()
        try:
            for piece in self._decoder.receive_data(accepted):
                body += piece
            if len(accepted) < len(coded):
                raise BodyTooLargeError(f"the body is larger than {self._max_body_bytes} bytes")
        except BodyTooLargeError as error:
            self.end(Ending.LIMIT, read.at_ns, str(error))
        except RemoteProtocolError as error:
            self.end(Ending.BROKEN, read.at_ns, str(error))
        wire_bytes = len(coded) if self._decoder.names else None
        return Arrival(read.at_ns, bytes(body), read.late_ns, wire_bytes)

    def _finish(self, ending: Ending, at_ns: int) -> None:
        unfinished = self._decoder.unfinished
        if unfinished is not None:
            self.end(Ending.BROKEN, at_ns, f"the body ended within its {unfinished} data")
        self.end(ending, at_ns)
