"""Lines of JSON: bytes in, one event a line out. No I/O and no clock.

The lines are not read as JSON here: what they mean is the API's matter.
"""

from __future__ import annotations

from undam.errors import RemoteProtocolError
from undam.sse.event import Event
from undam.sse.parse import DEFAULT_MAX_BYTES


class LineParser:
    """Turn reads of any size into one event for each line that is not blank.

    A line ends in LF and is returned by the call that brings it; a CR before the LF and white
    space around the line are dropped. Bytes that are no UTF-8 become U+FFFD.

    Args:
        max_line_bytes: bound of one line without its LF.
    """

    def __init__(self, *, max_line_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if max_line_bytes <= 0:
            raise ValueError("max_line_bytes must be positive")
        self._max_bytes = max_line_bytes
        self._held = bytearray()
        self._failure = ""
        self._given = 0

    @property
    def pending_bytes(self) -> int:
        """Bytes of the unfinished line held now; 0 when the last read ended with a line."""
        return len(self._held)

    def receive_data(self, data: bytes) -> list[Event]:
        """What ``data`` completes, in order.

        Raises:
            RemoteProtocolError: a line is larger than ``max_line_bytes``. If the same read
                completed others before it, those are returned and the next call raises. Every
                later call raises again.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        out: list[Event] = []
        try:
            self._receive(data, out)
        except RemoteProtocolError:
            if not out:
                raise
        self._given += len(out)
        return out

    def receive_eof(self) -> list[Event]:
        """Note the end of the stream; the last line counts without its LF, too.

        Raises:
            RemoteProtocolError: as ``receive_data``, when the last read left an error behind.
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
            number = self._given + len(out) + 1
            self._failure = f"line {number} is larger than {self._max_bytes} bytes"
            raise RemoteProtocolError(self._failure)
