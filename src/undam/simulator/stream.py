"""Response in progress: the bytes that are due, and the time at which the next ones are due.

Due times depend on the schedule only, so a late send does not delay the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.simulator.apis.response_format import DueEvent
from undam.timing.heartbeat import Heartbeat

HEARTBEAT = b": ping\n\n"
"""A comment line and a blank line."""

# Limits for one `take`, so that a stream that is far behind does not starve other streams.
_MAX_EVENTS = 64
_MAX_BYTES = 64 << 10


class StreamState(Enum):
    """State of a response in progress."""

    RUNNING = "running"
    COMPLETE = "complete"
    DIED = "died"


EventEnd = tuple[int, int, int, int]
"""An event in a byte string: its end, number, due time, and size without framing.

It is a plain tuple, because one is created for every event at its due time.
"""


@dataclass(slots=True)
class Script:
    """Complete response of an exchange, as scheduled events.

    Args:
        keep_alive: the connection can be used for another request afterwards.
        head_late: send the head together with the first bytes of the body.
        die_after: number of content events after which the connection is closed early.
        heartbeat_ns: silence after which a comment is sent; 0 sends none.
    """

    exchange_id: str
    path: str
    arrived_ns: int
    head: bytes
    events: Iterator[DueEvent]
    chunked: bool
    keep_alive: bool
    head_late: bool = False
    die_after: int | None = None
    heartbeat_ns: int = 0


class ScheduledStream:
    """A `Script` in progress."""

    __slots__ = (
        "_chunked", "_content", "_die_after", "_events", "_heartbeat", "_next", "_part_bytes",
        "_seq", "_unsent", "state",
    )  # fmt: skip

    def __init__(self, script: Script, now_ns: int) -> None:
        self.state = StreamState.RUNNING
        self._events = script.events
        self._next = next(script.events, None)
        self._chunked = script.chunked
        self._die_after = script.die_after
        # A late head is sent together with the next bytes.
        self._unsent = script.head if script.head_late else b""
        self._heartbeat = Heartbeat(script.heartbeat_ns, now_ns) if script.heartbeat_ns else None
        self._content = 0
        self._seq = 0
        self._part_bytes = 0
        if script.die_after == 0:
            self.state = StreamState.DIED

    @property
    def wake_ns(self) -> int | None:
        """Time at which the next bytes are due; ``None`` after the end."""
        if self._next is None or self.state is not StreamState.RUNNING:
            return None
        if self._heartbeat is None or self._part_bytes:
            return self._next.due_ns
        return min(self._next.due_ns, self._heartbeat.due_ns)

    def take(self, now_ns: int) -> tuple[bytes, list[EventEnd]]:
        """Return the bytes that are due at ``now_ns`` and the events in them.

        The result is limited in size; `wake_ns` is in the past if more bytes are due.
        """
        if self.state is not StreamState.RUNNING:
            return b"", []
        parts: list[bytes] = []
        event_ends: list[EventEnd] = []
        size = len(self._unsent)
        event = self._next
        while (
            event is not None
            and event.due_ns <= now_ns
            and len(event_ends) < _MAX_EVENTS
            and size < _MAX_BYTES
        ):
            if event.data:
                wire = encode_chunk(event.data) if self._chunked else event.data
                parts.append(wire)
                size += len(wire)
                if event.partial:
                    self._part_bytes += len(event.data)
                else:
                    length = self._part_bytes + len(event.data)
                    event_ends.append((size, self._seq, event.due_ns, length))
                    self._seq += 1
                    self._part_bytes = 0
            if event.content:
                self._content += 1
                if self._content == self._die_after:
                    self.state = StreamState.DIED
                    break
            event = next(self._events, None)
        self._next = event
        if event is None:
            self.state = StreamState.COMPLETE
            if self._chunked:
                parts.append(LAST_CHUNK)
        return self._assemble(parts, now_ns), event_ends

    def _assemble(self, parts: list[bytes], now_ns: int) -> bytes:
        """Return a late head and ``parts`` as one string; without parts, add a heartbeat if due."""
        beat = self._heartbeat
        if beat is not None:
            due = not self._part_bytes and not beat.wait_ns(now_ns)
            if not parts and self.state is StreamState.RUNNING and due:
                parts.append(encode_chunk(HEARTBEAT) if self._chunked else HEARTBEAT)
            if parts:
                beat.wrote(now_ns)
        if not parts and self.state is not StreamState.COMPLETE:
            return b""
        if self._unsent:
            parts.insert(0, self._unsent)
            self._unsent = b""
        return parts[0] if len(parts) == 1 else b"".join(parts)
