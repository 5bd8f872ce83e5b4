"""The newest events of one stream under their numbers, bounded. Pure: no clock, no task.

Events are numbered from 1. The numbers kept are always consecutive; what is dropped is the oldest.
"""

from __future__ import annotations

import re
import secrets
from collections import deque
from dataclasses import dataclass

from undam.asgi.replay.interface import ReplayGap

# What a client may send as an id is whatever it likes; ours are shorter than this.
_MAX_ID_CHARS = 64
_ID = re.compile(r"([0-9a-f]{24}):([1-9][0-9]{0,14})")


def new_epoch() -> str:
    """A name for one run of a stream: 96 bits, so that no id of another run or key is taken for
    one of this."""
    return secrets.token_hex(12)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a stream is kept. Its newest event is, however large."""

    max_events: int
    max_bytes: int


class EventBuffer:
    """One run of a stream; ids are ``EPOCH:NUMBER``."""

    __slots__ = ("_bounds", "_bytes", "_events", "epoch", "first")

    def __init__(self, epoch: str, bounds: Bounds) -> None:
        self.epoch = epoch
        self.first = 1
        """Number of the oldest event kept; where none is, of the next to come."""
        self._events: deque[bytes] = deque()
        self._bytes = 0
        self._bounds = bounds

    @property
    def last(self) -> int:
        """Number of the newest event; 0 before the first."""
        return self.first + len(self._events) - 1

    def append(self, data: bytes) -> int:
        """Keep an event as the newest, and drop as many of the oldest as that takes."""
        for _ in range(self.first_after(1, len(data)) - self.first):
            self._bytes -= len(self._events.popleft())
            self.first += 1
        self._events.append(data)
        self._bytes += len(data)
        return self.last

    def first_after(self, count: int, size: int) -> int:
        """What ``first`` becomes when ``count`` more events of ``size`` bytes together are kept."""
        kept, held = len(self._events), self._bytes
        for data in self._events:
            fits = held + size <= self._bounds.max_bytes
            if fits and kept + count <= self._bounds.max_events:
                break
            kept, held = kept - 1, held - len(data)
        return self.last + 1 - kept

    def skip_to(self, number: int) -> None:
        """Drop everything: the events before ``number``, which is the next, cannot be had."""
        self._events.clear()
        self._bytes = 0
        self.first = number

    def event(self, number: int) -> bytes:
        """The bytes of an event that is kept."""
        return self._events[number - self.first]

    def ident(self, number: int) -> str:
        """The id of event ``number``."""
        return f"{self.epoch}:{number}"

    def number_of(self, ident: str) -> int:
        """The number behind an id whose reader can be given everything that followed.

        Raises:
            ReplayGap: it is no id of this run, or some that followed are gone.
        """
        match = _ID.fullmatch(ident) if len(ident) <= _MAX_ID_CHARS else None
        if match is None or match[1] != self.epoch:
            raise ReplayGap("the last event id is not of this stream")
        number = int(match[2])
        if not self.first - 1 <= number <= self.last:
            raise ReplayGap("the events after the last event id are no longer kept")
        return number
