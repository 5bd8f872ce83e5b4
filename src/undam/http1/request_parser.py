"""Strict HTTP/1.1 request parser that rejects requests which parsers could interpret differently.

Request smuggling depends on such differences, so nothing is repaired or guessed. One pattern checks
the whole head, then llhttp parses it as well; both must accept it. The end of the body is
determined here, because llhttp does not report at which position in a read a message ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from undam.errors import RemoteProtocolError
from undam.http1.chunked import ChunkedDecoder
from undam.http1.headers import RawHeaders

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
"""Interim response for a client that waits before it sends the body (RFC 9110, 10.1.1)."""

MAX_HEADERS = 100
"""Maximum number of headers. Apache has the same limit; nginx and Envoy have similar defaults."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t -~\x80-\xff]*+"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]++) HTTP/([0-9])\.([0-9])\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+(" + _VALUE + rb")\r\n")
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+\r\n")
# Almost all clients send heads of this form. All parsers agree on such heads, so llhttp is skipped.
# At the start of a stream, when the CPU caches are cold, this saves 14 µs.
_PLAIN = re.compile(
    rb"(GET|POST) (/[A-Za-z0-9/_\-]*+) HTTP/1\.1"
    rb"(?:\r\n[A-Za-z0-9\-]++: [!-~]++(?: ++[!-~]++)*+)++\r\n\r\n"
)
_PLAIN_FIELD = re.compile(rb"\r\n([^:\r]++): ([^\r]++)")
# Bytes that are invalid anywhere in a head. They allow an incomplete head to be rejected at once.
_NEVER_VALID = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%\-]+)(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)(/[^#]*|\?[^#]*)?")
# `..` could escape the base path of an upstream, or turn an upstream path into a local path.
_DOTS = re.compile(rb"(?:[/\\]|%2[fF]|%5[cC])(?:\.|%2[eE]){2}(?:/|%2[fF]|\\|$)")
_MUST_BE_SINGLE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"content-type"}
)
# CGI-style servers treat an underscore as a hyphen. A name with an underscore would therefore
# duplicate the real header.
_NO_UNDERSCORE = frozenset({b"content-length", b"transfer-encoding", b"host", b"connection"})


