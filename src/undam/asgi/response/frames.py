"""Encoding of the items of a source as events, without I/O.

Items that a client would drop or misinterpret are rejected or escaped here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from undam.sse import Event, encode, encode_event

# These are valid in JSON strings, but some clients (httpx iter_lines) treat them as line ends.
_LINE_ENDS = {0x85: "\\u0085", 0x2028: "\\u2028", 0x2029: "\\u2029"}

SOURCE_FAILED = "The stream failed on the server."
"""Message sent to the client in place of the exception's own text."""

# Maximum length of a client's last event ID. Any text is possible; the IDs of this package have
# about 40 characters.
_MAX_ECHOED_CHARS = 100


class Frames(Protocol):
    """Encoder of the items of one stream. It may keep state between items.

    Attributes:
        ids: an event ID was sent, so heartbeats must no longer end with a blank line.
    """

    ids: bool

    def encode(self, item: object) -> bytes:
        """Return the events of one item; empty if the item only changes a later event.

        Raises:
            TypeError: the item's type is not supported.
            ValueError: the item is a dict that cannot be encoded as JSON.
            LocalProtocolError: the item is an `Event` whose type or ID would break the framing.
        """
        ...

    def finish(self) -> bytes:
        """Return the events that end a complete stream."""
        ...

    def error_event(self, message: str, kind: str) -> bytes:
        """Return an error event."""
        ...

    def shutdown_event(self) -> bytes:
        """Return the last event of a stream that ends because the server is stopping."""
        ...

    def gap_event(self, last_event_id: str) -> bytes:
        """Return an event that reports the loss of the events after ``last_event_id``."""
        ...

    def continue_answer(self) -> None:
        """Record that another process has sent the first events of this stream."""
        ...


class PlainFrames:
    """Encoder that turns each item into one event."""

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
        """Encode an item without the fast path for a single line of text."""
        if isinstance(item, str):
            return encode(item)
        if isinstance(item, Event):
            self.ids = self.ids or bool(item.id)
            return encode_event(item)
        if isinstance(item, Mapping):
            return b"data: " + encode_json(item) + b"\n\n"
        if isinstance(item, bytes | bytearray | memoryview):
            return encode(bytes(item).decode("utf-8", "replace"))
        raise TypeError(f"a source must yield str, bytes, dict or Event, not {type(item).__name__}")

    def finish(self) -> bytes:
        return b""

    def error_event(self, message: str, kind: str) -> bytes:
        return b"event: error\ndata: " + error_json(message, kind) + b"\n\n"

    def shutdown_event(self) -> bytes:
        # An EventSource reconnects automatically, and would treat an event as content.
        return b""

    def gap_event(self, last_event_id: str) -> bytes:
        data = {"last_event_id": last_event_id[:_MAX_ECHOED_CHARS]}
        return b"event: gap\ndata: " + encode_json(data) + b"\n\n"

    def continue_answer(self) -> None:
        pass


def encode_json(value: Any) -> bytes:
    """Encode ``value`` as compact JSON on one line.

    U+0085, U+2028 and U+2029 are escaped, because some clients treat them as line ends.

    Raises:
        ValueError: a float is NaN or infinite, or the value contains itself.
        TypeError: the value contains a type that JSON does not support.
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    if text.isascii():
        return text.encode()
    try:
        return text.translate(_LINE_ENDS).encode()
    except UnicodeEncodeError:
        # A lone surrogate cannot be encoded in UTF-8, but its JSON escape can be sent.
        return json.dumps(value, separators=(",", ":")).encode()


def error_json(message: str, kind: str) -> bytes:
    """Return an error in the format of OpenAI's API, which other clients also support."""
    return encode_json({"error": {"message": message, "type": kind, "param": None, "code": None}})
