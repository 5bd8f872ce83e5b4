"""HTTP/1.1 messages in reassembled TCP data: each streamed response with the times of its bytes.

Captured traffic may begin in the middle of a message and may lack segments. After missing bytes,
parsing continues where that is possible without a guess, and the response is marked as incomplete.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field

import httptools

from undam.errors import RemoteProtocolError
from undam.record import Ending, Head
from undam.tap.capture.segments import Endpoint
from undam.tap.reassembly import Piece
from undam.timing import Arrival
from undam.wire.content_coding import ContentDecoder

MAX_BODY_BYTES = 8 << 20
"""Bytes of one response that are kept; a longer stream is analyzed up to here."""

_MAX_HEAD_BYTES = 64 << 10
_METHOD = re.compile(rb"(?:GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS|CONNECT) [!-~]+ HTTP/1\.[01]\r\n")
_STREAM_TYPES = (
    "text/event-stream",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/x-jsonlines",
    "application/json-seq",
    "application/stream+json",
    "application/vnd.amazon.eventstream",
)
# Types that a stream may have, if its length is not declared.
_POSSIBLE_TYPES = ("application/json", "text/plain", "application/octet-stream")
_ID_HEADERS = frozenset(
    {"traceparent", "x-request-id", "x-correlation-id", "x-amzn-trace-id", "x-b3-traceid"}
)


@dataclass(slots=True)
class CapturedRequest:
    """Request on a captured connection.

    Args:
        ids: values of headers that a proxy passes on unchanged, such as traceparent.
        body_hash: digest of the body; ``None`` if bytes of it are missing.
    """

    method: str = ""
    target: str = ""
    host: str = ""
    start_ns: int = 0
    sent_ns: int = 0
    ids: frozenset[str] = frozenset()
    body_hash: bytes | None = None


@dataclass(slots=True)
class CapturedStream:
    """Response on one connection.

    Args:
        breaks: indices of arrivals before which bytes are missing from the capture.
        left_ns: when the client disconnected before the end; ``None`` if it did not.
        problem: why the body could not be decoded to its end.
        retransmitted, zero_windows: segments that were sent again, and announcements of a full
            receive buffer, on this connection up to the end of the response.
    """

    client: Endpoint
    server: Endpoint
    request: CapturedRequest | None
    head: Head
    head_ns: int
    arrivals: list[Arrival] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    lost_bytes: int = 0
    ending: Ending = Ending.TIMEOUT
    ended_ns: int = 0
    left_ns: int | None = None
    problem: str | None = None
    retransmitted: int = 0
    zero_windows: int = 0

    @property
    def start_ns(self) -> int:
        """When the request began, or else when the response head arrived."""
        return self.request.start_ns if self.request is not None else self.head_ns

    @property
    def sent_ns(self) -> int:
        """When the request was complete, or else when the response head arrived."""
        return self.request.sent_ns if self.request is not None else self.head_ns

    @property
    def is_whole(self) -> bool:
        """True if every byte of the body was captured and decoded."""
        return not self.lost_bytes and self.problem is None


class RequestTracker:
    """Parser of the requests of one connection. Finished requests are in ``finished``."""

    def __init__(self) -> None:
        self.finished: list[CapturedRequest] = []
        self._parser: httptools.HttpRequestParser | None = None
        self._request = CapturedRequest()
        self._digest = hashlib.blake2b(digest_size=16)
        self._at_ns = 0
        self._in_message = False
        self._size = 0

    def receive_piece(self, piece: Piece) -> None:
        """Parse the bytes of one piece."""
        if piece.lost:
            self._abandon()
        self._at_ns = piece.at_ns
        data = piece.data
        if self._parser is None:
            found = _METHOD.search(data)
            if found is None:
                return
            data = data[found.start() :]
            self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = None
        except httptools.HttpParserError:
            self._abandon()

    def _abandon(self) -> None:
        """Stop parsing until the next request line. The response may still be of interest."""
        self._parser = None
        if self._in_message:
            self._in_message = False
            self._request.sent_ns = self._at_ns
            self._request.body_hash = None
            self.finished.append(self._request)

    # Callbacks of httptools.

    def on_message_begin(self) -> None:
        self._request = CapturedRequest(start_ns=self._at_ns)
        self._size = 0
        self._digest = hashlib.blake2b(digest_size=16)
        self._in_message = True

    def on_url(self, url: bytes) -> None:
        if len(self._request.target) < 4096:
            self._request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        lower, text = name.decode("latin-1").lower(), value.decode("latin-1")
        if lower == "host":
            self._request.host = text[:255]
        elif lower in _ID_HEADERS:
            self._request.ids |= {text[:200]}

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._request.method = self._parser.get_method().decode("latin-1")

    def on_body(self, data: bytes) -> None:
        self._digest.update(data)
        self._size += len(data)

    def on_message_complete(self) -> None:
        self._in_message = False
        self._request.sent_ns = self._at_ns
        self._request.body_hash = self._digest.digest() if self._size else b""
        self.finished.append(self._request)


class ResponseTracker:
    """Parser of the responses of one connection.

    Args:
        requests: parser of the other direction, whose requests these responses answer.

    Attributes:
        finished: streams that ended. The caller empties the list.
        passed_over: responses that are not streams.
    """

    def __init__(self, client: Endpoint, server: Endpoint, requests: RequestTracker) -> None:
        self.finished: list[CapturedStream] = []
        self.passed_over = 0
        self._client, self._server, self._requests = client, server, requests
        self._parser: httptools.HttpResponseParser | None = None
        self._headers: list[tuple[str, str]] = []
        self._stream: CapturedStream | None = None
        self._decoder: ContentDecoder | None = None
        self._body: list[bytes] = []
        self._at_ns = 0
        self._head_bytes = 0
        self._raw = False
        self._filling = False
        self._ends_by_close = False
        self._size = 0

    @property
    def stream(self) -> CapturedStream | None:
        """The stream that has not ended yet."""
        return self._stream

    def receive_piece(self, piece: Piece) -> None:
        """Parse the bytes of one piece."""
        self._at_ns = piece.at_ns
        if piece.lost:
            self._receive_loss(piece.lost)
        if piece.data:
            self._receive_data(piece.data)
        if self._body:
            self._add_arrival()

    def finish(self, at_ns: int, *, by: str, from_server: bool) -> None:
        """End the current stream because its connection, or the capture, ended.

        Args:
            by: ``fin``, ``rst`` or ``capture``.
            from_server: whether the server ended the connection.
        """
        stream = self._stream
        if stream is None:
            return
        stream.ended_ns = at_ns
        if by == "capture":
            stream.ending = Ending.TIMEOUT
        elif not from_server:
            stream.ending, stream.left_ns = Ending.TIMEOUT, at_ns
        elif by == "rst":
            stream.ending = Ending.RESET
        else:
            stream.ending = Ending.CLOSED if self._ends_by_close else Ending.TRUNCATED
        self._emit()

    def _receive_data(self, data: bytes) -> None:
        if self._raw:
            self._receive_raw(data)
            return
        if self._parser is None:
            at = 0 if data.startswith(b"HTTP/1.") else data.find(b"\r\nHTTP/1.") + 2
            if at == 1:
                return
            data = data[at:]
            self._new_parser()
        assert self._parser is not None
        self._head_bytes = 0 if self._stream is not None else self._head_bytes + len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._parser = None
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._parser = None
            self._stream = None
        except httptools.HttpParserError:
            self._parser = None
            if self._stream is not None and self._stream.lost_bytes:
                # The missing bytes contained a chunk size, so the framing is unknown from here on.
                self._raw = True
            elif self._stream is not None:
                self._stream.problem = "the response is not valid HTTP"
                self._stream.ending, self._stream.ended_ns = Ending.BROKEN, self._at_ns
                self._emit()

    def _receive_loss(self, count: int) -> None:
        """Continue after missing bytes, as if they belonged to the current chunk."""
        stream = self._stream
        if stream is None:
            self._parser = None
            return
        stream.lost_bytes += count
        stream.breaks.append(len(stream.arrivals))
        if self._decoder is not None and self._decoder.names:
            stream.problem = stream.problem or "missing bytes in a compressed body"
        if self._parser is None or self._raw or count > MAX_BODY_BYTES:
            return
        self._filling = True
        try:
            self._parser.feed_data(bytes(count))
        except httptools.HttpParserError:
            self._parser, self._raw = None, self._stream is not None
        finally:
            self._filling = False

    def _receive_raw(self, data: bytes) -> None:
        """Keep data whose chunk framing is unknown. Line-based framings skip the chunk sizes."""
        at = data.find(b"HTTP/1.1 ")
        end = data.find(b"\r\n0\r\n\r\n")
        stop = min((one for one in (at, end) if one >= 0), default=len(data))
        self._body.append(data[:stop])
        if stop == len(data):
            return
        self._add_arrival()
        assert self._stream is not None
        self._stream.ending, self._stream.ended_ns = Ending.COMPLETE, self._at_ns
        self._emit()
        if at >= 0:
            self._receive_data(data[at:])

    def _new_parser(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._headers, self._head_bytes, self._raw = [], 0, False

    def _add_arrival(self) -> None:
        data, self._body = b"".join(self._body), []
        stream = self._stream
        if stream is None or stream.problem is not None or self._size > MAX_BODY_BYTES:
            return
        decoded = data
        if self._decoder is not None:
            try:
                decoded = b"".join(self._decoder.receive_data(data))
            except RemoteProtocolError as error:
                stream.problem = str(error)
                return
        self._size += len(decoded)
        if self._size > MAX_BODY_BYTES:
            stream.problem = f"the body is larger than {MAX_BODY_BYTES >> 20} MB"
            return
        stream.arrivals.append(Arrival(self._at_ns, decoded, 0, len(data)))

    def _emit(self) -> None:
        assert self._stream is not None
        self.finished.append(self._stream)
        self._stream, self._decoder, self._raw, self._size = None, None, False, 0

    # Callbacks of httptools.

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stream is None:
            self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        headers, self._headers = tuple(self._headers), []
        if status // 100 == 1:
            return
        head = Head(status, self._parser.get_http_version(), headers)
        requests = self._requests.finished
        request = requests.pop(0) if requests else None
        chunked = "chunked" in (head.get("transfer-encoding") or "").lower()
        self._ends_by_close = not chunked and head.get("content-length") is None
        if not _may_stream(head):
            self.passed_over += 1
            return
        self._stream = CapturedStream(self._client, self._server, request, head, self._at_ns)
        codings = [one.strip().lower() for one in (head.get("content-encoding") or "").split(",")]
        try:
            self._decoder = ContentDecoder([c for c in codings if c], max_bytes=MAX_BODY_BYTES)
        except RemoteProtocolError as error:
            self._stream.problem = str(error)

    def on_body(self, data: bytes) -> None:
        if self._stream is not None and not self._filling:
            self._body.append(data)

    def on_message_complete(self) -> None:
        if self._stream is not None:
            if self._body:
                self._add_arrival()
            self._stream.ending, self._stream.ended_ns = Ending.COMPLETE, self._at_ns
            self._emit()
        self._body = []


def _may_stream(head: Head) -> bool:
    """Return whether a response can be a stream of events, by its head."""
    content_type = (head.get("content-type") or "").lower()
    if content_type.startswith(_STREAM_TYPES):
        return True
    return content_type.startswith(_POSSIBLE_TYPES) and head.get("content-length") is None
