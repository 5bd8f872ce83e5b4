"""The traceparent header (W3C Trace Context, level 1 and 2). No I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from undam.gateway.interfaces import RequestRecord
from undam.http1.headers import RawHeaders

# Later versions may append fields; version ff is invalid (3.2.2).
_FORM = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    rb"(?P<rest>-.*)?"
)
_ZERO = re.compile(r"0+")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A valid traceparent; IDs are in lower-case hex and not all zero."""

    trace_id: str
    span_id: str
    flags: int = 1

    def header(self) -> bytes:
        """Return the header value in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 3:02x}".encode()


def parse(value: bytes | None) -> TraceParent | None:
    """Parse a header value; return ``None`` if it is missing or invalid."""
    found = _FORM.fullmatch(value.strip()) if value is not None else None
    if found is None or found["version"] == b"ff":
        return None
    if found["version"] == b"00" and found["rest"] is not None:
        return None
    trace, span = found["trace"].decode(), found["span"].decode()
    if _ZERO.fullmatch(trace) or _ZERO.fullmatch(span):
        return None
    return TraceParent(trace, span, int(found["flags"], 16))


def from_headers(headers: RawHeaders) -> TraceParent | None:
    """Return the traceparent of a request; more than one header is invalid (3.2)."""
    found = [value for name, value in headers if name.lower() == b"traceparent"]
    return parse(found[0]) if len(found) == 1 else None


def from_record(record: RequestRecord) -> TraceParent | None:
    """Return the traceparent that was sent upstream; if none was sent, return the client's."""
    created = from_headers(record.tracing)
    if created is not None or record.request is None:
        return created
    return from_headers(record.request.headers)
