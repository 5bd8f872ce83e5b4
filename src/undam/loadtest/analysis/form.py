"""Detection of a response's form: the framing of its events, or a single document."""

from __future__ import annotations

from undam.framing import Framing
from undam.framing.detect import detect, is_page
from undam.record import Head

_LINE_TYPES = {"application/x-ndjson", "application/ndjson", "application/jsonl"}


def form_of(head: Head | None, first_bytes: bytes, *, complete: bool = False) -> Framing | None:
    """Detect the framing of a stream from the beginning of the body.

    ``None`` means that more bytes are needed, or that a complete body is empty and of no type of
    stream.

    Args:
        complete: whether ``first_bytes`` is the whole body.
    """
    if complete and not first_bytes and _kind(head) not in _STREAM_TYPES:
        return None
    return detect(_kind(head), first_bytes, complete=complete)


def is_document(head: Head, framing: Framing, first_bytes: bytes, events: int) -> bool:
    """Return whether a complete body is one JSON document, a page, or data of a declared length.

    Args:
        events: number of events in the body.
    """
    kind = _kind(head)
    if framing is Framing.NDJSON:
        return events <= 1 and kind not in _LINE_TYPES
    if framing is not Framing.TEXT and framing is not Framing.BYTES:
        return False
    return head.get("content-length") is not None or ("html" in kind and is_page(first_bytes))


def is_utf8(head: Head) -> bool:
    """Return whether the head declares UTF-8 or no charset."""
    kind = (head.get("content-type") or "").lower()
    return "charset=" not in kind or "utf-8" in kind or "utf8" in kind


_STREAM_TYPES = {"text/event-stream", *_LINE_TYPES}


def _kind(head: Head | None) -> str:
    return (head.get("content-type") or "" if head else "").partition(";")[0].strip().lower()
