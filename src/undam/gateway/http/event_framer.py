"""Splitting of an event stream at event boundaries. Only line breaks are parsed. No I/O.

Only whole events are forwarded. A comment or an error event can therefore be inserted at any time,
and the client never receives an event without its end. This adds no delay, because a reader
dispatches an event only at its blank line (WHATWG HTML, 9.2.6).
"""

from __future__ import annotations

import re

# Complete comment lines at a position where an event could begin. Some engines end a comment with a
# single line break, and such a comment must not wait for the next event. A leading LF may belong to
# a CRLF that was split between two reads.
_COMMENTS = re.compile(rb"\n?(?::[^\r\n]*(?:\r\n|\n|\r))+")

MAX_HELD_BYTES = 64 << 10
"""Maximum size of a held event. Larger events, such as base64 images, are forwarded in pieces."""


def last_boundary(data: bytes) -> int:
    """Return the size of the complete events in ``data``, which must start with a new event."""
    end = data.rfind(b"\n\n") + 2
    if b"\r" in data:
        for pair in (b"\r\r", b"\n\r"):
            at = data.rfind(pair) + 2
            if at > 1:
                end = max(end, at + (data[at : at + 1] == b"\n"))
    end = end if end > 1 else 0
    if data[end : end + 1] in (b":", b"\n") and (comments := _COMMENTS.match(data, end)):
        return comments.end()
    return end


class EventFramer:
    """Framer that returns complete events and buffers the beginning of the next one.

    Attributes:
        held: beginning of an event; empty between two events.
        inside_event: an event was too large to hold, and only its beginning has been returned so
            far.
    """

    __slots__ = ("_last", "_max", "held", "inside_event")

    def __init__(self, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self.held = b""
        self.inside_event = False
        self._last = b""
        self._max = max_held_bytes

    @property
    def at_boundary(self) -> bool:
        """True if all bytes were returned and the next byte begins an event."""
        return not self.held and not self.inside_event

    def take(self, data: bytes) -> bytes:
        """Return the complete events in the buffered bytes and ``data``."""
        if self.inside_event:
            return self._continue_event(data)
        if self.held:
            data = self.held + data
        end = last_boundary(data)
        if end == len(data):
            self.held = b""
            return data
        self.held = data[end:]
        if len(self.held) <= self._max:
            return data[:end]
        self._last, self.held, self.inside_event = self.held[-2:], b"", True
        return data

    def flush(self) -> bytes:
        """Return the buffered bytes, for a stream that ended without a blank line."""
        held, self.held = self.held, b""
        return held

    def _continue_event(self, data: bytes) -> bytes:
        # The blank line may have begun in bytes that were already returned.
        window = self._last + data
        ends = [at + 2 for pair in (b"\n\n", b"\r\r", b"\n\r") if (at := window.find(pair)) >= 0]
        if not ends:
            self._last = window[-2:]
            return data
        cut = min(ends) - len(self._last)
        self.inside_event, self._last = False, b""
        return data[:cut] + self.take(data[cut:])