class BadRequest(RemoteProtocolError):
    """Invalid request. It is answered with ``status``, then the connection is closed.

    Attributes:
        head: head of the request if it is valid and only its body is too large.
    """

    def __init__(self, status: int, message: str, head: RequestHead | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.head = head


@dataclass(slots=True)
class RequestHead:
    """A request without its body.

    Args:
        target: path and query; an absolute URL is reduced to them.
        minor: minor HTTP version, as in ``HTTP/1.minor``.
        length: size of the body in bytes; ``None`` if it is chunked.
        upgrade: value of the Upgrade header, in lower case, if Connection lists it.
    """

    method: str
    target: str
    minor: int
    headers: RawHeaders
    host: str
    length: int | None
    keep_alive: bool
    expects_continue: bool
    upgrade: bytes

    def check_handshake(self) -> None:
        """Raise BadRequest if the request cannot be a WebSocket handshake (RFC 6455, 4.1)."""
        if self.method != "GET" or self.minor == 0 or self.length != 0:
            raise BadRequest(400, "a WebSocket handshake is a GET request without a body")


class RequestParser:
    """Parser for successive requests on one connection.

    Call `head` until it returns a head, then `body` until the body is complete, and so on. Both
    raise BadRequest; the parser must not be used afterwards.
    """

    __slots__ = (
        "_body_bytes", "_buffer", "_decoder", "_left", "_max_body", "_max_head", "_partial_head",
        "_scanned",
    )  # fmt: skip

    def __init__(self, max_head_bytes: int, max_body_bytes: int) -> None:
        self._max_head = max_head_bytes
        self._max_body = max_body_bytes
        self._buffer = b""
        # If a head arrives in many reads, each read is appended and only its bytes are scanned. The
        # cost of a read is then proportional to its size.
        self._partial_head = bytearray()
        self._scanned = 0
        self._left = 0
        self._body_bytes = 0
        self._decoder: ChunkedDecoder | None = None

    @property
    def unparsed_bytes(self) -> int:
        """Number of bytes that were received but not yet returned."""
        return len(self._buffer) + len(self._partial_head)

    @property
    def partial_head(self) -> bytes:
        """The bytes received so far of a head that is incomplete or malformed."""
        return bytes(self._partial_head) or self._buffer[: self._max_head]

    def take_unparsed(self) -> bytes:
        """Return and remove the bytes that were received but not parsed."""
        data, self._buffer = bytes(self._partial_head) + self._buffer, b""
        self._partial_head.clear()
        self._scanned = 0
        return data

    def receive_data(self, data: bytes) -> None:
        """Add the bytes of one read."""
        if self._partial_head:
            self._partial_head += data
        else:
            self._buffer = self._buffer + data if self._buffer else data

    def head(self) -> RequestHead | None:
        """Return the head of the next request, or ``None`` while it is incomplete."""
        buffer = self._partial_head or self._buffer
        # RFC 9112, 2.2: a server should ignore one empty line before a request.
        start = 2 if buffer.startswith(b"\r\n") else 0
        end = buffer.find(b"\r\n\r\n", max(start, self._scanned - 3))
        if (end if end >= 0 else len(buffer)) - start > self._max_head:
            raise BadRequest(431, f"the request head is over {self._max_head} bytes")
        if end < 0:
            if _NEVER_VALID.search(buffer, max(0, self._scanned - 1)):
                raise BadRequest(400, "the request head has a bare line break or control character")
            if not self._partial_head:
                self._partial_head += buffer
                self._buffer = b""
            self._scanned = len(buffer)
            return None
        head = parse_request_head(bytes(buffer[start : end + 4]))
        if head.length is not None and head.length > self._max_body:
            raise BadRequest(413, f"the request body is over {self._max_body} bytes", head)
        self._buffer = bytes(buffer[end + 4 :])
        self._partial_head.clear()
        self._scanned = 0
        self._left = head.length or 0
        self._body_bytes = 0
        self._decoder = ChunkedDecoder() if head.length is None else None
        return head

    def body(self) -> tuple[bytes, bool]:
        """Return the body bytes received since the last call, and whether the body is complete."""
        if self._decoder is None:
            piece, self._buffer = self._buffer[: self._left], self._buffer[self._left :]
            self._left -= len(piece)
            return piece, not self._left
        try:
            piece, self._buffer, complete = self._decoder.decode(self._buffer)
        except RemoteProtocolError as error:
            raise BadRequest(400, str(error)) from None
        self._body_bytes += len(piece)
        if self._body_bytes > self._max_body:
            raise BadRequest(413, f"the request body is over {self._max_body} bytes")
        return piece, complete


def parse_request_head(data: bytes) -> RequestHead:
    """Parse a request head: from its first byte to the blank line that ends it.

    Raises:
        BadRequest: the head violates RFC 9112, or two parsers could read it differently.
    """
    plain = _PLAIN.fullmatch(data)
    if plain is not None:
        line, minor = plain, 1
        headers: RawHeaders = _PLAIN_FIELD.findall(data, plain.end(2))
    else:
        line, minor, headers = _parse_strictly(data)
    if len(headers) > MAX_HEADERS:
        raise BadRequest(431, f"the request has over {MAX_HEADERS} headers")
    single, connection_options = _check_headers(headers)
    target = _target(line[1], line[2], single) if plain is None else line[2].decode("ascii")
    host, length = _host(single, minor), _length(single, minor)
    if plain is None:
        _check_with_llhttp(data, line.end(1))
    expect = single.get(b"expect", b"").lower()
    if expect not in (b"", b"100-continue"):
        raise BadRequest(417, "100-continue is the only supported expectation")
    return RequestHead(
        line[1].decode("ascii"),
        target,
        minor,
        headers,
        host,
        length,
        minor == 1 and b"close" not in connection_options,
        expect != b"" and minor == 1,
        single.get(b"upgrade", b"").lower() if b"upgrade" in connection_options else b"",
    )


def _parse_strictly(data: bytes) -> tuple[re.Match[bytes], int, RawHeaders]:
    """Return the match of the request line, the minor version and the headers."""
    line = _LINE.match(data)
    if line is None:
        raise BadRequest(400, "the request line is malformed")
    if line[3] != b"1" or line[4] not in (b"0", b"1"):
        raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are supported")
    if _FIELDS.fullmatch(data, line.end()) is None:
        raise BadRequest(400, "a header line is malformed")
    fields = _FIELD.findall(data, line.end())
    return line, int(line[4]), [(name, value.rstrip(b" \t")) for name, value in fields]


def _check_headers(headers: RawHeaders) -> tuple[dict[bytes, bytes], set[bytes]]:
    """Return the headers that may occur only once, and the options in the Connection header."""
    single: dict[bytes, bytes] = {}
    options: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        if lower in _MUST_BE_SINGLE:
            if lower in single:
                raise BadRequest(
                    400, f"the request has more than one {lower.decode('ascii')} header"
                )
            single[lower] = value
        elif lower == b"connection":
            options.update([part.strip().lower() for part in value.split(b",")])
        elif b"_" in lower and lower.replace(b"_", b"-") in _NO_UNDERSCORE:
            raise BadRequest(400, f"the header {lower.decode('ascii')} is not accepted")
    return single, options


def _length(single: dict[bytes, bytes], minor: int) -> int | None:
    coding, length = single.get(b"transfer-encoding"), single.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise BadRequest(400, "the request has both content-length and transfer-encoding")
        if minor == 0:
            raise BadRequest(400, "transfer-encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise BadRequest(501, "chunked is the only supported transfer coding")
        return None
    if length is None:
        return 0
    if _LENGTH.fullmatch(length) is None:
        raise BadRequest(400, "content-length is not a number")
    return int(length)


def _host(single: dict[bytes, bytes], minor: int) -> str:
    host = single.get(b"host")
    if host is None:
        if minor:
            raise BadRequest(400, "the host header is missing")
        return ""
    if _HOST.fullmatch(host) is None:
        raise BadRequest(400, "the host header is malformed")
    return host.decode("ascii")


def _target(method: bytes, target: bytes, single: dict[bytes, bytes]) -> str:
    if method == b"CONNECT":
        raise BadRequest(501, "CONNECT is not supported: this is not a forward proxy")
    if method == b"TRACE":
        raise BadRequest(405, "TRACE is not supported")
    if target == b"*" and method == b"OPTIONS":
        return "*"
    if (absolute := _ABSOLUTE.fullmatch(target)) is not None:
        if absolute[1].lower() != single.get(b"host", b"").lower():
            raise BadRequest(400, "the host in the URL and the host header differ")
        target = absolute[2] or b"/"
        target = target if target.startswith(b"/") else b"/" + target
    if not target.startswith(b"/") or b"#" in target:
        raise BadRequest(400, "the request target is not a path")
    if _DOTS.search(target.partition(b"?")[0]):
        raise BadRequest(400, "the path contains '..'")
    return target.decode("ascii")


class _HeadersComplete:
    """Callback object for llhttp that records whether the head was complete."""

    def __init__(self) -> None:
        self.complete = False

    def on_headers_complete(self) -> None:
        self.complete = True


def _check_with_llhttp(data: bytes, method_end: int) -> None:
    callbacks = _HeadersComplete()
    try:
        # llhttp accepts only a fixed list of methods, so the method is replaced by POST.
        httptools.HttpRequestParser(callbacks).feed_data(b"POST" + data[method_end:])
    except httptools.HttpParserUpgrade:
        return  # llhttp accepted the head. The caller decides whether to upgrade.
    except httptools.HttpParserError as error:
        raise BadRequest(400, f"malformed request: {error}"[:200]) from None
    if not callbacks.complete:
        raise BadRequest(400, "the request head is ambiguous")
