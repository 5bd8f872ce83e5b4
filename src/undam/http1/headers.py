"""Hop-by-hop headers, and headers that keep a stream from being buffered."""

from __future__ import annotations

from collections.abc import Iterable

RawHeaders = list[tuple[bytes, bytes]]
"""Header names and values as received. Names are compared in lower case."""

HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    }
)
"""Headers that an intermediary does not forward (RFC 9110, 7.6.1)."""

# These headers are forwarded even if Connection lists them. Upstreams base decisions on some of
# them, so clients must not be able to remove them. Others describe the body, which a recipient
# would otherwise misinterpret.
_NEVER_DROPPED = frozenset(
    {
        b"authorization",
        b"cookie",
        b"set-cookie",
        b"x-api-key",
        b"api-key",
        b"content-encoding",
        b"content-language",
        b"content-length",
        b"content-range",
        b"content-type",
        b"host",
        b"location",
        b"retry-after",
        b"www-authenticate",
    }
)

NO_BUFFERING: tuple[tuple[bytes, bytes], ...] = (
    # RFC 9110, 7.7: `no-transform` forbids compression, which would buffer the stream.
    (b"cache-control", b"no-cache, no-transform"),
    # nginx and its derivatives obey this header, and then remove it.
    (b"x-accel-buffering", b"no"),
    # RFC 10036: this header asks every intermediary to forward each part as it arrives.
    (b"incremental", b"?1"),
)
"""Headers of an event stream that ask intermediaries not to buffer it."""


def without_hop_by_hop(headers: RawHeaders) -> RawHeaders:
    """Return ``headers`` without the hop-by-hop headers."""
    if HOP_BY_HOP.isdisjoint([name.lower() for name, _ in headers]):
        return headers
    named = {
        part.strip().lower()
        for name, value in headers
        if name.lower() == b"connection"
        for part in value.split(b",")
    }
    dropped = HOP_BY_HOP | (named - _NEVER_DROPPED)
    return [pair for pair in headers if pair[0].lower() not in dropped]


def with_no_buffering(headers: Iterable[tuple[bytes, bytes]]) -> RawHeaders:
    """Return the headers for an event stream; missing headers of `NO_BUFFERING` are added.

    The values of Cache-Control are joined, and ``no-transform`` is added to them. Existing
    X-Accel-Buffering and Incremental headers are not changed.
    """
    result: RawHeaders = []
    cache_control: list[bytes] = []
    present: set[bytes] = set()
    for name, value in headers:
        lower = name.lower()
        present.add(lower)
        if lower != b"cache-control":
            result.append((name, value))
        elif value.strip():
            cache_control.append(value.strip())
    result.append((b"cache-control", _with_no_transform(cache_control)))
    result += [pair for pair in NO_BUFFERING[1:] if pair[0] not in present]
    return result


def _with_no_transform(values: list[bytes]) -> bytes:
    if not values:
        return NO_BUFFERING[0][1]
    joined = b", ".join(values)
    directives = {part.strip().lower() for part in joined.split(b",")}
    return joined if b"no-transform" in directives else joined + b", no-transform"
