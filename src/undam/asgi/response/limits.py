"""Validation of a stream's limits."""

from __future__ import annotations

from undam.errors import UsageError


def check_limits(heartbeat: float | None, send_timeout: float | None, buffer_bytes: int) -> None:
    """Reject limits that would never apply, would apply continuously, or would block every write.

    Args:
        heartbeat: interval in seconds, or None.
        send_timeout: time limit in seconds, or None.
        buffer_bytes: buffer size in bytes.

    Raises:
        UsageError: a limit is out of range; the message names it.
    """
    if heartbeat is not None and not 0 < heartbeat < float("inf"):
        raise UsageError("heartbeat must be more than 0 seconds, or None to disable heartbeats")
    if send_timeout is not None and not 0 < send_timeout < float("inf"):
        raise UsageError("send_timeout must be more than 0 seconds, or None for no limit")
    if buffer_bytes < 1:
        raise UsageError("buffer_bytes must be at least 1")


def check_first_item_timeout(seconds: float | None) -> None:
    """Reject a negative limit, or an infinite one: an intermediary would time out first.

    Raises:
        UsageError: the limit is out of range.
    """
    if seconds is not None and not 0 <= seconds < float("inf"):
        raise UsageError("first_item_timeout must be a finite number of seconds, 0 or more")
