"""What came back: reads in, a head and arrivals out. No I/O and no clock.

Until the head is in, a fault of the peer is an exception; after it, an ending.
"""

from __future__ import annotations

from undam.errors import RemoteProtocolError
from undam.record import Ending, Head
from undam.timing import Arrival
from undam.wire.coding import BodyTooLargeError, Decoder
from undam.wire.response import ResponseParser, listed
from undam.wire.stamp import Read


class Reception:
    """One response, from its first byte to its ending.

    ``clock`` is "kernel" as long as every read carried the kernel's stamp. ``ended_ns`` is the
    arrival of the read that ended the response.

    Args:
        method: of the request.
        max_body_bytes: for the readable body, its coded form, and what lies between.
    """

    def __init__(self, *, method: str, max_head_bytes: int, max_body_bytes: int) -> None:
        self._parser = ResponseParser(method=method, max_head_bytes=max_head_bytes)
        self._max = max_body_bytes
        self._decoder = Decoder((), max_bytes=max_body_bytes)
        self._coded_room = max_body_bytes
        self.head_ns: int | None = None
        self.clock = "kernel"
        self.ending: Ending | None = None
        self.ended_ns: int | None = None
        self.error: str | None = None

    @property
    def head(self) -> Head | None:
        """The final head, once it is complete."""
        return self._parser.head

    @property
    def framing(self) -> str:
        """How the body's end is told: "chunked", "length", "close" or "none" (no body)."""
        return self._parser.framing

    @property
    def interim(self) -> int:
        """How many 1xx heads came before the final one."""
        return self._parser.interim

    @property
    def trailers(self) -> tuple[tuple[str, str], ...]:
        """Fields that came after a chunked body."""
        return self._parser.trailers

    @property
    def seen_bytes(self) -> int:
        """How much came, framing included."""
        return self._parser.seen_bytes

    def receive(self, read: Read) -> Arrival | None:
        """Take one read; the arrival of the body bytes in it, if it brought any.

        Raises:
            RemoteProtocolError: there is no head yet, and this is not the beginning of one.
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
        if self.head is not None and self.head_ns is None:
            self.head_ns = read.at_ns
            self._open_body(self.head, read.at_ns)
        arrival = self._arrival(read, b"".join(coded)) if coded and self.ending is None else None
        if fault is not None:
            self.end(Ending.BROKEN, read.at_ns, str(fault))
        elif self._parser.complete:
            self._finish(Ending.COMPLETE, read.at_ns)
        return arrival

    def receive_eof(self, at_ns: int, *, orderly: bool) -> None:
        """The peer closed; ``orderly`` as its transport protocol asks."""
        if self.framing != "close":
            self.end(Ending.TRUNCATED, at_ns, "the connection closed before the end of the body")
        elif not orderly:
            self.end(Ending.TRUNCATED, at_ns, "the TLS connection ended without close_notify")
        else:
            self._finish(Ending.CLOSED, at_ns)

    def end(self, ending: Ending, at_ns: int, error: str | None = None) -> None:
        """Set the ending, if there is none yet."""
        if self.ending is None:
            self.ending, self.ended_ns, self.error = ending, at_ns, error

    def _open_body(self, head: Head, at_ns: int) -> None:
        # Codings in the order in which they were applied; transfer codings are the outer ones.
        codings = [c for value in head.all("content-encoding") for c in listed(value)]
        if self._parser.framing == "none":
            return
        try:
            codings += self._parser.transfer_codings
            self._decoder = Decoder(codings, max_bytes=self._max)
        except RemoteProtocolError as error:
            self.end(Ending.BROKEN, at_ns, str(error))

    def _arrival(self, read: Read, coded: bytes) -> Arrival:
        taken = coded[: self._coded_room]
        self._coded_room -= len(taken)
        pieces = []
        try:
            for piece in self._decoder.receive_data(taken):
                pieces.append(piece)  # noqa: PERF402 (what came before a fault is kept)
            if len(taken) < len(coded):
                raise BodyTooLargeError(f"the body is larger than {self._max} bytes")
        except BodyTooLargeError as error:
            self.end(Ending.LIMIT, read.at_ns, str(error))
        except RemoteProtocolError as error:
            self.end(Ending.BROKEN, read.at_ns, str(error))
        wire_bytes = len(coded) if self._decoder.names else None
        return Arrival(read.at_ns, b"".join(pieces), read.late_ns, wire_bytes)

    def _finish(self, ending: Ending, at_ns: int) -> None:
        unfinished = self._decoder.unfinished
        if unfinished is not None:
            self.end(Ending.BROKEN, at_ns, f"the body ended in the middle of its {unfinished} data")
        self.end(ending, at_ns)
