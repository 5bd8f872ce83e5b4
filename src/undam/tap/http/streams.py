"""Captured responses and the requests that they answer, for all HTTP versions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from undam.errors import RemoteProtocolError
from undam.record import Ending, Head
from undam.tap.capture.segments import Endpoint
from undam.timing import Arrival
from undam.wire.content_coding import ContentDecoder

MAX_BODY_BYTES = 8 << 20
"""Bytes of one response that are kept; a longer stream is analyzed up to here."""

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
# Content types that are accepted as a stream only if there is no Content-Length.
_POSSIBLE_TYPES = ("application/json", "text/plain", "application/octet-stream")
_ID_HEADERS = frozenset(
    {"traceparent", "x-request-id", "x-correlation-id", "x-amzn-trace-id", "x-b3-traceid"}
)
_MAX_TARGET, _MAX_HOST, _MAX_ID = 4096, 255, 200


@dataclass(slots=True)
class CapturedRequest:
    """Captured request.

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

    def add_header(self, name: str, value: str) -> None:
        """Store a header that identifies the request."""
        if name == "host":
            self.host = value[:_MAX_HOST]
        elif name in _ID_HEADERS:
            self.ids |= {value[:_MAX_ID]}

    def add_target(self, part: str) -> None:
        """Append a part of the request target, up to the size limit."""
        if len(self.target) < _MAX_TARGET:
            self.target += part


class BodyDigest:
    """Digest of a request body."""

    def __init__(self) -> None:
        self._digest = hashlib.blake2b(digest_size=16)
        self._size = 0

    def add(self, data: bytes) -> None:
        """Add bytes to the digest."""
        self._digest.update(data)
        self._size += len(data)

    def value(self) -> bytes:
        """Return the digest; empty if the body is empty."""
        return self._digest.digest() if self._size else b""


@dataclass(slots=True)
class CapturedStream:
    """Captured response.

    Args:
        breaks: indices of arrivals before which bytes are missing from the capture.
        left_ns: when the client disconnected before the end; ``None`` if it did not.
        problem: why the body could not be decoded to its end.
        retransmitted, zero_windows: segments that were sent again, and announcements of a full
            receive buffer, on this connection up to the end of the response. With HTTP/2, a window
            of this stream or connection that is used up counts as well.
        encrypted: whether the connection was decrypted with a key log.
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
    encrypted: bool = False

    @property
    def start_ns(self) -> int:
        """Time at which the request began; if unknown, the time of the response head."""
        return self.request.start_ns if self.request is not None else self.head_ns

    @property
    def sent_ns(self) -> int:
        """Time at which the request was complete; if unknown, the time of the response head."""
        return self.request.sent_ns if self.request is not None else self.head_ns

    @property
    def is_whole(self) -> bool:
        """True if all bytes of the body were captured and decoded."""
        return not self.lost_bytes and self.problem is None


class StreamBuilder:
    """Builder for a response whose body is being received.

    Args:
        stream: the response with its head.
    """

    def __init__(self, stream: CapturedStream) -> None:
        self.stream = stream
        self._size = 0
        self._decoder: ContentDecoder | None = None
        coded = (stream.head.get("content-encoding") or "").split(",")
        codings = [name for one in coded if (name := one.strip().lower())]
        try:
            decoder = ContentDecoder(codings, max_bytes=MAX_BODY_BYTES)
        except RemoteProtocolError as error:
            stream.problem = str(error)
        else:
            self._decoder = decoder if decoder.names else None

    def add_arrival(self, at_ns: int, data: bytes) -> None:
        """Decode the part of the body that became readable at ``at_ns``."""
        stream = self.stream
        if stream.problem is not None:
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
        stream.arrivals.append(Arrival(at_ns, decoded, 0, len(data)))

    def add_loss(self, count: int) -> None:
        """Record that ``count`` bytes are missing before the next arrival."""
        stream = self.stream
        stream.lost_bytes += count
        stream.breaks.append(len(stream.arrivals))
        if self._decoder is not None:
            stream.problem = stream.problem or "missing bytes in a compressed body"

    def end(self, at_ns: int, *, by: str, from_server: bool, ends_by_close: bool) -> None:
        """End the response, because its connection or the capture has ended.

        Args:
            by: ``fin``, ``rst`` or ``capture``.
            from_server: whether the server ended the connection.
            ends_by_close: whether the close of the connection is the regular end.
        """
        stream = self.stream
        stream.ended_ns = at_ns
        if by == "capture":
            stream.ending = Ending.TIMEOUT
        elif not from_server:
            stream.ending, stream.left_ns = Ending.TIMEOUT, at_ns
        elif by == "rst":
            stream.ending = Ending.RESET
        else:
            stream.ending = Ending.CLOSED if ends_by_close else Ending.TRUNCATED


def may_stream(head: Head) -> bool:
    """Return whether the head of a response indicates an event stream."""
    content_type = (head.get("content-type") or "").lower()
    if content_type.startswith(_STREAM_TYPES):
        return True
    return content_type.startswith(_POSSIBLE_TYPES) and head.get("content-length") is None
