"""Requests read strictly: what two readers could understand differently is refused.

Smuggling lives of such differences, so nothing is repaired and nothing is guessed. The head is
checked whole by one pattern, then read by llhttp as well; only what both accept goes on. The
body's end is found here, since llhttp does not say where in a read a message ended.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import httptools

from undam.errors import RemoteProtocolError
from undam.gateway.http.chunked_decoder import ChunkedReader
from undam.gateway.interfaces import RawHeaders

MAX_HEADERS = 100
"""As Apache; nginx and Envoy allow about as many by default."""

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_VALUE = rb"[\t -~\x80-\xff]*+"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([!-~]++) HTTP/([0-9])\.([0-9])\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+(" + _VALUE + rb")\r\n")
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb":" + _VALUE + rb"\r\n)*+\r\n")
# What nearly all clients send: a head on which no two readers differ, so llhttp is not asked. With
# caches as cold as a stream's request finds them, that alone takes 14 us.
_PLAIN = re.compile(
    rb"(GET|POST) (/[A-Za-z0-9/_\-]*+) HTTP/1\.1"
    rb"(?:\r\n[A-Za-z0-9\-]++: [!-~]++(?: ++[!-~]++)*+)++\r\n\r\n"
)
_PLAIN_FIELD = re.compile(rb"\r\n([^:\r]++): ([^\r]++)")
# In a head that has not ended yet: what can only be refused need not be waited for.
_NEVER = re.compile(rb"(?<!\r)\n|\r[^\n]|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._~!$&'()*+;=%\-]+)(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"(?i:https?)://([^/?#@]+)(/[^#]*|\?[^#]*)?")
# Behind a base path they would lead out of it, and before a local page into it.
_DOTS = re.compile(rb"/(?:\.|%2[eE]){2}(?:/|%2[fF]|\\|$)")
# Servers of the CGI kind take an underscore for a hyphen, so these would become second ones.
_LOOKALIKES = frozenset({b"content-length", b"transfer-encoding", b"host", b"connection"})


class BadRequest(RemoteProtocolError):
    """A request that gets an answer of ``status``, and then the connection's end."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class RequestHead:
    """A request without its body.

    Args:
        target: path and query; a whole URL was cut to them.
        length: of the body in bytes; ``None`` if it comes in chunks.
        minor: the version is HTTP/1.minor.
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


class RequestReader:
    """The bytes of one connection, one request after the other.

    `head` and `body` give what there is; both raise BadRequest, after which nothing may be read.
    """

    __slots__ = ("_chunked", "_held", "_left", "_max_body", "_max_head", "_taken")

    def __init__(self, max_head_bytes: int, max_body_bytes: int) -> None:
        self._held = b""
        self._max_head = max_head_bytes
        self._max_body = max_body_bytes
        self._left = 0
        self._taken = 0
        self._chunked: ChunkedReader | None = None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that nobody has asked for yet."""
        return len(self._held)

    def receive_data(self, data: bytes) -> None:
        """Take one read."""
        self._held = self._held + data if self._held else data

    def head(self) -> RequestHead | None:
        """The next request's head, once it is whole."""
        held = self._held
        # RFC 9112, 2.2: one empty line before a request is to be ignored.
        start = 2 if held.startswith(b"\r\n") else 0
        end = held.find(b"\r\n\r\n", start)
        if (end if end >= 0 else len(held)) - start > self._max_head:
            raise BadRequest(431, f"the request head is over {self._max_head} bytes")
        if end < 0:
            if _NEVER.search(held):
                raise BadRequest(400, "the request head has a bare line end or control character")
            return None
        head = read_head(held[start : end + 4])
        self._held = held[end + 4 :]
        if head.length is not None and head.length > self._max_body:
            raise BadRequest(413, f"the request body is over {self._max_body} bytes")
        self._left = head.length or 0
        self._taken = 0
        self._chunked = ChunkedReader() if head.length is None else None
        return head

    def body(self) -> tuple[bytes, bool]:
        """What has come of the body since the last call, and whether that was all of it."""
        if self._chunked is None:
            piece, self._held = self._held[: self._left], self._held[self._left :]
            self._left -= len(piece)
            return piece, not self._left
        try:
            piece, self._held, whole = self._chunked.take(self._held)
        except RemoteProtocolError as error:
            raise BadRequest(400, str(error)) from None
        self._taken += len(piece)
        if self._taken > self._max_body:
            raise BadRequest(413, f"the request body is over {self._max_body} bytes")
        return piece, whole


