"""Form of a response under load: event stream, JSON lines, or neither."""

from __future__ import annotations

from undam.record import Head

_LINE_TYPES = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
_SSE_STARTS = (b"data:", b"event:", b"id:", b": ", b":\n", b"retry:")


def form_of(head: Head | None, first_bytes: bytes) -> str:
    """Return the form of a stream, from its Content-Type or else from the beginning of the body."""
    kind = (head.get("content-type") or "" if head else "").partition(";")[0].strip().lower()
    if kind == "text/event-stream":
        return "sse"
    if kind in _LINE_TYPES:
        return "ndjson"
    start = first_bytes.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")
    return "sse" if start.startswith(_SSE_STARTS) else "none"
