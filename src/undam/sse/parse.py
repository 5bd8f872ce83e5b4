"""Event-stream parsing: bytes in, events and comments out. No I/O and no clock.

The lines of the unfinished event are kept as fields, never as raw bytes to be scanned again, so
the work is linear in the bytes received however they are cut.
"""

from __future__ import annotations

from undam.errors import RemoteProtocolError
from undam.sse.event import Comment, Event

DEFAULT_MAX_BYTES = 1 << 20
"""Bound of one event or line. Model servers send a few hundred bytes; images as base64 fit in."""

MAX_RETRY_DIGITS = 15
"""A longer ``retry`` is ignored: it is 30 000 years, and int() is quadratic in the digits."""

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"  # as numbers: looking for a number in bytes is six times faster


class Parser:
    """Turn reads of any size into events and comments (WHATWG HTML 9.2.5 and 9.2.6).

    An event is returned by the call that brings the end of its blank line, a comment by the call
    that brings the end of its line. A lone CR is such an end at once; the LF that may follow it
    is dropped when it comes. How the stream is cut into reads changes nothing else.

    Bytes that are no UTF-8 become U+FFFD; no event is lost over them.

    Args:
        max_event_bytes: bound of the lines of one event together, without their line ends. A
            comment counts only until its line is complete.

    Attributes:
        last_event_id: what a reconnect would send as ``Last-Event-ID``.
        retry_ms: the last reconnection time asked for; ``None`` before the first.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_BYTES) -> None:
        if max_event_bytes <= 0:
            raise ValueError("max_event_bytes must be positive")
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._max_bytes = max_event_bytes
        self._bom_may_come = True
        self._skip_lf = False
        self._failure = ""
        self._given = 0
        self._comments = 0
        # The unfinished line, then what is known of the unfinished event.
        self._held = bytearray()
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._type = b""
        self._id = ""

    @property
    def pending_bytes(self) -> int:
        """Bytes of the unfinished event held now; 0 when the last read ended between events."""
        return self._line_bytes + len(self._held)

    def receive_data(self, data: bytes) -> list[Event | Comment]:
        """What ``data`` completes, in order.

        Raises:
            RemoteProtocolError: an event is larger than ``max_event_bytes``. If the same read
                completed others before it, those are returned and the next call raises. Every
                later call raises again.
        """
        if self._failure:
            raise RemoteProtocolError(self._failure)
        if self._bom_may_come:
            data = self._without_bom(data)
        if self._skip_lf and data:
            self._skip_lf = False
            data = data.removeprefix(b"\n")
        if _CR in data:
            self._skip_lf = data.endswith(b"\r")
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._held and not self._line_bytes and _LF in data:
            # Every byte held is joined once, as its line ends with this read.
            data = bytes(self._held) + data
            self._held.clear()
        # One event a read is what a stream brings that nothing dams, so it is looked for first.
        if (
            data[:6] == b"data: "
            and data.find(b"\n") == len(data) - 2
            and data[-1] == _LF
            and len(data) <= self._max_bytes
            and not self._line_bytes
            and not self._held
        ):
            self._given += 1
            return [Event(data[6:-2].decode("utf-8", "replace"), "message", self._id)]
        out: list[Event | Comment] = []
        try:
            self._take(data, out)
        except RemoteProtocolError:
            if not out:
                raise
        self._given += len(out)
        return out

    def receive_eof(self) -> int:
        """Note the end of the stream; returns how many bytes of an unfinished event it discards.

        Raises:
            RemoteProtocolError: as ``receive_data``, when the last read left an error behind.
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
        self._bom_may_come = False
        return data.removeprefix(_BOM)

    def _take(self, data: bytes, out: list[Event | Comment]) -> None:
        if self._line_bytes:
            # Inside an event: go line by line up to a place that is surely between two.
            end = data.find(b"\n\n") + 2
            if end == 1:
                self._take_lines(data, out)
                return
            self._take_lines(data[:end], out)
            data = data[end:]
        end = data.rfind(b"\n\n") + 2
        if end > 1:
            self._take_blocks(data[:end], out)
            data = data[end:]
        if data:
            self._take_lines(data, out)

    def _take_blocks(self, data: bytes, out: list[Event | Comment]) -> None:
        """Take bytes that begin between two events and end with a blank line.

        Nearly every event of a model server is one line of data. Where all are, as the number
        of line ends proves, one split finds what they carry. Where some are, or have a type
        before the data, those at least go a short way.
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
                self._take_lines(block + b"\n\n", out)

    def _take_lines(self, data: bytes, out: list[Event | Comment]) -> None:
        *lines, rest = data.split(b"\n")
        for part in lines:
            line = part
            if self._held:
                line = bytes(self._held) + part
                self._held.clear()
            if line:
                self._check_size(len(line), out)
                self._take_line(line, out)
            else:
                self._dispatch(out)
        self._held += rest
        self._check_size(len(self._held), out)

    def _take_line(self, line: bytes, out: list[Event | Comment]) -> None:
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
        # The ID counts also when the block has no data and gives no event.
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
            number = self._given + len(out) - self._comments + 1
            self._failure = f"event {number} is larger than {self._max_bytes} bytes"
            raise RemoteProtocolError(self._failure)