def read_head(data: bytes) -> RequestHead:
    """Read one head, from its first byte to its blank line.

    Raises:
        BadRequest: it breaks a rule of RFC 9112, or two readers could read it differently.
    """
    plain = _PLAIN.fullmatch(data)
    if plain is not None:
        line, minor = plain, 1
        headers: RawHeaders = _PLAIN_FIELD.findall(data, plain.end(2))
    else:
        line, minor, headers = _strictly(data)
    if len(headers) > MAX_HEADERS:
        raise BadRequest(431, f"the request has over {MAX_HEADERS} headers")
    single, tokens = _look_over(headers)
    target = _target(line[1], line[2], single) if plain is None else line[2].decode("ascii")
    host, length = _host(single, minor), _length(single, minor)
    if plain is None:
        _agree(data, line.end(1))
    expect = single.get(b"expect", b"").lower()
    if expect not in (b"", b"100-continue"):
        raise BadRequest(417, "the only expectation known is 100-continue")
    return RequestHead(
        line[1].decode("ascii"),
        target,
        minor,
        headers,
        host,
        length,
        minor == 1 and b"close" not in tokens,
        expect != b"" and minor == 1,
        single.get(b"upgrade", b"").lower() if b"upgrade" in tokens else b"",
    )


def _strictly(data: bytes) -> tuple[re.Match[bytes], int, RawHeaders]:
    """The request line, the minor version and the headers of any head that can be read."""
    line = _LINE.match(data)
    if line is None:
        raise BadRequest(400, "the request line is malformed")
    if line[3] != b"1" or line[4] not in (b"0", b"1"):
        raise BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
    if _FIELDS.fullmatch(data, line.end()) is None:
        raise BadRequest(400, "a header line is malformed")
    fields = _FIELD.findall(data, line.end())
    return line, int(line[4]), [(name, value.rstrip(b" \t")) for name, value in fields]


def _look_over(headers: RawHeaders) -> tuple[dict[bytes, bytes], set[bytes]]:
    """The headers that must not come twice, and what Connection names."""
    single: dict[bytes, bytes] = {}
    tokens: set[bytes] = set()
    for name, value in headers:
        low = name.lower()
        if low in _SINGLE:
            if low in single:
                raise BadRequest(400, f"more than one {low.decode('ascii')} header")
            single[low] = value
        elif low == b"connection":
            tokens.update([part.strip().lower() for part in value.split(b",")])
        elif b"_" in low and low.replace(b"_", b"-") in _LOOKALIKES:
            raise BadRequest(400, f"the header {low.decode('ascii')} is not accepted")
    return single, tokens


_SINGLE = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"content-type"}
)


def _length(single: dict[bytes, bytes], minor: int) -> int | None:
    coding, length = single.get(b"transfer-encoding"), single.get(b"content-length")
    if coding is not None:
        if length is not None:
            raise BadRequest(400, "both content-length and transfer-encoding")
        if minor == 0:
            raise BadRequest(400, "transfer-encoding in HTTP/1.0")
        if coding.lower() != b"chunked":
            raise BadRequest(501, "the only transfer coding known is chunked")
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
            raise BadRequest(400, "no host header")
        return ""
    if _HOST.fullmatch(host) is None:
        raise BadRequest(400, "the host header is malformed")
    return host.decode("ascii")


def _target(method: bytes, target: bytes, single: dict[bytes, bytes]) -> str:
    if method == b"CONNECT":
        raise BadRequest(501, "CONNECT is not served: this is no forward proxy")
    if method == b"TRACE":
        raise BadRequest(405, "TRACE is not served")
    if target == b"*" and method == b"OPTIONS":
        return "*"
    if (whole := _ABSOLUTE.fullmatch(target)) is not None:
        if whole[1].lower() != single.get(b"host", b"").lower():
            raise BadRequest(400, "the request's URL and its host header differ")
        target = whole[2] or b"/"
        target = target if target.startswith(b"/") else b"/" + target
    if not target.startswith(b"/") or b"#" in target:
        raise BadRequest(400, "the request's target is no path")
    if _DOTS.search(target.partition(b"?")[0]):
        raise BadRequest(400, "the path leads upwards")
    return target.decode("ascii")


class _Ends:
    """Notes that llhttp has read a head to its end."""

    def __init__(self) -> None:
        self.complete = False

    def on_headers_complete(self) -> None:
        self.complete = True


def _agree(data: bytes, method_end: int) -> None:
    ends = _Ends()
    try:
        # llhttp has a list of methods; others pass here, too, and are read like POST.
        httptools.HttpRequestParser(ends).feed_data(b"POST" + data[method_end:])
    except httptools.HttpParserUpgrade:
        return  # It read the head; whether to upgrade is decided elsewhere.
    except httptools.HttpParserError as error:
        raise BadRequest(400, f"malformed request: {error}"[:200]) from None
    if not ends.complete:
        raise BadRequest(400, "the request head is ambiguous")
