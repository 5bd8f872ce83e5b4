"""Bounded buffer for the newest events of one stream; uses neither a clock nor tasks.

Events are numbered from 1. The stored numbers are always consecutive, because only the oldest
events are dropped.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from dataclasses import dataclass

from undam.asgi.replay.interface import ReplayGap

# Maximum length of an event ID to parse. IDs from this package are shorter, but a client may send
# any text.
_MAX_ID_CHARS = 64
_EPOCH = re.compile(r"[0-9a-f]{24}")
_ID = re.compile(r"([0-9a-f]{24}):([1-9][0-9]{0,14})")


def new_epoch() -> str:
    """Return a random name (epoch) for one run of a stream.

    It has 96 random bits, so an ID of another run or key is never accepted.
    """
    return secrets.token_hex(12)


def is_epoch(text: str) -> bool:
    """Return whether ``text`` has the form of an epoch from `new_epoch`."""
    return _EPOCH.fullmatch(text) is not None


@dataclass(frozen=True, slots=True)
class Bounds:
    """Size limits of an event buffer. The newest event is always kept, however large it is."""

    max_events: int
    max_bytes: int


class EventBuffer:
    """Buffered events of one run of a stream, with IDs of the form ``EPOCH:NUMBER``.

    Attributes:
        first: number of the oldest stored event, or of the next event if the buffer is empty.
    """

    __slots__ = ("_bounds", "_bytes", "_events", "epoch", "first")

    def __init__(self, epoch: str, bounds: Bounds) -> None:
        self.epoch = epoch
        self.first = 1
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._bounds = bounds

    @property
    def last(self) -> int:
        """Number of the newest event; 0 if there is none."""
        return self.first + len(self._events) - 1

    def append(self, data: bytes) -> int:
        """Add an event and return its number; drop the oldest events if a limit is exceeded."""
        for _ in range(self.first_after(1, len(data)) - self.first):
            self._bytes -= len(self._events.popleft())
            self.first += 1
        self._events.append(data)
        self._bytes += len(data)
        return self.last

    def first_after(self, count: int, size: int) -> int:
        """Return the first number still stored after adding ``count`` events of ``size`` bytes."""
        events, stored_bytes = len(self._events), self._bytes
        for data in self._events:
            fits = stored_bytes + size <= self._bounds.max_bytes
            if fits and events + count <= self._bounds.max_events:
                break
            events, stored_bytes = events - 1, stored_bytes - len(data)
        return self.last + 1 - events

    def skip_to(self, number: int) -> None:
        """Drop all events, and assign ``number`` to the next event."""
        self._events.clear()
        self._bytes = 0
        self.first = number

    def event(self, number: int) -> bytes:
        """Return the bytes of stored event ``number``."""
        return self._events[number - self.first]

    def ident(self, number: int) -> str:
        """Return the ID of event ``number``."""
        return f"{self.epoch}:{number}"

    def number_of(self, ident: str) -> int:
        """Return the number of the event with this ID, if all later events are still stored.

        Raises:
            ReplayGap: the ID is from another run, or a later event was dropped.
        """
        match = _ID.fullmatch(ident) if len(ident) <= _MAX_ID_CHARS else None
        if match is None or match[1] != self.epoch:
            raise ReplayGap("the reader's last event ID does not belong to this stream")
        number = int(match[2])
        if not self.first - 1 <= number <= self.last:
            raise ReplayGap("the events after the reader's last event ID are no longer stored")
        return number
