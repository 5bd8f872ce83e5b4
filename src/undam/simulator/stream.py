"""One answer on its way: which bytes are due now, and when to come back. Pure: no clock, no socket.

Due times come from the schedule alone, so a late send never puts off the next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.simulator.apis.form import DueEvent
from undam.timing.heartbeat import Heartbeat

HEARTBEAT = b": ping\n\n"
"""A comment and a blank line: the form that every client knows, as these streams have no ids."""

# What one turn sends at most, so that a stream that is far behind does not starve the others.
_TURN_EVENTS = 64
_TURN_BYTES = 64 << 10


class StreamState(Enum):
    """Where a stream stands."""

    RUNNING = "running"
    COMPLETE = "complete"
    DIED = "died"


Mark = tuple[int, int, int, int]
"""An event in some bytes: where it ends, its number, its due time, its size without framing.

A bare tuple, as one is made for every event in the moment at which that event is due.
"""


@dataclass(slots=True)
class Script:
    """Everything that one exchange is going to send.

    Args:
        head_late: the head leaves with the first bytes of the body.
        die_after: content events after which the connection closes unfinished; ``None`` is never.
        heartbeat_ns: silence before a comment; 0 is none.
        keep_alive: the connection may carry another request afterwards.
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


class Stream:
    """A `Script` and how far it got."""

    __slots__ = (
        "_chunked", "_content", "_die_after", "_events", "_heartbeat", "_next", "_seq", "_unsent",
        "state",
    )  # fmt: skip

    def __init__(self, script: Script, now_ns: int) -> None:
        self.state = StreamState.RUNNING
        self._events = script.events
        self._next = next(script.events, None)
        self._chunked = script.chunked
        self._die_after = script.die_after
        # Bytes that wait for the next send without an event of their own: a late head.
        self._unsent = script.head if script.head_late else b""
        self._heartbeat = Heartbeat(script.heartbeat_ns, now_ns) if script.heartbeat_ns else None
        self._content = 0
        self._seq = 0
        if script.die_after == 0:
            self.state = StreamState.DIED

    @property
    def wake_ns(self) -> int | None:
        """When `take` has something to give; ``None`` when it never will again."""
        if self._next is None or self.state is not StreamState.RUNNING:
            return None
        if self._heartbeat is None:
            return self._next.due_ns
        return min(self._next.due_ns, self._heartbeat.due_ns)

    def take(self, now_ns: int) -> tuple[bytes, list[Mark]]:
        """The bytes that are due at ``now_ns``, to be sent at once, and the events in them.

        More may be due than one turn sends; `wake_ns` tells.
        """
        if self.state is not StreamState.RUNNING:
            return b"", []
        parts: list[bytes] = []
        marks: list[Mark] = []
        size = len(self._unsent)
        event = self._next
        while (
            event is not None
            and event.due_ns <= now_ns
            and len(marks) < _TURN_EVENTS
            and size < _TURN_BYTES
        ):
            if event.data:
                wire = encode_chunk(event.data) if self._chunked else event.data
                parts.append(wire)
                size += len(wire)
                marks.append((size, self._seq, event.due_ns, len(event.data)))
                self._seq += 1
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
        return self._with_the_rest(parts, now_ns), marks

    def _with_the_rest(self, parts: list[bytes], now_ns: int) -> bytes:
        """``parts`` as one, with a heartbeat where they are none, behind a head that waits."""
        beat = self._heartbeat
        if beat is not None:
            if not parts and self.state is StreamState.RUNNING and not beat.wait_ns(now_ns):
                parts.append(encode_chunk(HEARTBEAT) if self._chunked else HEARTBEAT)
            if parts:
                beat.wrote(now_ns)
        if not parts and self.state is not StreamState.COMPLETE:
            return b""
        if self._unsent:
            parts.insert(0, self._unsent)
            self._unsent = b""
        return parts[0] if len(parts) == 1 else b"".join(parts)
