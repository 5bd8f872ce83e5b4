"""Detection of a client that has stopped reading. No I/O and no clock."""

from __future__ import annotations

from math import inf


class ClientBackpressure:
    """Backpressure state for a client that may be slower than its stream."""

    __slots__ = ("_since", "_unsent_bytes")

    def __init__(self) -> None:
        self._since = inf
        self._unsent_bytes = 0

    @property
    def paused(self) -> bool:
        """True while the write buffer is full, which pauses the upstream."""
        return self._since < inf

    def pause(self, now: float, unsent_bytes: int) -> None:
        """Record that the write buffer is full."""
        self._since, self._unsent_bytes = now, unsent_bytes

    def resume(self) -> None:
        """Record that the client has caught up."""
        self._since = inf

    def deadline(self, limit_s: float | None) -> float:
        """Return the time at which `is_stalled` must be called again."""
        return self._since + (inf if limit_s is None else limit_s)

    def is_stalled(self, now: float, unsent_bytes: int, limit_s: float | None) -> bool:
        """Return whether the client has read nothing for ``limit_s`` seconds while paused."""
        if unsent_bytes < self._unsent_bytes:
            self._since, self._unsent_bytes = now, unsent_bytes
            return False
        return limit_s is not None and now - self._since >= limit_s
