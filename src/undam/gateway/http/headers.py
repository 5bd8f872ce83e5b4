"""Request heads for upstreams and response heads for clients. No I/O.

Headers are forwarded as received, except hop-by-hop headers (RFC 9110, 7.6.1) and headers that
would allow an intermediary to buffer a stream.
"""

from __future__ import annotations

import re
import time

from undam.gateway.interfaces import RequestInfo, Upstream
from undam.http1.headers import NO_BUFFERING, RawHeaders, with_no_buffering, without_hop_by_hop
from undam.http1.request_parser import RequestHead

EVENT_STREAM = b"text/event-stream"

# The gateway sets these headers on each request, because some upstreams would trust a client's
# values.
_REPLACED = frozenset(
    {b"host", b"content-length", b"expect", b"x-request-id", b"x-forwarded-host",
     b"x-forwarded-proto", b"x-forwarded-for", b"forwarded", b"via"}
)  # fmt: skip
_REPLACED_IN_STREAMS = _REPLACED | {b"accept-encoding"}
_APPENDED = frozenset({b"via", b"x-forwarded-for", b"forwarded"})

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = tuple(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split())

STREAM_HEAD_LINES = b"".join(
    b"%b: %b\r\n" % pair
    for pair in ((b"content-type", EVENT_STREAM + b"; charset=utf-8"), *NO_BUFFERING)
)
"""Header lines of a stream that the gateway opens before any upstream has responded."""


UPGRADE_LINES = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
"""Header lines of a WebSocket handshake, which are not forwarded as received."""


class ForwardedHead:
    """Request head for upstreams. Only its first two lines depend on the upstream.

    Args:
        secure: the client connection uses TLS.
        tracing: headers that replace the client's headers of the same names.
    """

    __slots__ = ("_lines", "_method", "_target")

    def __init__(
        self, head: RequestHead, info: RequestInfo, *, secure: bool, tracing: RawHeaders
    ) -> None:
        # Accept-Encoding is removed from requests for streams: compression causes buffering.
        replaced = _REPLACED_IN_STREAMS if info.streams else _REPLACED
        if tracing:
            replaced |= {name.lower() for name, _ in tracing}
        pieces: list[bytes] = []
        received: dict[bytes, list[bytes]] = {}
        for name, value in info.headers:
            lower = name.lower()
            if b"_" in lower and lower.replace(b"_", b"-") in replaced:
                continue  # CGI-style servers treat an underscore as a hyphen.
            if lower not in replaced:
                pieces += name, b": ", value, b"\r\n"
            elif lower in _APPENDED and value:
                received.setdefault(lower, []).append(value)
        for name, value in tracing:
            pieces += name, b": ", value, b"\r\n"
        pieces.append(_forwarding_lines(head, info, received, secure=secure))
        if head.upgrade:
            pieces.append(UPGRADE_LINES)
        if head.length is None:
            pieces.append(b"Transfer-Encoding: chunked\r\n\r\n")
        elif head.length or head.method in ("POST", "PUT", "PATCH"):
            pieces.append(b"Content-Length: %d\r\n\r\n" % head.length)
        else:
            pieces.append(b"\r\n")
        self._lines = b"".join(pieces)
        self._method = head.method
        self._target = info.target

    def encode(self, upstream: Upstream) -> bytes:
        """Return the encoded head for ``upstream``."""
        path = self._target if self._target == "*" else upstream.path_of(self._target)
        line = f"{self._method} {path} HTTP/1.1\r\nHost: {upstream.authority}\r\n"
        return line.encode("ascii") + self._lines


def _forwarding_lines(
    head: RequestHead, info: RequestInfo, received: dict[bytes, list[bytes]], *, secure: bool
) -> bytes:
    """Return the header lines for this hop, appended to the values from previous hops."""
    proto = "https" if secure else "http"
    peer = info.peer or info.client
    node = f'"[{peer}]"' if ":" in peer else peer
    element = f"for={node or 'unknown'};proto={proto}"
    host = ""
    if head.host:
        element += f';host="{head.host}"'
        host = f"X-Forwarded-Host: {head.host}\r\n"
    via = _appended(received, b"via", f"1.{head.minor} undam")
    forwarded_for = _appended(received, b"x-forwarded-for", peer or "unknown")
    forwarded = _appended(received, b"forwarded", element)
    lines = (
        f"X-Forwarded-Proto: {proto}\r\n{host}Via: {via}\r\nX-Forwarded-For: {forwarded_for}\r\n"
        f"Forwarded: {forwarded}\r\nX-Request-Id: {info.request_id}\r\n"
    )
    return lines.encode("latin-1")


