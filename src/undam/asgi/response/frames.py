"""What a source gives, as the bytes of events. No I/O.

Anything that a client would drop, or take for something else, is refused here or made harmless.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from undam.sse import Event, encode, encode_event

# JSON may hold these as they are, and some clients (httpx's iter_lines) end a line at each.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}

SOURCE_FAILED = "The stream failed on the server."
"""What a client is told instead of the error's own text."""


# What a reader sent as its last event id may be anything; ours have some 30 characters.
_ECHOED_CHARS = 100


class Frames(Protocol):
    """Turns one stream's items into bytes; it may remember what it gave before."""

    ids: bool
    """An id was sent, so a heartbeat must not end with a blank line from here on."""

    def encode(self, item: object) -> bytes:
        """One item as its events; empty for an item that only leaves a note.

        Raises:
            TypeError: it is none of the kinds that a source may give.
            ValueError: it is a dict that JSON cannot hold.
            LocalProtocolError: it is an `Event` whose type or id would break the framing.
        """
        ...

    def finish(self) -> bytes:
        """What stands at the end of a complete stream."""
        ...

    def error_event(self, message: str, kind: str) -> bytes:
        """An error event."""
        ...

    def shutdown_event(self) -> bytes:
        """What a stream that the server cuts short says last."""
        ...

    def gap_event(self, last_event_id: str) -> bytes:
        """Tells a reader that events after ``last_event_id`` are no longer to be had."""
        ...

    def continue_answer(self) -> None:
        """Note that another process gave the first events of this stream."""
        ...


class PlainFrames:
    """Items become events one to one."""

    __slots__ = ("ids",)

    def __init__(self) -> None:
        self.ids = False

    def encode(self, item: object) -> bytes:
        if type(item) is str and "\n" not in item and "\r" not in item:
            try:
                return f"data: {item}\n\n".encode()
            except UnicodeEncodeError:
                return encode(item)
        return self.encode_other(item)

    def encode_other(self, item: object) -> bytes:
        """`encode` without the short way for one line of text."""
        if isinstance(item, str):
            return encode(item)
        if isinstance(item, Event):
            self.ids = self.ids or bool(item.id)
            return encode_event(item)
        if isinstance(item, Mapping):
            return b"data: " + encode_json(item) + b"\n\n"
        if isinstance(item, bytes | bytearray | memoryview):
            return encode(bytes(item).decode("utf-8", "replace"))
        raise TypeError(
            f"a source gives str, bytes, dict or Event, and this one gave {type(item).__name__}"
        )

    def finish(self) -> bytes:
        return b""

    def error_event(self, message: str, kind: str) -> bytes:
        return b"event: error\ndata: " + error_json(message, kind) + b"\n\n"

    def shutdown_event(self) -> bytes:
        # An EventSource comes back by itself; an event would only be taken for content.
        return b""

    def gap_event(self, last_event_id: str) -> bytes:
        said = {"last_event_id": last_event_id[:_ECHOED_CHARS]}
        return b"event: gap\ndata: " + encode_json(said) + b"\n\n"

    def continue_answer(self) -> None:
        pass


def encode_json(value: Any) -> bytes:
    """JSON without spaces on one line, also for clients that know more line ends than the format.

    Raises:
        ValueError: a float that is no number, or a reference to itself.
        TypeError: a value that JSON has no form for.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    if text.isascii():
        return text.encode()
    try:
        return text.translate(_LINE_ENDS).encode()
    except UnicodeEncodeError:
        # A surrogate without its partner: escaped, it arrives as it was.
        return json.dumps(value, separators=(",", ":")).encode()


def error_json(message: str, kind: str) -> bytes:
    """The body of an error as OpenAI's API has it, which other clients can read, too."""
    return encode_json({"error": {"message": message, "type": kind, "param": None, "code": None}})
