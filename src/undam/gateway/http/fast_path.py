"""Fast path of a token: whole chunks of whole events go to the client without being parsed.

Nearly all reads of a stream consist of whole chunks, usually one, that end with an event. Parsing
and re-framing such a read costs several times as much as writing it.

Invariant. While a fast path is active for a connection,

1. the HTTP parser of the connection is between two chunks,
2. the event framer of the response is between two events, and
3. the response to the client is a chunked event stream whose first content was forwarded.

A read of whole chunks that ends with an event leaves all three true. So it can be written as is,
and neither the parser nor the framer needs to see it. Any other read takes the normal path. After
it, `UpstreamConnection` activates the fast path again once the invariant holds.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable
from time import monotonic

from undam.gateway.http.event_framer import EventFramer

BATCH = 128
"""Gaps are reported to the observer in batches of this size, which is several seconds of a stream.
Most of the cost of a report is code that has left the CPU caches since the last one."""

_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,6})\r\n")
# A read up to this size may be a comment, which is not a token. No event with content is as short.
_MAX_COMMENT_BYTES = 40
_EVENT_END, _CRLF_EVENT_END = b"\n\n\r\n", b"\r\n\r\n\r\n"
_LAST_FOUR = slice(-4, None)
# The last events of a stream, if the upstream splits them.
_MAX_TAIL_BYTES = 8 << 10


def _size_line(length: int) -> bytes:
    """Return the first line of a read of ``length`` bytes that is exactly one chunk.

    If no chunk has that length, return bytes that cannot match.
    """
    for digits in range(1, 5):
        size = length - digits - 4
        if length > _MAX_COMMENT_BYTES and len(b"%x" % size) == digits:
            return b"%x\r\n" % size
    return b"-"


# Indexed by the length of a read. Events of model servers have a few hundred bytes.
_TABLE_BYTES = 2048
_SIZE_LINES = tuple(map(_size_line, range(_TABLE_BYTES)))
_SIZE_LINE_SLICES = tuple(slice(len(line)) for line in _SIZE_LINES)


def is_whole_events(data: bytes) -> bool:
    """Return whether ``data`` is whole chunks, none of them the last chunk, that end an event."""
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
    """Target of the fast path of one response, and the times of all its reads.

    Args:
        write: writes to the client.
        on_batch: called when `BATCH` gaps were collected.
        now: the time from which the first gap counts.

    Attributes:
        framer: framer of the response; set before the fast path is used.
        read_at: time of the last read on the fast path, or recorded by `record_read`.
        resumed_at: when the upstream was last resumed after a pause. It counts as activity.
        bytes: bytes that took the fast path, with their chunk framing.
        gaps: seconds between reads that were not reported yet, in single precision.
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
        self.gaps = array("f")  # A list of floats would take eight times the memory.
        self._previous = self._last = b""

    @property
    def active_at(self) -> float:
        """Time of the last read, or of whatever else counts as activity of the upstream."""
        return max(self.read_at, self.resumed_at)

    @property
    def tail(self) -> bytes:
        """The last reads, from an arbitrary byte on; they contain the last event."""
        return self._previous + self._last

    def forward(self, data: bytes) -> bool:
        """Write ``data`` to the client if it is whole chunks that end with an event.

        This runs once per token. So the common case is two comparisons of slices, and no function
        is called that is not needed.

        Returns:
            Whether ``data`` was written. If not, nothing has changed.
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
        # Not `self.write(data)`: calling an attribute of a slot skips the interpreter's cache.
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
        """Record a read of the stream that took the normal path."""
        self.gaps.append(now - self.read_at)
        self.read_at = now
        if len(self.gaps) >= BATCH:
            self.on_batch()

    def keep_tail(self, data: bytes, *, at_boundary: bool) -> None:
        """Remember body bytes of the normal path for `tail`.

        Args:
            at_boundary: no part of an event came before ``data``.
        """
        if at_boundary:
            self._previous, self._last = self._last, data
        else:
            self._last = (self._last + data)[-_MAX_TAIL_BYTES:]

    def take_gaps(self) -> array[float]:
        """Return the gaps collected so far, and start a new list."""
        gaps, self.gaps = self.gaps, array("f")
        return gaps
