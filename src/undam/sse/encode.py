"""Event-stream encoding: text in, bytes out that no field can break out of.

The format carries Unicode text in lines, so two things cannot arrive as they were given. CR and
CRLF inside data arrive as LF. A surrogate that has no partner arrives as U+FFFD, as it does from
a browser's TextEncoder: its own bytes would be no UTF-8, and a client that decodes strictly would
lose the whole stream over them. Two surrogates that make a pair arrive as the character they
mean. JSON with escaped surrogates (``json.dumps`` by default) is plain ASCII and arrives whole.
"""

from __future__ import annotations

import re

from undam.errors import LocalProtocolError
from undam.sse.event import Event
from undam.sse.parse import MAX_RETRY_DIGITS

# These three and no others: str.splitlines() also splits on U+2028, which JSON may hold.
_LINE_END = re.compile(r"\r\n|\r|\n")


def encode(
    data: str,
    *,
    event: str | None = None,
    id: str | None = None,  # noqa: A002 (the field's name in the format)
    retry_ms: int | None = None,
) -> bytes:
    """One event, up to and including its blank line.

    Args:
        event: its type; ``None`` and ``""`` mean "message" and are not written.
        id: the last event ID from here on; ``""`` takes it back. ``None`` leaves it.
        retry_ms: the reconnection time to ask for.

    Raises:
        LocalProtocolError: ``event`` or ``id`` holds a CR or LF, or ``id`` a NUL, or ``retry_ms``
            is negative or has more than 15 digits. Nothing that a reader would drop or take for
            another field is sent.
    """
    head = ""
    if event:
        head = _field("event", event)
    if id is not None:
        if "\0" in id:
            raise LocalProtocolError("id holds a NUL, which makes a reader ignore it")
        head += _field("id", id)
    if retry_ms is not None:
        if not 0 <= retry_ms < 10**MAX_RETRY_DIGITS:
            raise LocalProtocolError(
                f"retry_ms is negative or has more than {MAX_RETRY_DIGITS} digits"
            )
        head += f"retry: {retry_ms}\n"
    if "\n" in data or "\r" in data:
        data = _LINE_END.sub("\ndata: ", data)
    return _utf8(f"{head}data: {data}\n\n")


def encode_event(event: Event) -> bytes:
    """``event`` as bytes; an empty ``id`` is not written, so it cannot take back an earlier one.

    Raises:
        LocalProtocolError: as ``encode``.
    """
    kind = None if event.event == "message" else event.event
    return encode(event.data, event=kind, id=event.id or None)


def encode_comment(text: str, *, blank_line: bool = False) -> bytes:
    """A comment, which every reader skips: a heartbeat. Several lines become several comments.

    It may be sent only between two events.

    Args:
        blank_line: end it with an empty line, too. Without one the comment becomes part of the
            next event's block and is safe for every client known. With one it is the form most
            servers send and passes relays that go block by block, but openai-python takes it for
            an event with no data, and fails, once the stream has carried an ``id``; openai-go
            before 3.43 always fails.
    """
    lines = _LINE_END.sub("\n: ", text)
    return _utf8(f": {lines}\n\n" if blank_line else f": {lines}\n")


def _field(name: str, value: str) -> str:
    if "\n" in value or "\r" in value:
        raise LocalProtocolError(
            f"{name} holds a line end, so what follows would be read as a field"
        )
    return f"{name}: {value}\n"


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        # UTF-16 joins the pairs and shows which surrogates stand alone.
        halves = text.encode("utf-16-le", "surrogatepass")
        return halves.decode("utf-16-le", "replace").encode()
