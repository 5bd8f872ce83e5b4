"""Where the tokens of a stream go that need not be read, and what is noted of each."""

from __future__ import annotations

from array import array
from collections.abc import Callable

BATCH = 128
"""Gaps are handed to the observer together, some seconds of a stream: of what that costs, three
quarters are for code that no processor's cache holds any more."""


class FastPath:
    """Where the reads of a stream go on the short way, and what is noted of them.

    Attributes:
        at: when the last one came (s, monotonic).
        since: a moment that counts as one for the idle timeout, though nothing came.
        before, last: the last two.
        bytes: of all that took the short way, with their framing.
        gaps: the seconds between them that ``full`` has not been told of, to seven digits.
    """

    __slots__ = ("at", "before", "bytes", "full", "gaps", "last", "since", "write")

    def __init__(
        self, write: Callable[[bytes], None], full: Callable[[], None], now: float
    ) -> None:
        self.write = write
        self.full = full
        self.at = self.since = now
        self.before = self.last = b""
        self.bytes = 0
        self.gaps = array("f")  # A list of floats takes eight times as much.

    @property
    def passed_at(self) -> float:
        """The last read, or whatever counts as one."""
        return max(self.at, self.since)

    def came(self, now: float) -> None:
        """A read that took the long way came at ``now``."""
        self.gaps.append(now - self.at)
        self.at = now
        if len(self.gaps) >= BATCH:
            self.full()

    def take_gaps(self) -> array[float]:
        """The ``gaps``, of which there are none from then on."""
        gaps, self.gaps = self.gaps, array("f")
        return gaps
