"""JSON Lines parser: bytes in, one event per line out. No I/O and no clock.

The lines are not parsed as JSON; that is up to the API (see ``undam.apis``).
"""

from __future__ import annotations

from undam.errors import RemoteProtocolError
from undam.sse.event import Event
from undam.sse.parse import DEFAULT_MAX_BYTES


class LineParser:
    """Parser that accepts reads of any size and returns one event per non-blank line.

    A line ends with LF and is returned by the call that completes it. A CR before the LF and white
    space around the line are removed. Invalid UTF-8 becomes U+FFFD.

    Args:
        max_line_bytes: maximum length of a line without its LF.
    """

    def __init__(self, *, max_line_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if max_line_bytes <= 0:
            raise ValueError("max_line_bytes must be positive")
        self._max_bytes = max_line_bytes
        self._held = bytearray()
        self._failure = ""
        self._returned = 0

    @property
    def pending_bytes(self) -> int:
        """Size of the unfinished line; 0 if the last read ended with a complete line."""
        return len(self._held)

    def receive_data(self, data: bytes) -> list[Event]:
        """Return the events that are completed by ``data``, in order.

        Raises:
            RemoteProtocolError: a line is longer than ``max_line_bytes``. If the same read
                completed lines before it, these are returned and the next call raises. Every later
                call raises, too.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        out: list[Event] = []
        try:
            self._receive(data, out)
        except RemoteProtocolError:
            if not out:
                raise
        self._returned += len(out)
        return out

    def receive_eof(self) -> list[Event]:
        """Process the end of the stream; return the last line if it has no LF.

        Raises:
            RemoteProtocolError: a line was too long (see ``receive_data``).
        """
        return self.receive_data(b"\n") if self._held or self._failure else []

    def _receive(self, data: bytes, out: list[Event]) -> None:
        *lines, rest = data.split(b"\n")
        for part in lines:
            line = part
            if self._held:
                line = bytes(self._held) + part
                self._held.clear()
            self._check_size(len(line), out)
            text = line.strip().decode("utf-8", "replace")
            if text:
                out.append(Event(text))
        self._held += rest
        self._check_size(len(self._held), out)

    def _check_size(self, line_bytes: int, out: list[Event]) -> None:
        if line_bytes > self._max_bytes:
            number = self._returned + len(out) + 1
            self._failure = f"line {number} is larger than {self._max_bytes} bytes"
            raise RemoteProtocolError(self._failure)
