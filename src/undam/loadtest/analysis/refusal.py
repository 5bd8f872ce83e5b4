"""Description of a response that is not a stream, in one line and without secrets. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from undam.record import Head, redact_text

_MAX_LINE = 200
_MAX_DIGITS = 9
_NS_PER_S = 1_000_000_000
# About 30 years. A longer delay is a mistake by the server, and records do not accept it.
_MAX_RETRY_AFTER_S = 1e9


def one_line(text: str, secrets: Iterable[str]) -> str:
    """Return ``text`` as one printable line of bounded length, with secrets redacted."""
    # Redact before truncating, because a truncated secret would not be recognized.
    line = " ".join(redact_text(text, secrets).split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line[:_MAX_LINE])
    return shown if len(line) <= _MAX_LINE else f"{shown}…"


def describe_refusal(head: Head, body: bytes) -> str:
    """Describe a response that is not a stream: its status or type, and its body."""
    text = body.decode("utf-8", "replace").strip()
    media_type = (head.get("content-type") or "").partition(";")[0].strip().lower()
    if head.status // 100 != 2:
        summary = f"{head.status} {_phrase(head.status)}".rstrip()
    elif not body:
        summary = f"the response ({head.status}) has no body"
    elif media_type:
        summary = f"the response is {media_type}, not a stream"
    else:
        summary = "the response has no Content-Type and is not a stream"
    return f"{summary}: {text}" if text and media_type != "text/html" else summary


def retry_after_s(head: Head, now_ns: int) -> float | None:
    """Return the Retry-After delay in seconds (RFC 9110 10.2.3), or ``None``."""
    value = (head.get("retry-after") or "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= _MAX_DIGITS else None
    # Import this module only if the server sends a date, which is rare.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        when = parsedate_to_datetime(value)
        wait_s = max(0.0, when.timestamp() - now_ns / _NS_PER_S)
    except (ValueError, OverflowError):
        return None
    return wait_s if wait_s <= _MAX_RETRY_AFTER_S else None


def _phrase(status: int) -> str:
    # Import this module only for an error status, because most runs do not need it.
    from http import HTTPStatus  # noqa: PLC0415

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
