"""Framing of one response: extracts the head and the decoded body from reads. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from undam.errors import RemoteProtocolError
from undam.loadtest.analysis.chunks import ResponseChunkDecoder
from undam.loadtest.protocol import MAX_BODY_BYTES
from undam.record import Head
from undam.wire.response import ResponseParser, listed

if TYPE_CHECKING:
    from undam.wire.content_coding import ContentDecoder

_HEAD_END = b"\r\n\r\n"
_MOST_HEADS = 64


class HeadCache:
    """Cache of parsed response heads. Most servers send few different heads per second."""

    def __init__(self) -> None:
        self._known: dict[bytes, ResponseParser] = {}

    def find(self, data: bytes) -> ResponseParser | None:
        """Return a parser that has parsed exactly this head and nothing else."""
        return self._known.get(data)

    def keep(self, data: bytes, parser: ResponseParser) -> None:
        """Store ``parser``, which has parsed ``data`` and must not receive any more data."""
        parser.close()
        if len(self._known) >= _MOST_HEADS:
            self._known.clear()
        self._known[data] = parser


class MessageFraming(Protocol):
    """Head and body of the response to one request."""

    @property
    def complete(self) -> bool:
        """Return whether the body has ended according to its framing; later data is ignored."""

    @property
    def head(self) -> Head | None:
        """Return the final response head; ``None`` until it is complete."""

    @property
    def until_close(self) -> bool:
        """Return whether the body extends to the end of the connection."""

    def receive_data(self, data: bytes) -> bytes:
        """Return the decoded body bytes in ``data``.

        Raises:
            RemoteProtocolError: HTTP or a coding is invalid, or the body is too large; ``rest``
                returns the body bytes before.
        """

    def rest(self) -> bytes:
        """Return the body bytes that preceded the error in the failed read."""

    def close(self) -> None:
        """Free the parsers."""

    def unfinished(self) -> str | None:
        """Return the content coding whose data is truncated, or ``None``."""


class CodedBody:
    """Decoder for the content codings of one body.

    Attributes:
        before: the decoded bytes of the failed read that precede the error.
    """

    def __init__(self) -> None:
        self.before = b""
        self._decoder: ContentDecoder | None = None

    @property
    def is_open(self) -> bool:
        """Return whether the body has a content coding."""
        return self._decoder is not None

    @property
    def unfinished(self) -> str | None:
        """Return the content coding whose data is truncated, or ``None``."""
        return None if self._decoder is None else self._decoder.unfinished

    def open(self, head: Head, transfer_codings: Sequence[str] = ()) -> None:
        """Prepare to decode the body that follows ``head``."""
        codings = [c for value in head.all("content-encoding") for c in listed(value)]
        codings += transfer_codings
        if codings:
            # Import the decompression libraries only when needed: they take longer to load than all
            # other modules together, and few responses are compressed.
            from undam.wire.content_coding import ContentDecoder  # noqa: PLC0415

            self._decoder = ContentDecoder(codings, max_bytes=MAX_BODY_BYTES)

    def decode(self, coded: bytes) -> bytes:
        """Return the decoded bytes of ``coded``.

        Raises:
            RemoteProtocolError: the coding is invalid, or the body is too large.
        """
        assert self._decoder is not None
        self.before = b""
        pieces: list[bytes] = []
        try:
            for piece in self._decoder.receive_data(coded):
                pieces.append(piece)  # noqa: PERF402 (pieces before an error are kept)
        except RemoteProtocolError:
            self.before = b"".join(pieces)
            raise
        return b"".join(pieces)


class ResponseFraming:
    """Framing of an HTTP/1.1 response; see ``MessageFraming``."""

    def __init__(self, heads: HeadCache) -> None:
        self.complete = False
        self._heads = heads
        self._parser: ResponseParser | None = None
        self._chunks: ResponseChunkDecoder | None = None
        self._decoder = CodedBody()

    @property
    def head(self) -> Head | None:
        """Return the final response head; ``None`` until it is complete."""
        return None if self._parser is None else self._parser.head

    @property
    def until_close(self) -> bool:
        """Return whether the body extends to the end of the connection."""
        return self._parser is not None and self._parser.framing == "close"

    def receive_data(self, data: bytes) -> bytes:
        """Return the decoded body bytes in ``data``.

        Raises:
            RemoteProtocolError: HTTP or a coding is invalid, or the body is too large; ``rest``
                returns the body bytes before.
        """
        if self._chunks is not None:
            coded = self._chunks.receive_data(data)
            self.complete = self._chunks.complete
        elif self._parser is None:
            coded = self._begin(data)
        else:
            coded = self._parse(data)
        return self._decoder.decode(coded) if self._decoder.is_open else coded

    def rest(self) -> bytes:
        """Return the body bytes that preceded the error in the failed read."""
        if self._decoder.is_open or self._parser is None:
            return self._decoder.before
        if self._chunks is not None:
            return self._chunks.rest()
        return b"".join(self._parser.take_body())

    def close(self) -> None:
        """Free the parsers; see `wire.response.ResponseParser.close`."""
        if self._parser is not None:
            self._parser.close()
        if self._chunks is not None:
            self._chunks.close()

    def unfinished(self) -> str | None:
        """Return the content coding whose data is truncated, or ``None``."""
        return self._decoder.unfinished

    def _begin(self, data: bytes) -> bytes:
        """Process the first read, and choose the decoder for the body."""
        end = data.find(_HEAD_END) + len(_HEAD_END)
        known = self._heads.find(data[:end])
        if known is None:
            self._parser = ResponseParser(method="POST")
            # If the head contains bare line feeds, llhttp may find its end at a different position.
            if end < len(_HEAD_END) or data.count(b"\n", 0, end) != data.count(b"\r\n", 0, end):
                return self._parse(data)
            self._parse(data[:end])
            if not _is_plain(self._parser) or self._decoder.is_open:
                return self._parse(data[end:])
            self._heads.keep(data[:end], self._parser)
        else:
            self._parser = known
        self._chunks = ResponseChunkDecoder()
        body = self._chunks.receive_data(data[end:]) if len(data) > end else b""
        self.complete = self._chunks.complete
        return body

    def _parse(self, data: bytes) -> bytes:
        assert self._parser is not None
        had_head = self._parser.head is not None
        body = b"".join(self._parser.receive_data(data))
        if not had_head and self._parser.head is not None:
            self._decoder.open(self._parser.head, self._parser.transfer_codings)
        self.complete = self._parser.complete
        return body


class Http2Framing:
    """Framing of an HTTP/2 response; see ``MessageFraming``.

    The connection has already parsed the frames, and sets ``head`` and ``complete``.
    """

    def __init__(self) -> None:
        self.complete = False
        self.until_close = False
        self.head: Head | None = None
        self._decoder: CodedBody | None = None

    def receive_data(self, data: bytes) -> bytes:
        """Return the decoded body bytes in ``data``, which is the payload of DATA frames.

        Raises:
            RemoteProtocolError: a coding is invalid, or the body is too large.
        """
        decoder = self._decoder
        if decoder is None:
            assert self.head is not None
            decoder = self._decoder = CodedBody()
            decoder.open(self.head)
        return decoder.decode(data) if decoder.is_open else data

    def rest(self) -> bytes:
        """Return the body bytes that preceded the error in the failed read."""
        return b"" if self._decoder is None else self._decoder.before

    def close(self) -> None:
        """Do nothing: HTTP/2 frames mark the end of a response."""

    def unfinished(self) -> str | None:
        """Return the content coding whose data is truncated, or ``None``."""
        return None if self._decoder is None else self._decoder.unfinished


def _is_plain(parser: ResponseParser) -> bool:
    """Return whether the body is chunked and has no other coding."""
    return parser.head is not None and parser.framing == "chunked" and not parser.transfer_codings
