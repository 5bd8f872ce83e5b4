"""Where events end in the bytes of an event stream. No I/O; nothing is parsed but line ends.

Only whole events go on to a client, so a comment or an error event may follow at any moment, and
an event whose end never comes is never shown. A reader could do nothing with it before its blank
line (WHATWG HTML, 9.2.6), so this delays nothing.
"""

from __future__ import annotations

import re

# Complete comment lines where an event could begin: engines send some with one line end, and
# those must not wait for the next event. A LF may be left over from a CRLF that two reads shared.
_COMMENTS = re.compile(rb"\n?(?::[^\r\n]*(?:\r\n|\n|\r))+")

MAX_HELD_BYTES = 64 << 10
"""An event larger than this goes on in pieces: images as base64 are no reason to fill memory."""


def last_boundary(data: bytes) -> int:
    """How many bytes of ``data``, which begins where an event may begin, are whole events."""
    end = data.rfind(b"\n\n") + 2
    if b"\r" in data:
        for pair in (b"\r\r", b"\n\r"):
            at = data.rfind(pair) + 2
            if at > 1:
                end = max(end, at + (data[at : at + 1] == b"\n"))
    end = end if end > 1 else 0
    if data[end : end + 1] in (b":", b"\n") and (found := _COMMENTS.match(data, end)):
        return found.end()
    return end


class EventFramer:
    """Lets whole events pass and holds the beginning of the next one.

    Attributes:
        held: that beginning; empty between two events.
        torn: part of an event that was too large to hold has passed, its end has not.
    """

    __slots__ = ("_last", "_max", "held", "torn")

    def __init__(self, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        self.held = b""
        self.torn = False
        self._last = b""
        self._max = max_held_bytes

    @property
    def level(self) -> bool:
        """All bytes so far have passed, and an event may begin."""
        return not self.held and not self.torn

    def take(self, data: bytes) -> bytes:
        """What of the bytes held and ``data`` may go on now."""
        if self.torn:
            return self._mend(data)
        if self.held:
            data = self.held + data
        end = last_boundary(data)
        if end == len(data):
            self.held = b""
            return data
        self.held = data[end:]
        if len(self.held) <= self._max:
            return data[:end]
        self._last, self.held, self.torn = self.held[-2:], b"", True
        return data

    def flush(self) -> bytes:
        """What was held, for a stream that ends in good order: its bytes pass as they came."""
        held, self.held = self.held, b""
        return held

    def _mend(self, data: bytes) -> bytes:
        # The blank line may have begun with the bytes that passed before.
        seen = self._last + data
        before = len(self._last)
        ends = [at + 2 for pair in (b"\n\n", b"\r\r", b"\n\r") if (at := seen.find(pair)) >= 0]
        if not ends:
            self._last = seen[-2:]
            return data
        cut = min(ends) - before
        self.torn, self._last = False, b""
        return data[:cut] + self.take(data[cut:])
