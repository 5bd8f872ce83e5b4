"""Headers that belong to one connection, and headers that keep a stream from being buffered."""

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

# If Connection names one of these, it is forwarded all the same: the upstream's decision depends
# on it, so a client must not be able to remove it.
_NEVER_DROPPED = frozenset({b"authorization", b"cookie", b"content-type", b"x-api-key"})

NO_BUFFERING: tuple[tuple[bytes, bytes], ...] = (
    # RFC 9110, 7.7: `no-transform` forbids compression, and a compressor buffers.
    (b"cache-control", b"no-cache, no-transform"),
    # Read and removed by nginx and its derivatives.
    (b"x-accel-buffering", b"no"),
    # RFC 10036: asks every intermediary to forward each part as it arrives.
    (b"incremental", b"?1"),
)
"""Headers of an event stream that ask intermediaries not to buffer it."""


def without_hop_by_hop(headers: RawHeaders) -> RawHeaders:
    """Return ``headers`` without those that concern only the connection they came on."""
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
    """Return the headers of an event stream, with those of `NO_BUFFERING` added where missing.

    The values of Cache-Control are joined, and ``no-transform`` is added to them. An
    X-Accel-Buffering or Incremental header that is present stays as it is.
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
