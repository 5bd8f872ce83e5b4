"""When to send a heartbeat. Time comes in as an argument; no clock is read."""

from __future__ import annotations


class Heartbeat:
    """Keep an idle event stream from being cut by a timeout on the way.

    A heartbeat is due ``interval_ns`` after the last write of any kind, so a stream that is
    already flowing carries no heartbeats at all.
    """

    __slots__ = ("_due_ns", "_interval_ns")

    def __init__(self, interval_ns: int, now_ns: int) -> None:
        if interval_ns <= 0:
            raise ValueError("interval_ns must be positive; for none, leave the heartbeat out")
        self._interval_ns = interval_ns
        self._due_ns = now_ns + interval_ns

    @property
    def due_ns(self) -> int:
        """When the next one is due, on the clock of the ``now_ns`` that were given."""
        return self._due_ns

    def wrote(self, now_ns: int) -> None:
        """Note that something was written at ``now_ns``, be it a heartbeat."""
        # Counted from the write, not from the previous deadline: a late wake-up must not be
        # followed by a burst of heartbeats that make up for it.
        self._due_ns = now_ns + self._interval_ns

    def wait_ns(self, now_ns: int) -> int:
        """How long to sleep before one is due; 0 means send it now."""
        return max(0, self._due_ns - now_ns)
