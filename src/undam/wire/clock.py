"""Waits with microsecond precision.

asyncio, libuv and epoll_wait count in milliseconds; select does not.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import select
import time
from collections.abc import Iterator

_PR_SET_TIMERSLACK = 29

# The kernel may end a wait late by a thousandth of its length, to save wake-ups (fs/select.c).
# A long wait is therefore shortened by more than that, and the caller waits again for the rest,
# which ends within microseconds.
_SHORTENED = 0.99
_LONG_WAIT_S = 0.002


def wait_readable(fd: int, seconds: float | None) -> bool:
    """Return whether ``fd`` became readable within ``seconds``.

    It may return false somewhat early; callers check the time and wait again.

    Raises:
        ValueError: ``fd`` is 1024 or more, which select does not support.
    """
    if seconds is not None and seconds > _LONG_WAIT_S:
        seconds *= _SHORTENED
    return bool(select.select((fd,), (), (), seconds)[0])


def realtime_offset_ns() -> int:
    """Return CLOCK_REALTIME minus CLOCK_MONOTONIC, exact to about a microsecond.

    A pause between the two readings would shift every wait of a stream by as much, so the closest
    of several pairs is used.
    """
    pairs = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(3)]
    before, realtime, after = min(pairs, key=lambda pair: pair[2] - pair[0])
    return realtime - (before + after) // 2


def sharpen_timers() -> None:
    """Set the timer slack of this thread to 1 ns; the default delays wake-ups by up to 50 us."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Disable the garbage collector of the process.

    A full collection pauses every stream. The simulator leaves no reference cycles behind, so
    reference counting frees all of its memory. The setting affects the whole process, so only the
    code that owns the process may use it, not a simulator that runs in a thread.
    """
    was_on = gc.isenabled()
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.unfreeze()
        if was_on:
            gc.enable()
