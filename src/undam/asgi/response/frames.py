"""Encoding of source items as events, without I/O.

Items that a client would drop or misinterpret are rejected or escaped here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from undam.asgi.response.items import (
    Encode,
    Raw,
    converted,
    is_event_dict,
    is_framed,
    is_server_sent_event,
)
from undam.asgi.response.refusal import error_body
from undam.sse import (
    Comment,
    Event,
    ReconnectHint,
    encode,
    encode_comment,
    encode_event,
    encode_hint,
    encode_json,
)

log = logging.getLogger("undam.asgi")

SOURCE_FAILED = "The stream failed on the server."
"""Message sent to the client in place of the exception's own text."""

# Maximum length of a client's last event ID. A client may send any text; IDs from this package have
# about 40 characters.
_MAX_ECHOED_CHARS = 100


_FIELDS = ("data: ", "event: ", "id: ")


class Frames(Protocol):
    """Encoder for the items of one stream. An encoder may keep state between items.

    Attributes:
        ids: an event ID was sent, so heartbeats must no longer end with a blank line.
    """

    ids: bool

    def encode(self, item: object) -> bytes:
        """Return the events for one item; empty if the item only affects a later event.

        Raises:
            TypeError: the item's type is not supported; the message names it.
            ValueError: the item cannot be encoded as JSON.
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
        """Return the last event for a stream that ends because the server is stopping."""
        ...

    def stopped_event(self) -> bytes:
        """Return the last event for an answer that was stopped on request."""
        ...

    def gap_event(self, last_event_id: str) -> bytes:
        """Return an event which reports that events after ``last_event_id`` were lost."""
        ...

    def continue_answer(self) -> None:
        """Record that another process has already sent the first events of this stream."""
        ...


class PlainFrames:
    """Encoder that turns each item into a single event.

    A string is the data of an event. If the first item that a source yields is an event that is
    framed already (``"data: x\\n\\n"``), its strings are sent unchanged, and a warning is logged. A
    later string of this form is sent as text, because a model may have written it.
    """

    __slots__ = ("_framed", "_is_field", "ids")

    def __init__(self) -> None:
        self.ids = False
        self._framed: bool | None = None
        # The first item has the form of a field of an event, without a line end.
        self._is_field = False

    def encode(self, item: object) -> bytes:
        if type(item) is str and "\n" not in item and "\r" not in item:
            if self._framed is None:
                self._framed = False
                self._is_field = item.startswith(_FIELDS)
            elif self._is_field:
                self._check_second(item)
            try:
                return f"data: {item}\n\n".encode()
            except UnicodeEncodeError:
                return encode(item)
        return self.encode_other(item)

    def _check_second(self, item: str) -> None:
        """Warn if the first items are the lines of an event stream; they are sent as text."""
        self._is_field = False
        if not item or item.startswith(_FIELDS):
            log.warning(
                "the source of an event stream yields the lines of another event stream, which are "
                "sent as text. Use undam.asgi.relay, or yield only the data"
            )

    def encode_other(self, item: object) -> bytes:
        """Encode an item that does not qualify for the fast path (a single line of text)."""
        if item is None:
            return b""
        if isinstance(item, bytes | bytearray | memoryview):
            item = bytes(item).decode("utf-8", "replace")
        if type(item) is str:
            return self._encode_text(item)
        self._framed = self._framed or False
        if isinstance(item, Event):
            self.ids = self.ids or bool(item.id)
            return encode_event(item)
        if isinstance(item, Raw):
            self.ids = self.ids or b"id:" in item.data
            return item.data
        if isinstance(item, Comment):
            return encode_comment(item.text)
        if isinstance(item, ReconnectHint):
            self.ids = self.ids or bool(item.id)
            return encode_hint(item)
        if self._is_event_of_another_library(item):
            return b"".join(map(self.encode_other, converted(item)))
        if isinstance(item, str | Enum):
            return encode(Event(item).data)
        return b"data: " + encode_json(item) + b"\n\n"

    def _is_event_of_another_library(self, item: object) -> bool:
        if isinstance(item, Mapping):
            return is_event_dict(item)
        return is_server_sent_event(item)

    def _encode_text(self, text: str) -> bytes:
        if not is_framed(text):
            self._framed = self._framed or False
            return encode(text)
        if self._framed is None:
            self._framed = True
            log.warning(
                "the source of an event stream yields events that are framed already; they are "
                "sent unchanged. Yield only the data, or undam.asgi.Raw(b'data: …')"
            )
        elif not self._framed:
            log.warning(
                "a source yielded a text that has the form of an event, after other items; it is "
                "sent as text. Yield undam.asgi.Raw to send it as an event"
            )
            return encode(text)
        self.ids = self.ids or "id:" in text
        return encode_framed(text)

    def finish(self) -> bytes:
        return b""

    def error_event(self, message: str, kind: str) -> bytes:
        return b"event: error\ndata: " + error_body(message, kind) + b"\n\n"

    def shutdown_event(self) -> bytes:
        # No event is sent, because an EventSource reconnects automatically and would treat a
        # shutdown event as content.
        return b""

    def stopped_event(self) -> bytes:
        return b"event: stopped\ndata: {}\n\n"

    def gap_event(self, last_event_id: str) -> bytes:
        data = {"last_event_id": last_event_id[:_MAX_ECHOED_CHARS]}
        return b"event: gap\ndata: " + encode_json(data) + b"\n\n"

    def continue_answer(self) -> None:
        pass


class EncodingFrames:
    """Encoder that first applies the application's ``encode`` function to each item."""

    __slots__ = ("_encode", "_frames")

    def __init__(self, frames: Frames, encode_item: Encode) -> None:
        self._frames = frames
        self._encode = encode_item

    @property
    def ids(self) -> bool:
        """True once an event ID has been sent."""
        return self._frames.ids

    @ids.setter
    def ids(self, value: bool) -> None:
        self._frames.ids = value

    def encode(self, item: object) -> bytes:
        return self._frames.encode(self._encode(item))

    def finish(self) -> bytes:
        return self._frames.finish()

    def error_event(self, message: str, kind: str) -> bytes:
        return self._frames.error_event(message, kind)

    def shutdown_event(self) -> bytes:
        return self._frames.shutdown_event()

    def stopped_event(self) -> bytes:
        return self._frames.stopped_event()

    def gap_event(self, last_event_id: str) -> bytes:
        return self._frames.gap_event(last_event_id)

    def continue_answer(self) -> None:
        self._frames.continue_answer()


def encode_framed(text: str) -> bytes:
    """Return framed events encoded as UTF-8. Lone surrogates become U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()
