"""Waiting to the microsecond: asyncio, libuv and epoll_wait count in milliseconds, select not."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import select
import time
from collections.abc import Iterator

_PR_SET_TIMERSLACK = 29

# The kernel may wake a sleeper late by a thousandth of the wait, to save wake-ups (fs/select.c).
# A wait ended early by more than that, and taken up again, ends within microseconds: measured
# on a wait of 200 ms, 390 us late in one piece and 80 us in two.
_EARLY = 0.99
_LONG_S = 0.002


def wait_readable(fd: int, seconds: float | None) -> bool:
    """Whether ``fd`` became readable within ``seconds``; may return earlier, so ask again.

    Raises:
        ValueError: ``fd`` is 1024 or more, which select cannot watch.
    """
    if seconds is not None and seconds > _LONG_S:
        seconds *= _EARLY
    return bool(select.select((fd,), (), (), seconds)[0])


def realtime_offset_ns() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, true to about a microsecond.

    A pause between the two readings would make every wait of a stream wrong by as much, so the
    closest of some pairs counts.
    """
    pairs = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(3)]
    before, realtime, after = min(pairs, key=lambda pair: pair[2] - pair[0])
    return realtime - (before + after) // 2


def sharpen_timers() -> None:
    """Let waits of this thread end when they are over; by default the kernel adds up to 50 us."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Keep the garbage collector from pausing the process.

    A full collection stops every stream for as long as it takes. What the simulator lets go of
    holds no cycles, so counting references frees it. This changes the whole process: it is for
    the owner of one, not for a simulator in a thread.
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
