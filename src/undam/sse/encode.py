"""Event-stream encoding, in which no value can inject another field.

The format carries lines of Unicode text, so two kinds of text change in transit. CR and CRLF
inside data arrive as LF. A lone surrogate arrives as U+FFFD, as with a browser's TextEncoder: its
own bytes would not be valid UTF-8, and a client that decodes strictly would fail. A pair of
surrogates arrives as the character that it encodes. JSON with escaped surrogates (the default of
``json.dumps``) is ASCII and arrives unchanged.
"""

from __future__ import annotations

import re

from undam.errors import LocalProtocolError
from undam.sse.event import Event, ReconnectHint
from undam.sse.parse import MAX_RETRY_DIGITS

# `str.splitlines` also splits at U+2028, which can occur in JSON.
_LINE_END = re.compile(r"\r\n|\r|\n")


def encode(
    data: str | None,
    *,
    event: str | None = None,
    id: str | None = None,  # noqa: A002 (name of the field in the format)
    retry_ms: int | None = None,
) -> bytes:
    """Return one event, including the blank line that ends it.

    Args:
        data: text of the event. ``None`` writes no data, so that clients apply the other fields and
            dispatch nothing.
        event: type of the event; ``None`` and ``""`` mean "message" and are not written.
        id: new last event ID; ``""`` resets it, ``None`` keeps it.
        retry_ms: reconnection time for the client.

    Raises:
        LocalProtocolError: ``event`` or ``id`` contains CR or LF, ``id`` contains NUL, or
            ``retry_ms`` is negative or has more than 15 digits. A parser would ignore such a field
            or read it as another one.
    """
    head = ""
    if event:
        head = _field("event", event)
    if id is not None:
        if "\0" in id:
            raise LocalProtocolError("id contains NUL; parsers ignore such an id")
        head += _field("id", id)
    if retry_ms is not None:
        if not 0 <= retry_ms < 10**MAX_RETRY_DIGITS:
            raise LocalProtocolError(
                f"retry_ms is negative or has more than {MAX_RETRY_DIGITS} digits"
            )
        head += f"retry: {retry_ms}\n"
    if data is None:
        return _utf8(f"{head}\n")
    if "\n" in data or "\r" in data:
        data = _LINE_END.sub("\ndata: ", data)
    return _utf8(f"{head}data: {data}\n\n")


def encode_event(event: Event) -> bytes:
    """Return ``event`` as bytes. An empty ``id`` is omitted, so clients keep the last event ID.

    Raises:
        LocalProtocolError: see ``encode``.
    """
    kind = None if event.event == "message" else event.event
    return encode(event.data, event=kind, id=event.id or None, retry_ms=event.retry)


def encode_hint(hint: ReconnectHint) -> bytes:
    """Return ``hint`` as bytes; empty if no field is set.

    Raises:
        LocalProtocolError: see ``encode``.
    """
    if hint.id is None and hint.retry is None:
        return b""
    return encode(None, id=hint.id, retry_ms=hint.retry)


def encode_comment(text: str, *, blank_line: bool = False) -> bytes:
    """Return a comment, which clients ignore; used as a heartbeat. Each line becomes one comment.

    Send it only between two events.

    Args:
        blank_line: whether to add an empty line. Without it, the comment becomes part of the next
            event's block, which every known client accepts. With it, the comment has the form that
            most servers send, and passes relays that forward whole blocks. However, openai-python
            treats it as an event without data and fails if the stream has carried an ``id``;
            openai-go before 3.43 always fails.
    """
    lines = _LINE_END.sub("\n: ", text)
    return _utf8(f": {lines}\n\n" if blank_line else f": {lines}\n")


def _field(name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise LocalProtocolError(
            f"{name} contains a line break; the rest would be parsed as another field"
        )
    return f"{name}: {value}\n"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # The UTF-16 codec joins surrogate pairs, and decoding replaces lone surrogates.
        halves = text.encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le", "replace").encode()
