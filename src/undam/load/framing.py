"""One response read by read: a head, and the body bytes that each read made readable. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undam.errors import RemoteProtocolError
from undam.load.chunks import Chunks
from undam.load.job import MAX_BODY_BYTES
from undam.record import Head
from undam.wire.response import ResponseParser, listed

if TYPE_CHECKING:
    from undam.wire.coding import Decoder

_HEAD_END = b"\r\n\r\n"


class Framing:
    """The response to one request.

    Attributes:
        complete: the body ended as its framing says; what follows is ignored.
    """

    def __init__(self) -> None:
        self.complete = False
        self._parser: ResponseParser | None = None
        self._chunks: Chunks | None = None
        self._decoder: Decoder | None = None
        self._before = b""

    @property
    def head(self) -> Head | None:
        """The final head, once it is complete."""
        return None if self._parser is None else self._parser.head

    @property
    def until_close(self) -> bool:
        """Whether only the connection's end tells the body's."""
        return self._parser is not None and self._parser.framing == "close"

    def receive_data(self, data: bytes) -> bytes:
        """The readable body bytes in ``data``.

        Raises:
            RemoteProtocolError: HTTP or a coding is broken, or too large; ``rest`` has the body
                bytes before that.
        """
        self._before = b""
        if self._chunks is not None:
            coded = self._chunks.receive_data(data)
            self.complete = self._chunks.complete
        elif self._parser is None:
            coded = self._begin(data)
        else:
            coded = self._parse(data)
        if self._decoder is None:
            return coded
        return self._decode(coded)

    def rest(self) -> bytes:
        """After a fault, the body bytes that came before it in the same read."""
        if self._decoder is not None or self._parser is None:
            return self._before
        if self._chunks is not None:
            return self._before + self._chunks.rest()
        return self._before + b"".join(self._parser.take_body())

    def unfinished(self) -> str | None:
        """The content coding whose own end is missing."""
        return None if self._decoder is None else self._decoder.unfinished

    def _begin(self, data: bytes) -> bytes:
        """Take the first read. A head that is all in it may let the body go the short way."""
        self._parser = ResponseParser(method="POST")
        end = data.find(_HEAD_END) + len(_HEAD_END)
        # With a bare line feed somewhere, llhttp may see the head's end elsewhere.
        if end < len(_HEAD_END) or data.count(b"\n", 0, end) != data.count(b"\r\n", 0, end):
            return self._parse(data)
        self._parse(data[:end])
        head, parser = self._parser.head, self._parser
        if head is None or parser.framing != "chunked" or parser.transfer_codings:
            return self._parse(data[end:])
        self._chunks = Chunks()
        body = self._chunks.receive_data(data[end:]) if len(data) > end else b""
        self.complete = self._chunks.complete
        return body

    def _parse(self, data: bytes) -> bytes:
        assert self._parser is not None
        had_head = self._parser.head is not None
        body = b"".join(self._parser.receive_data(data))
        if not had_head and self._parser.head is not None:
            self._open(self._parser.head)
        self.complete = self._parser.complete
        return body

    def _open(self, head: Head) -> None:
        assert self._parser is not None
        codings = [c for value in head.all("content-encoding") for c in listed(value)]
        codings += self._parser.transfer_codings
        if codings:
            # Its libraries take longer to load than everything else here, and few answers are
            # compressed.
            from undam.wire.coding import Decoder  # noqa: PLC0415

            self._decoder = Decoder(codings, max_bytes=MAX_BODY_BYTES)

    def _decode(self, coded: bytes) -> bytes:
        assert self._decoder is not None
        pieces: list[bytes] = []
        try:
            for piece in self._decoder.receive_data(coded):
                pieces.append(piece)  # noqa: PERF402 (what came before a fault is kept)
        except RemoteProtocolError:
            self._before = b"".join(pieces)
            raise
        return b"".join(pieces)
