"""Event-stream parser: bytes in, events and comments out. No I/O and no clock.

Lines of an unfinished event are stored as parsed fields and not scanned again. The work is
therefore linear in the number of bytes, however the stream is divided into reads.
"""

from __future__ import annotations

from undam.errors import RemoteProtocolError
from undam.sse.event import Comment, Event

DEFAULT_MAX_BYTES = 1 << 20
"""Maximum size of an event or line. Typical events have a few hundred bytes; base64 images fit."""

MAX_RETRY_DIGITS = 15
"""A longer ``retry`` (30 000 years) is ignored, because int() is quadratic in the digits."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"  # Integers, because searching bytes for an integer is six times as fast.


class Parser:
    """Parser that converts reads of any size to events and comments (WHATWG HTML 9.2.5, 9.2.6).

    An event is returned by the call that completes its blank line, a comment by the call that
    completes its line. A lone CR ends a line at once; an LF that follows it is ignored. The result
    does not depend otherwise on how the stream is divided into reads.

    Invalid UTF-8 becomes U+FFFD, and no event is lost because of it.

    Args:
        max_event_bytes: maximum size of all lines of one event, without line breaks. A comment
            counts only until its line is complete.

    Attributes:
        last_event_id: value of ``Last-Event-ID`` for a reconnect.
        retry_ms: last reconnection time that the server sent, or ``None``.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if max_event_bytes <= 0:
            raise ValueError("max_event_bytes must be positive")
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max_bytes = max_event_bytes
        self._expect_bom = True
        self._skip_lf = False
        self._failure = ""
        self._returned = 0
        self._comments = 0
        # Bytes of the unfinished line, followed by the fields of the unfinished event.
        self._held = bytearray()
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._type = b""
        self._id = ""

    @property
    def pending_bytes(self) -> int:
        """Size of the unfinished event; 0 if the last read ended between two events."""
        return self._line_bytes + len(self._held)

    @property
    def pending(self) -> bytes:
        """Data and type of the unfinished event, plus its unfinished line; line breaks are LF."""
        kind = [b"event: %b\n" % self._type] if self._type else []
        return b"".join([*kind, *(b"data: %b\n" % line for line in self._data), self._held])

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """Return the events and comments that are completed by ``data``, in order.

        Raises:
            RemoteProtocolError: an event is larger than ``max_event_bytes``. If the same read
                completed events before it, these are returned and the next call raises. Every later
                call raises, too.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        if self._expect_bom:
            data = self._without_bom(data)
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if _CR in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._held and not self._line_bytes and _LF in data:
            # Buffered bytes are joined only when their line ends, so each byte is joined only once.
            data = bytes(self._held) + data
            self._held.clear()
        # Fast path: without buffering on the path, each read contains one event.
        if (
            data[:6] == b"data: "
            and data.find(b"\n") == len(data) - 2
            and data[-1] == _LF
            and len(data) <= self._max_bytes
            and not self._line_bytes
            and not self._held
        ):
            self._returned += 1
            return [Event(data[6:-2].decode("utf-8", "replace"), "message", self._id)]
        out: list[Event | Comment] = []
        try:
            self._parse(data, out)
        except RemoteProtocolError:
            if not out:
                raise
        self._returned += len(out)
        return out

    def receive_eof(self) -> int:
        """Process the end of the stream; return the size of the discarded, unfinished event.

        Raises:
            RemoteProtocolError: an event was too large (see ``receive_data``).
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        discarded = self.pending_bytes
        self._held.clear()
        self._reset_event()
        return discarded

    def _without_bom(self, data: bytes) -> bytes:
        data = bytes(self._held) + data
        self._held.clear()
        if len(data) < len(_BOM) and _BOM.startswith(data):
            self._held += data
            return b""
        self._expect_bom = False
        return data.removeprefix(_BOM)

    def _parse(self, data: bytes, out: list[Event | Comment]) -> None:
        if self._line_bytes:
            # The data starts inside an event: parse line by line until this event ends.
            end = data.find(b"\n\n") + 2
            if end == 1:
                self._parse_lines(data, out)
                return
            self._parse_lines(data[:end], out)
            data = data[end:]
        end = data.rfind(b"\n\n") + 2
        if end > 1:
            self._parse_blocks(data[:end], out)
            data = data[end:]
        if data:
            self._parse_lines(data, out)

    def _parse_blocks(self, data: bytes, out: list[Event | Comment]) -> None:
        """Parse data that starts between two events and ends with a blank line.

        Nearly every event of a model server is one line of data. If all are (the number of line
        ends proves it), one split yields the data of each. Otherwise, events with one line of data,
        or an event type before it, still have a fast path.
        """
        if data.startswith(b"data: ") and len(data) <= self._max_bytes:
            texts = data[6:-2].decode("utf-8", "replace").split("\n\ndata: ")
            if data.count(b"\n") == 2 * len(texts):
                out += [Event(text, "message", self._id) for text in texts]
                return
        for block in data[:-2].split(b"\n\n"):
            head, found, text = block.partition(b"data: ")
            if (
                found
                and _LF not in text
                and len(block) <= self._max_bytes
                and (not head or (head[:7] == b"event: " and head.find(b"\n") == len(head) - 1))
            ):
                kind = head[7:-1].decode("utf-8", "replace") or "message"
                out.append(Event(text.decode("utf-8", "replace"), kind, self._id))
            else:
                self._parse_lines(block + b"\n\n", out)

    def _parse_lines(self, data: bytes, out: list[Event | Comment]) -> None:
        *lines, rest = data.split(b"\n")
        for part in lines:
            line = part
            if self._held:
                line = bytes(self._held) + part
                self._held.clear()
            if line:
                self._check_size(len(line), out)
                self._parse_line(line, out)
            else:
                self._dispatch(out)
        self._held += rest
        self._check_size(len(self._held), out)

    def _parse_line(self, line: bytes, out: list[Event | Comment]) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            self._comments += 1
            out.append(Comment(value.decode("utf-8", "replace")))
            return
        self._line_bytes += len(line)
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._type = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():
            digits = value.lstrip(b"0")
            if len(digits) <= MAX_RETRY_DIGITS:
                self.retry_ms = int(digits or b"0")

    def _dispatch(self, out: list[Event | Comment]) -> None:
        # A block without data is not dispatched, but its ID is still applied.
        self.last_event_id = self._id
        if self._data:
            text = b"\n".join(self._data).decode("utf-8", "replace")
            kind = self._type.decode("utf-8", "replace") or "message"
            out.append(Event(text, kind, self._id))
        self._reset_event()

    def _reset_event(self) -> None:
        self._data = []
        self._type = b""
        self._line_bytes = 0

    def _check_size(self, more_bytes: int, out: list[Event | Comment]) -> None:
        if self._line_bytes + more_bytes > self._max_bytes:
            number = self._returned + len(out) - self._comments + 1
            self._failure = f"event {number} is larger than {self._max_bytes} bytes"
            raise RemoteProtocolError(self._failure)
