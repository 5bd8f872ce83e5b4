"""Deadline for the next heartbeat. Times are passed as arguments; no clock is read."""

from __future__ import annotations


class Heartbeat:
    """Heartbeat timer, which prevents idle timeouts on the path.

    A heartbeat is due ``interval_ns`` after the last write of any kind. A stream with shorter gaps
    therefore carries no heartbeats.
    """

    __slots__ = ("_due_ns", "_interval_ns")

    def __init__(self, interval_ns: int, now_ns: int) -> None:
        if interval_ns <= 0:
            raise ValueError("interval_ns must be positive")
        self._interval_ns = interval_ns
        self._due_ns = now_ns + interval_ns

    @property
    def due_ns(self) -> int:
        """Due time of the next heartbeat, on the same clock as the ``now_ns`` arguments."""
        return self._due_ns

    def wrote(self, now_ns: int) -> None:
        """Record that data or a heartbeat was written at ``now_ns``."""
        # The interval counts from the write, not from the previous deadline. Otherwise, a late
        # wake-up would cause a burst of heartbeats.
        self._due_ns = now_ns + self._interval_ns

    def wait_ns(self, now_ns: int) -> int:
        """Return the time until the next heartbeat; 0 if it is due now."""
        return max(0, self._due_ns - now_ns)
