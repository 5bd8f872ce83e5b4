"""Findings about response heads: headers that a stream should have, and hops that remove them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from undam.diagnosis.hop import Hop
from undam.framing import Framing
from undam.record import Head
from undam.rules import Finding, Fix, Severity, finding

# If the head and a body byte are this close together, the hop sent them in one write.
_SAME_WRITE_NS = 1_000_000
# Users do not notice a head that is delayed by less than this.
_LATE_HEAD_NS = 500_000_000

_CACHEABLE = re.compile(r"(?:^|,)\s*(?:public(?=\s*(?:,|$))|(?:s-maxage|max-age)\s*=\s*\"?0*[1-9])")
# RFC 9111, sections 5.2.2.4 and 5.2.2.5: these override the other directives, unless they have an
# argument.
_NO_REUSE = re.compile(r"(?:^|,)\s*no-(?:store|cache)\s*(?:,|$)")

# HTTP/2 forbids these headers (RFC 9113, 8.2.2).
_HTTP1_ONLY = ("Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade")

_WANTED = (
    ("Cache-Control: no-cache, no-transform", "cache-control", "no-transform"),
    ("X-Accel-Buffering: no", "x-accel-buffering", "no"),
    ("Incremental: ?1", "incremental", "?1"),
)


def find_heads(hops: Sequence[Hop]) -> list[Finding]:
    """Return findings about response heads, and about headers missing at the innermost hop."""
    found: list[Finding] = []
    for index, hop in enumerate(hops):
        head = hop.exchange.head
        if head is None:
            continue
        found += _find_content_type(hop, head)
        if hop.reading.is_document:
            continue
        inner = hops[index + 1] if index + 1 < len(hops) else None
        found += _find_framing(hop, head, inner)
        found += _find_harmful(hop, head)
        if inner is not None:
            found += _find_eaten(hops, index)
        found += _find_late_head(hop)
    found += _find_missing(hops[-1])
    return found


def _find_content_type(hop: Hop, head: Head) -> list[Finding]:
    kind = head.get("content-type") or ""
    bare = kind.partition(";")[0].strip().lower()
    if hop.reading.framing is Framing.SSE and bare != "text/event-stream":
        return [finding("UD204", hop.name, content_type=kind[:100] or "missing")]
    is_whole = hop.reading.is_document or hop.reading.is_collected
    if is_whole and not hop.reading.has_error:
        kind = kind[:100] or "data without a Content-Type"
        return [finding("UD205", hop.name, content_type=kind)]
    return []


def _find_framing(hop: Hop, head: Head, inner: Hop | None) -> list[Finding]:
    length = head.get("content-length")
    if length is not None:
        told = (
            inner is not None and inner.exchange.head and inner.exchange.head.get("content-length")
        )
        if told:
            # The inner hop already sent a Content-Length, so the inner hop collected the response.
            return []
        severity = None if hop.shape.held else Severity.INFO
        return [finding("UD107", hop.name, severity=severity, content_length=length[:20])]
    if head.http_version == "1.0" or _is_close_delimited(head):
        version = f"HTTP/{head.http_version}"
        return [finding("UD108", hop.name, http_version=version)]
    return []


def _is_close_delimited(head: Head) -> bool:
    return (
        head.http_version == "1.1"
        and head.get("content-length") is None
        and "chunked" not in (head.get("transfer-encoding") or "").lower()
    )


def _find_harmful(hop: Hop, head: Head) -> list[Finding]:
    found: list[Finding] = []
    cache_control = ", ".join(head.all("cache-control")).lower()
    if _CACHEABLE.search(cache_control) and not _NO_REUSE.search(cache_control):
        fix = Fix("origin", "Cache-Control: no-cache, no-transform")
        found.append(finding("UD201", hop.name, fix=fix, cache_control=cache_control[:100]))
    forbidden = [(name, head.get(name)) for name in _HTTP1_ONLY if head.get(name) is not None]
    if forbidden and head.http_version in {"2", "3"}:
        name, value = forbidden[0]
        version = head.http_version
        evidence = {"name": name, "connection": (value or "")[:50], "http_version": version}
        found.append(finding("UD203", hop.name, evidence))
    return found


def _find_eaten(hops: Sequence[Hop], index: int) -> list[Finding]:
    """Return a finding if the inner hop sent X-Accel-Buffering, but this hop did not."""
    hop, inner = hops[index], hops[index + 1]
    here, there = hop.exchange.head, inner.exchange.head
    if here is None or there is None:
        return []
    if there.get("x-accel-buffering") is None or here.get("x-accel-buffering") is not None:
        return []
    harmful = index > 0 and hops[index - 1].shape.held
    severity = Severity.WARNING if harmful else None
    return [finding("UD109", hop.name, severity=severity, inner=inner.name)]


def _find_late_head(hop: Hop) -> list[Finding]:
    head_ns, arrivals = hop.exchange.stamps.head_ns, hop.exchange.arrivals
    if head_ns is None or not arrivals:
        return []
    waited = head_ns - hop.reading.sent_ns
    if waited < _LATE_HEAD_NS or arrivals[0].at_ns - head_ns > _SAME_WRITE_NS:
        return []
    return [finding("UD105", hop.name, headers_ms=round(waited / 1e6, 1))]


def _find_missing(hop: Hop) -> list[Finding]:
    head = hop.exchange.head
    if head is None or hop.reading.is_document:
        return []
    missing = [
        line
        for line, name, token in _WANTED
        if token not in ", ".join(head.all(name)).lower().replace(" ", "").split(",")
    ]
    # nginx removes X-Accel-Buffering, so its absence proves nothing behind nginx.
    if hop.intermediaries:
        missing = [line for line in missing if not line.startswith("X-Accel")]
    if not missing:
        return []
    names = ", ".join(missing)
    return [finding("UD202", hop.name, fix=Fix("origin", "\n".join(missing)), missing=names)]
