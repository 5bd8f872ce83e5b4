"""Clock functions: waiting, clock offsets, and disabling the garbage collector."""

from __future__ import annotations

import gc
import os
import time

from undam.wire.clock import (
    realtime_offset_ns,
    sharpen_timers,
    wait_readable,
    without_collector,
)


def test_a_wait_is_shortened_only_slightly() -> None:
    sharpen_timers()
    fd = os.eventfd(0)
    try:
        due = time.monotonic() + 0.05
        waits = 0
        while (left_s := due - time.monotonic()) > 0:
            assert not wait_readable(fd, left_s)
            waits += 1
        assert 1 <= waits < 10
        os.eventfd_write(fd, 1)
        assert wait_readable(fd, None)
    finally:
        os.close(fd)


def test_the_offset_converts_monotonic_to_realtime() -> None:
    before = time.time_ns()
    converted_ns = time.monotonic_ns() + realtime_offset_ns()
    # One millisecond is much longer than two clock readings, but much shorter than a wrong offset.
    assert before - 1_000_000 <= converted_ns <= time.time_ns() + 1_000_000


def test_the_garbage_collector_is_enabled_again() -> None:
    assert gc.isenabled()
    with without_collector():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
