"""The traceparent header (W3C Trace Context, level 1 and 2). Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from undam.gateway.interfaces import RequestRecord
from undam.http1.headers import RawHeaders

# A later version may have more fields behind these; ff is forbidden (3.2.2).
_FORM = re.compile(
    rb"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
    rb"(?P<rest>-.*)?"
)
_NONE = re.compile(r"0+")


@dataclass(frozen=True, slots=True)
class TraceParent:
    """A valid one: ids in lower-case hex, none of them all zero."""

    trace_id: str
    span_id: str
    flags: int = 1

    def header(self) -> bytes:
        """Its value, of version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & 3:02x}".encode()


def parse(value: bytes | None) -> TraceParent | None:
    """What a header says; ``None`` for none and for one that the specification rejects."""
    found = _FORM.fullmatch(value.strip()) if value is not None else None
    if found is None or found["version"] == b"ff":
        return None
    if found["version"] == b"00" and found["rest"] is not None:
        return None
    trace, span = found["trace"].decode(), found["span"].decode()
    if _NONE.fullmatch(trace) or _NONE.fullmatch(span):
        return None
    return TraceParent(trace, span, int(found["flags"], 16))


def of_headers(headers: RawHeaders) -> TraceParent | None:
    """The one of a request; several of them are none (3.2)."""
    found = [value for name, value in headers if name.lower() == b"traceparent"]
    return parse(found[0]) if len(found) == 1 else None


def of_record(record: RequestRecord) -> TraceParent | None:
    """What the upstream is told, or else what the client told."""
    made = of_headers(record.tracing)
    if made is not None or record.request is None:
        return made
    return of_headers(record.request.headers)
