"""Fast path for reads that contain only whole chunks and events. They are not parsed.

Nearly all reads of a stream consist of whole chunks (usually one) and end with an event. Parsing
and re-framing such a read costs several times as much as writing it.

Invariant: while a fast path is active for a connection,

1. the HTTP parser of the connection is between two chunks,
2. the event framer of the response is between two events, and
3. the response to the client is a chunked event stream whose first content was forwarded.

A read of whole chunks that ends with an event preserves all three conditions. It can be written
unchanged, without the parser and the framer. Any other read takes the normal path. Afterwards,
`UpstreamConnection` activates the fast path again as soon as the invariant holds.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from time import monotonic

from undam.gateway.http.event_framer import EventFramer

BATCH = 128
"""Number of gaps that are reported to the observer at once, which is several seconds of a stream.
Reports are expensive mainly because their code has left the CPU caches since the last report."""

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")
# Reads up to this size may be comments, which are not tokens. Events with content are larger.
_MAX_COMMENT_BYTES = 40
_EVENT_END, _CRLF_EVENT_END = b"\n\n\r\n", b"\r\n\r\n\r\n"
_LAST_FOUR = slice(-4, None)
# Limit on the data that is kept for `tail`, in case the upstream splits the last events.
_MAX_TAIL_BYTES = 8 << 10
# Number of bytes of this data that come from the start of the last event, which contain its type.
_START_BYTES = 256


def _size_line(length: int) -> bytes:
    """Return the size line of a chunk whose total length is ``length`` bytes.

    If no chunk has that length, return bytes that match no read.
    """
    for digits in range(1, 5):
        size = length - digits - 4
        if length > _MAX_COMMENT_BYTES and len(b"%x" % size) == digits:
            return b"%x\r\n" % size
    return b"-"


# The tables are indexed by the length of a read. This is longer than most events of model servers.
_TABLE_BYTES = 2048
_SIZE_LINES = tuple(map(_size_line, range(_TABLE_BYTES)))
_SIZE_LINE_SLICES = tuple(slice(len(line)) for line in _SIZE_LINES)


def is_whole_events(data: bytes) -> bool:
    """Return whether ``data`` is whole chunks that end with an event, without the last chunk."""
    if len(data) <= _MAX_COMMENT_BYTES or not data.endswith((_EVENT_END, _CRLF_EVENT_END)):
        return False
    at = 0
    while at < len(data):
        line = _CHUNK_SIZE.match(data, at)
        if line is None or not (size := int(line[1], 16)):
            return False
        at = line.end() + size + 2
        if data[at - 2 : at] != b"\r\n":
            return False
    return at == len(data)


class FastPath:
    """Fast path for one response. It also records the times of all reads.

    Args:
        write: function that writes to the client.
        on_batch: function to call when `BATCH` gaps have been collected.
        now: start of the first gap.

    Attributes:
        framer: framer of the response; set before the fast path is used.
        read_at: time of the last read on the fast path, or recorded by `record_read`.
        resumed_at: time at which the upstream was last resumed after a pause, which counts as
            activity.
        bytes: number of bytes that took the fast path, including chunk framing.
        gaps: unreported gaps between reads, in seconds with single precision.
    """

    __slots__ = (
        "_last", "_previous", "bytes", "framer", "gaps", "on_batch", "read_at", "resumed_at",
        "write",
    )  # fmt: skip

    def __init__(
        self, write: Callable[[bytes], None], on_batch: Callable[[], None], now: float
    ) -> None:
        self.write = write
        self.on_batch = on_batch
        self.framer: EventFramer | None = None
        self.read_at = self.resumed_at = now
        self.bytes = 0
        # Single-precision array; a list of floats would take eight times the memory.
        self.gaps = array("f")
        self._previous = self._last = b""

    @property
    def active_at(self) -> float:
        """Time of the last read or other activity of the upstream."""
        return max(self.read_at, self.resumed_at)

    @property
    def tail(self) -> bytes:
        """Data from the last two reads. It ends with the last event and may begin mid-event."""
        return self._previous + self._last

    def forward(self, data: bytes) -> bool:
        """Write ``data`` to the client if it consists of complete chunks and ends with an event.

        This runs once per token. The common case therefore consists of two slice comparisons and
        avoids unnecessary function calls.

        Returns:
            True if ``data`` was written; otherwise nothing has changed.
        """
        size = len(data)
        if not (
            (
                size < _TABLE_BYTES
                and data[_SIZE_LINE_SLICES[size]] == _SIZE_LINES[size]
                and (data[_LAST_FOUR] == _EVENT_END or data.endswith(_CRLF_EVENT_END))
            )
            or is_whole_events(data)
        ):
            return False
        # `write` is a slot. A call as `self.write(data)` would bypass the interpreter's inline
        # cache, so `write` is copied to a local variable.
        write = self.write
        write(data)
        self._previous = self._last
        self._last = data
        self.bytes += size
        now = monotonic()
        gaps = self.gaps
        gaps.append(now - self.read_at)
        self.read_at = now
        if len(gaps) >= BATCH:
            self.on_batch()
        return True

    def record_read(self, now: float) -> None:
        """Record a read that was handled on the normal path."""
        self.gaps.append(now - self.read_at)
        self.read_at = now
        if len(self.gaps) >= BATCH:
            self.on_batch()

    def keep_tail(self, data: bytes, *, at_boundary: bool) -> None:
        """Store body bytes from the normal path, so that `tail` includes them.

        Args:
            at_boundary: ``data`` begins between two events.
        """
        if at_boundary:
            self._previous, self._last = self._last, data
        else:
            last = self._last + data
            if len(last) > _MAX_TAIL_BYTES:
                last = _shortened(last)
            self._last = last

    def take_gaps(self) -> array[float]:
        """Return the gaps collected so far, and clear them."""
        gaps, self.gaps = self.gaps, array("f")
        return gaps


def _shortened(data: bytes) -> bytes:
    """Return the last `_MAX_TAIL_BYTES`, or the start and the end of a longer last event."""
    start = max(data.rfind(b"\n\n", 0, -2) + 2, data.rfind(b"\n\r\n", 0, -4) + 3)
    start = start if start > 2 else 0  # Without an end of an event, `rfind` returns -1.
    if len(data) - start <= _MAX_TAIL_BYTES:
        return data[-_MAX_TAIL_BYTES:]
    return data[start : start + _START_BYTES] + data[_START_BYTES - _MAX_TAIL_BYTES :]