def _appended(received: dict[bytes, list[bytes]], name: bytes, value: str) -> str:
    previous = received.get(name)
    return value if previous is None else b", ".join(previous).decode("latin-1") + ", " + value


class ResponseHead:
    """Head of an upstream's response.

    Attributes:
        events: the body is an uncompressed event stream.
        length: size of the body in bytes; ``None`` if the framing determines it.
        chunked: the body is chunked. A body that is not chunked and has no length ends with the
            connection.
    """

    __slots__ = (
        "_has_request_id", "_lines", "chunked", "events", "headers", "length",
        "reason", "status",
    )  # fmt: skip

    def __init__(self, status: int, reason: bytes, headers: RawHeaders) -> None:
        self.status = status
        self.reason = reason
        self.headers = without_hop_by_hop(headers)
        self.length: int | None = None
        self.chunked = False
        media_type = coding = b""
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-type":
                media_type = value.partition(b";")[0].strip().lower()
            elif lower == b"content-encoding":
                coding = value.strip().lower()
            elif lower == b"transfer-encoding":
                self.chunked = True
            elif lower == b"content-length":
                self.length = int(value)
        if self.chunked:
            self.length = None  # RFC 9112, 6.3: Transfer-Encoding overrides Content-Length.
        self.events = media_type == EVENT_STREAM and coding in (b"", b"identity")
        if media_type == EVENT_STREAM:
            self.headers = with_no_buffering(self.headers)
        # The head is built in advance, so that the first content is not delayed. Content-Length is
        # left out: `encode` adds it if it is also valid for the client.
        self._lines = b"".join(
            [
                b"%b: %b\r\n" % (name, value)
                for name, value in self.headers
                if name.lower() != b"content-length"
            ]
        )
        self._has_request_id = self.get(b"x-request-id") is not None

    def encode(self, request_id: str, *, framing: bytes, keep_length: bool) -> bytes:
        """Return the encoded head for the client.

        Args:
            framing: header lines for the framing of the body and the end of the connection.
            keep_length: keep Content-Length, which is also valid for the client.
        """
        length = b""
        if keep_length and self.length is not None:
            length = b"Content-Length: %d\r\n" % self.length
        return b"HTTP/1.1 %d %b\r\n%b%b%b%b\r\n" % (
            self.status,
            self.reason or reason_phrase(self.status),
            self._lines,
            length,
            b"" if self._has_request_id else b"X-Request-Id: %b\r\n" % request_id.encode("ascii"),
            framing,
        )

    def replace_headers(self, prefix: bytes, lines: bytes) -> None:
        """Replace all headers whose names begin with ``prefix`` (in lower case) with ``lines``."""
        self.headers = [pair for pair in self.headers if not pair[0].lower().startswith(prefix)]
        kept = [pair for pair in self.headers if pair[0].lower() != b"content-length"]
        self._lines = b"".join([b"%b: %b\r\n" % pair for pair in kept]) + lines

    def release(self) -> None:
        """Free the headers after they are sent, because a stream may run for a long time."""
        self.headers, self._lines = [], b""

    def get(self, name: bytes) -> bytes | None:
        """Return the first value of a header (``name`` in lower case), or ``None``."""
        for key, value in self.headers:
            if key.lower() == name:
                return value
        return None


def date_line() -> bytes:
    """Return the Date header line for a response that the gateway generates."""
    # `strftime` depends on the locale, and the email package would need extra memory in each
    # worker.
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime()
    return b"Date: %b, %02d %b %04d %02d:%02d:%02d GMT\r\n" % (
        _DAYS[weekday], day, _MONTHS[month - 1], year, hour, minute, second,
    )  # fmt: skip


def retry_after_s(value: bytes | None) -> float | None:
    """Return the seconds in a Retry-After header; ``None`` if it is missing, a date or invalid."""
    if value is None or re.fullmatch(rb"[0-9]{1,9}(?:\.[0-9]{1,9})?", value) is None:
        return None
    return float(value)


def own_head(status: int, lines: bytes, request_id: str, framing: bytes) -> bytes:
    """Return the head of a response that the gateway generates."""
    request_id_line = b"X-Request-Id: %b\r\n" % request_id.encode("ascii") if request_id else b""
    return b"HTTP/1.1 %d %b\r\n%b%b%b\r\n" % (
        status, reason_phrase(status), lines, request_id_line, framing,
    )  # fmt: skip


def reason_phrase(status: int) -> bytes:
    """Return the reason phrase of ``status``; empty if the status is unknown."""
    from http import HTTPStatus  # noqa: PLC0415 (rarely needed: upstreams send a phrase)

    try:
        return HTTPStatus(status).phrase.encode("ascii")
    except ValueError:
        return b""
