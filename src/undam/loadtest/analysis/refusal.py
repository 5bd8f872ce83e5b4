"""What a server says instead of a stream, in one line and without secrets. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from undam.record import Head, redact_text

_SHOWN = 200
_MOST_DIGITS = 9
_NS_PER_S = 1_000_000_000


def one_line(text: str, secrets: Iterable[str]) -> str:
    """``text`` as one printable line of bounded length, secrets taken out before it is cut."""
    words = " ".join(redact_text(text, secrets).split())
    shown = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words[:_SHOWN])
    return shown if len(words) <= _SHOWN else f"{shown}…"


def describe_refusal(head: Head, body: bytes) -> str:
    """What a response that is no stream is, and how its body begins."""
    said = body.decode("utf-8", "replace").strip()
    kind = (head.get("content-type") or "").partition(";")[0].strip().lower()
    if head.status // 100 != 2:
        begin = f"{head.status} {_phrase(head.status)}".rstrip()
    elif not body:
        begin = f"the answer ({head.status}) has no body"
    else:
        begin = f"the answer is {kind or 'of no stated type'}, not a stream"
    return f"{begin}: {said}" if said and kind != "text/html" else begin


def retry_after_s(head: Head, now_ns: int) -> float | None:
    """The seconds that a response asks to wait (RFC 9110 10.2.3), if it does."""
    value = (head.get("retry-after") or "").strip()
    if not value:
        return None
    if value.isascii() and value.isdigit():
        return float(value) if len(value) <= _MOST_DIGITS else None
    # Loaded only for a server that answers with a date.
    from email.utils import parsedate_to_datetime  # noqa: PLC0415

    try:
        when = parsedate_to_datetime(value)
        return max(0.0, when.timestamp() - now_ns / _NS_PER_S)
    except (ValueError, OverflowError):
        return None


def _phrase(status: int) -> str:
    # Loaded only for a refusal.
    from http import HTTPStatus  # noqa: PLC0415

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
