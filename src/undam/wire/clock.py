"""Waits with microsecond precision, implemented with select.

The timeouts of asyncio, libuv and epoll_wait have a resolution of one millisecond.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import select
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undam.poller import Poller

_PR_SET_TIMERSLACK = 29

# To save wake-ups, the kernel may extend a wait by a thousandth of its length (fs/select.c). Long
# waits are therefore shortened by more than that. The caller then waits again for the short
# remainder, which ends within microseconds of the due time.
_SHORTENED = 0.99
_LONG_WAIT_S = 0.002
_DAY_S = 86_400.0


def wait_readable(fd: int, seconds: float | None) -> bool:
    """Return whether ``fd`` became readable within ``seconds`` seconds.

    False may be returned somewhat early, so callers must check the time and wait again.

    Raises:
        ValueError: ``fd`` is 1024 or more, which select does not support.
    """
    if seconds is not None and seconds > _LONG_WAIT_S:
        seconds *= _SHORTENED
    return bool(select.select((fd,), (), (), seconds)[0])


def wait_ready(poller: Poller, seconds: float | None) -> bool:
    """Return whether a descriptor in ``poller`` became ready; see ``wait_readable``.

    A poller without a descriptor of its own waits with a precision of a millisecond.
    """
    fd = poller.fileno()
    if fd >= 0:
        return wait_readable(fd, seconds)
    return bool(poller.poll(_DAY_S if seconds is None else seconds, 1))


def realtime_offset_ns() -> int:
    """Return CLOCK_REALTIME minus CLOCK_MONOTONIC, exact to about a microsecond.

    A pause between the two clock readings would shift all times of a stream, so several pairs are
    read and the closest pair is used.
    """
    pairs = [(time.monotonic_ns(), time.time_ns(), time.monotonic_ns()) for _ in range(3)]
    before, realtime, after = min(pairs, key=lambda pair: pair[2] - pair[0])
    return realtime - (before + after) // 2


def sharpen_timers() -> None:
    """Set this thread's timer slack to 1 ns; by default, wake-ups are up to 50 us late."""
    prctl = getattr(ctypes.CDLL(None), "prctl", None)
    if prctl is not None:
        prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Disable the process's garbage collector.

    A full collection pauses every stream. The simulator creates no lasting reference cycles, so
    reference counting frees all of its memory. The setting affects the whole process. Only code
    that owns the process may use it, not a simulator that runs in a thread.
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
