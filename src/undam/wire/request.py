"""Serialization of requests, with checks that prevent request smuggling."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable

from undam.errors import LocalProtocolError
from undam.wire.config import Request
from undam.wire.url import Target

# All codings that this client can decode are offered, so that hops that compress are detected.
ACCEPT_ENCODING = "gzip, deflate, br, zstd"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_UNSENDABLE = re.compile(r"[\x00\r\n]")
# Forbidden in HTTP/2 (RFC 9113, 8.2.2); the authority field replaces Host.
_HTTP1_ONLY = frozenset(
    {"host", "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
)
_BODILESS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})


def encode_request(
    request: Request, target: Target, *, absolute: bool = False, proxy_userinfo: bytes | None = None
) -> bytes:
    """Serialize a request.

    Args:
        absolute: use the absolute form of the request target, which HTTP proxies require.

    Raises:
        LocalProtocolError: the method or a header is invalid; the message contains no values.
    """
    lines = _checked_lines(request, target)
    if absolute and proxy_userinfo is not None and "proxy-authorization" not in _names(lines):
        lines.append(("Proxy-Authorization", basic(proxy_userinfo)))
    # RFC 9110 7.2: Host should be the first header, even if the caller sets it.
    lines.sort(key=lambda line: line[0].lower() != "host")
    request_target = target.text if absolute else target.path
    head = [f"{request.method} {request_target} HTTP/1.1", *(f"{n}: {v}" for n, v in lines), "", ""]
    return _bytes("\r\n".join(head)) + request.body


def http2_fields(request: Request, target: Target) -> list[tuple[bytes, bytes]]:
    """Return a request as HTTP/2 header fields (RFC 9113, 8.3.1).

    Raises:
        LocalProtocolError: as for ``encode_request``.
    """
    lines = _checked_lines(request, target)
    authority = next(value for name, value in lines if name.lower() == "host")
    fields = [
        (b":method", _bytes(request.method)),
        (b":scheme", _bytes(target.scheme)),
        (b":authority", _bytes(authority)),
        (b":path", _bytes(target.path)),
    ]
    return fields + [
        (_bytes(name.lower()), _bytes(value.strip()))
        for name, value in lines
        if name.lower() not in _HTTP1_ONLY
    ]


def encode_connect(target: Target, proxy_userinfo: bytes | None) -> bytes:
    """Serialize a CONNECT request for a tunnel to ``target`` (RFC 9110 9.3.6)."""
    host = f"[{target.name}]" if ":" in target.name else target.name
    lines = [f"CONNECT {host}:{target.port} HTTP/1.1", f"Host: {host}:{target.port}"]
    if proxy_userinfo is not None:
        lines.append(f"Proxy-Authorization: {basic(proxy_userinfo)}")
    return _bytes("\r\n".join([*lines, "", ""]))


def basic(userinfo: bytes) -> str:
    """Return Basic credentials (RFC 7617) for ``user:password``."""
    pair = userinfo if b":" in userinfo else userinfo + b":"
    return f"Basic {base64.b64encode(pair).decode('ascii')}"


def _checked_lines(request: Request, target: Target) -> list[tuple[str, str]]:
    """Return the request's headers, including default headers.

    Raises:
        LocalProtocolError: the method or a header is invalid.
    """
    if not _TOKEN.match(request.method):
        raise LocalProtocolError(f"{request.method!a} is not an HTTP method")
    given = _names(request.headers)
    lines = [line for line in _default_headers(request, target) if line[0].lower() not in given]
    lines += request.headers
    _check(lines, len(request.body))
    return lines


def _names(lines: Iterable[tuple[str, str]]) -> set[str]:
    return {name.lower() for name, _ in lines}


def _default_headers(request: Request, target: Target) -> list[tuple[str, str]]:
    lines = [
        ("Host", target.authority),
        ("User-Agent", "undam"),
        ("Accept", "*/*"),
        ("Accept-Encoding", ACCEPT_ENCODING),
    ]
    if target.userinfo is not None:
        lines.append(("Authorization", basic(target.userinfo)))
    if request.body or request.method not in _BODILESS:
        lines.append(("Content-Length", str(len(request.body))))
    return lines


def _check(lines: list[tuple[str, str]], body_bytes: int) -> None:
    seen: set[str] = set()
    for name, value in lines:
        if not _TOKEN.match(name):
            raise LocalProtocolError(f"{name!a} is not a header name")
        if _UNSENDABLE.search(value):
            raise LocalProtocolError(f"header {name}: the value contains a line break or a NUL")
        lower = name.lower()
        if lower == "transfer-encoding":
            raise LocalProtocolError(
                "header Transfer-Encoding: the body is sent with Content-Length"
            )
        if lower == "content-length" and value.strip() != str(body_bytes):
            raise LocalProtocolError(f"header Content-Length: the body has {body_bytes} bytes")
        if lower in {"host", "content-length"} and lower in seen:
            raise LocalProtocolError(f"header {name}: duplicate")
        seen.add(lower)


def _bytes(text: str) -> bytes:
    # As in curl, bytes from the command line are sent unchanged.
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise LocalProtocolError(
            "a header contains a lone surrogate, which has no UTF-8 encoding"
        ) from None
