"""Response headers that keep intermediaries from buffering a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from undam.errors import UsageError
from undam.http1.headers import NO_BUFFERING, RawHeaders, with_no_buffering

GivenHeaders = (
    Mapping[str, str] | Mapping[str, str | None] | Iterable[tuple[str | bytes, str | bytes | None]]
)

EVENT_STREAM: tuple[tuple[bytes, bytes], ...] = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    *NO_BUFFERING,
)

# RFC 9113, 8.2.2, forbids these headers in HTTP/2. In HTTP/1.1, only the server may set them.
_CONNECTION_HEADERS = frozenset({b"connection", b"keep-alive", b"proxy-connection"})
_TOKEN = frozenset(b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz")


def stream_headers(given: GivenHeaders) -> RawHeaders:
    """Return the default stream headers, overridden by ``given``. All names are in lower case.

    Raises:
        UsageError: a name is not a token, or a value contains a line break or a NUL.
    """
    if not given:
        return list(EVENT_STREAM)
    pairs = [
        (_name(name), None if value is None else _value(value))
        for name, value in (given.items() if isinstance(given, Mapping) else given)
    ]
    replaced = {name for name, _ in pairs}
    own = [pair for pair in EVENT_STREAM if pair[0] not in replaced]
    return own + [
        (name, value)
        for name, value in pairs
        if value is not None and name not in _CONNECTION_HEADERS
    ]


def guarded_headers(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return another application's stream headers, plus headers that prevent buffering."""
    return with_no_buffering(
        (name, value) for name, value in headers if name.lower() not in _CONNECTION_HEADERS
    )


def _name(name: str | bytes) -> bytes:
    raw = (name.encode("latin-1", "replace") if isinstance(name, str) else bytes(name)).lower()
    if not raw or not _TOKEN.issuperset(raw):
        raise UsageError(f"headers: {name!r} is not a valid header name")
    return raw


def _value(value: str | bytes) -> bytes:
    try:
        raw = value.encode("latin-1") if isinstance(value, str) else bytes(value)
    except UnicodeEncodeError:
        raise UsageError(
            f"headers: {value!r} contains characters that are not allowed in a header"
        ) from None
    if b"\r" in raw or b"\n" in raw or b"\0" in raw:
        raise UsageError(f"headers: {value!r} contains a line break or a NUL")
    return raw.strip()
