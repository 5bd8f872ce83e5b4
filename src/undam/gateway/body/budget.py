"""Limit on the memory that one worker uses for request bodies."""

from __future__ import annotations


class BodyBudget:
    """Counter of the request-body bytes that one event loop has buffered.

    Args:
        limit_bytes: number of bytes above which bodies are passed on instead of being buffered.
            One body may take half of them.

    Attributes:
        used_bytes: current number of buffered bytes.
    """

    __slots__ = ("limit_bytes", "used_bytes")

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0

    def is_short_for(self, held_bytes: int) -> bool:
        """Return whether a body with ``held_bytes`` buffered must be forwarded to save memory."""
        return self.used_bytes > self.limit_bytes or held_bytes > self.limit_bytes // 2
