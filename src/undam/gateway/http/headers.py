"""The heads that the gateway sends: requests towards upstreams, responses towards clients. No I/O.

Headers pass as they came, but for those of the connection they came on (RFC 9110, 7.6.1) and those
that would let somebody hold a stream.
"""

from __future__ import annotations

import time

from undam.gateway.interfaces import RequestInfo, Upstream
from undam.http1.headers import NO_BUFFERING, RawHeaders, with_no_buffering, without_hop_by_hop
from undam.http1.request_parser import RequestHead

EVENT_STREAM = b"text/event-stream"

# Written anew for each request; what stands here from outside would be believed by somebody.
_WRITTEN_HERE = frozenset(
    {b"host", b"content-length", b"expect", b"x-request-id", b"x-forwarded-host",
     b"x-forwarded-proto", b"x-forwarded-for", b"forwarded", b"via"}
)  # fmt: skip
_NOT_OF_STREAMS = _WRITTEN_HERE | {b"accept-encoding"}
_CHAINS = frozenset({b"via", b"x-forwarded-for", b"forwarded"})
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())

OPENED = b"".join(
    b"%b: %b\r\n" % pair
    for pair in ((b"content-type", b"text/event-stream; charset=utf-8"), *NO_BUFFERING)
)
"""What the gateway says when it opens a stream before any upstream has answered."""


class ForwardedHead:
    """The head towards upstreams, but for what differs from one upstream to another."""

    __slots__ = ("_before", "_method", "_target")

    def __init__(
        self, head: RequestHead, info: RequestInfo, *, secure: bool, tracing: RawHeaders
    ) -> None:
        # A stream that is compressed is held by whoever compresses it.
        replaced = _NOT_OF_STREAMS if info.streams else _WRITTEN_HERE
        if tracing:
            replaced |= {name.lower() for name, _ in tracing}
        pieces: list[bytes] = []
        given: dict[bytes, list[bytes]] = {}
        for name, value in info.headers:
            low = name.lower()
            if low not in replaced:
                pieces += name, b": ", value, b"\r\n"
            elif low in _CHAINS and value:
                given.setdefault(low, []).append(value)
        for name, value in tracing:
            pieces += name, b": ", value, b"\r\n"
        pieces.append(_forwarded(head, info, given, secure=secure))
        if head.length is None:
            pieces.append(b"Transfer-Encoding: chunked\r\n\r\n")
        elif head.length or head.method in ("POST", "PUT", "PATCH"):
            pieces.append(b"Content-Length: %d\r\n\r\n" % head.length)
        else:
            pieces.append(b"\r\n")
        self._before = b"".join(pieces)
        self._method = head.method
        self._target = info.target

    def towards(self, upstream: Upstream) -> bytes:
        """Its bytes for ``upstream``."""
        path = self._target if self._target == "*" else upstream.base_path + self._target
        line = f"{self._method} {path} HTTP/1.1\r\nHost: {upstream.authority}\r\n"
        return line.encode("ascii") + self._before


def _forwarded(
    head: RequestHead, info: RequestInfo, given: dict[bytes, list[bytes]], *, secure: bool
) -> bytes:
    """What this hop says of itself, each after what those before it said."""
    proto = "https" if secure else "http"
    node = f'"[{info.client}]"' if ":" in info.client else info.client
    element = f"for={node or 'unknown'};proto={proto}"
    host = ""
    if head.host:
        element += f';host="{head.host}"'
        host = f"X-Forwarded-Host: {head.host}\r\n"
    own = (
        f"X-Forwarded-Proto: {proto}\r\n{host}Via: {_chain(given, b'via', f'1.{head.minor} undam')}"
        f"\r\nX-Forwarded-For: {_chain(given, b'x-forwarded-for', info.client or 'unknown')}\r\n"
        f"Forwarded: {_chain(given, b'forwarded', element)}\r\nX-Request-Id: {info.request_id}\r\n"
    )
    return own.encode("latin-1")


def _chain(given: dict[bytes, list[bytes]], name: bytes, own: str) -> str:
    before = given.get(name)
    return own if before is None else b", ".join(before).decode("latin-1") + ", " + own


class ResponseHead:
    """What an upstream answered, before its body.

    Attributes:
        events: it is an event stream whose bytes can be read (not compressed).
        length: of the body in bytes; ``None`` where the framing tells.
        chunked: the framing is chunks; if not, and without a length, the connection's end.
    """

    __slots__ = (
        "_length_line", "_lines", "_named", "chunked", "events", "headers", "length", "reason",
        "status",
    )  # fmt: skip

    def __init__(self, status: int, reason: bytes, headers: RawHeaders) -> None:
        self.status = status
        self.reason = reason
        self.headers = without_hop_by_hop(headers)
        self.length: int | None = None
        self.chunked = False
        kind = coding = b""
        for name, value in headers:
            low = name.lower()
            if low == b"content-type":
                kind = value.partition(b";")[0].strip().lower()
            elif low == b"content-encoding":
                coding = value.strip().lower()
            elif low == b"transfer-encoding":
                self.chunked = True
            elif low == b"content-length":
                self.length = int(value)
        if self.chunked:
            self.length = None  # RFC 9112, 6.3: chunks override it.
        self.events = kind == EVENT_STREAM and coding in (b"", b"identity")
        if kind == EVENT_STREAM:
            self.headers = with_no_buffering(self.headers)
        # Made now, while the first content is on its way, which nothing is to hold up.
        self._length_line = b""
        lines: list[bytes] = []
        for name, value in self.headers:
            line = b"%b: %b\r\n" % (name, value)
            if name.lower() == b"content-length":
                self._length_line = line
            else:
                lines.append(line)
        self._lines = b"".join(lines)
        self._named = self.get(b"x-request-id") is not None

    def towards(self, request_id: str, *, framing: bytes, keep_length: bool) -> bytes:
        """The bytes towards the client.

        Args:
            framing: the header line that says how the body ends and what becomes of the connection.
            keep_length: Content-Length stays true for the client.
        """
        return b"HTTP/1.1 %d %b\r\n%b%b%b%b\r\n" % (
            self.status,
            self.reason or phrase(self.status),
            self._lines,
            self._length_line if keep_length else b"",
            b"" if self._named else b"X-Request-Id: %b\r\n" % request_id.encode("ascii"),
            framing,
        )

    def forget(self) -> None:
        """It was sent: let go of what a long stream need not keep."""
        self.headers, self._lines = [], b""

    def get(self, name: bytes) -> bytes | None:
        """The first value of a header (name in lower case), or ``None``."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


def date_line() -> bytes:
    """The Date header of an answer that no upstream gave."""
    # The names are English whatever the locale says, and the email package is large.
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime()
    return b"Date: %b, %02d %b %04d %02d:%02d:%02d GMT\r\n" % (
        _DAYS[weekday], day, _MONTHS[month - 1], year, hour, minute, second,
    )  # fmt: skip


def own_head(status: int, lines: bytes, request_id: str, framing: bytes) -> bytes:
    """The bytes of a head that no upstream wrote."""
    ident = b"X-Request-Id: %b\r\n" % request_id.encode("ascii") if request_id else b""
    return b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (status, phrase(status), lines, ident, framing)


def phrase(status: int) -> bytes:
    """The reason phrase of a status."""
    from http import HTTPStatus  # noqa: PLC0415 (upstreams say theirs themselves)

    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""
