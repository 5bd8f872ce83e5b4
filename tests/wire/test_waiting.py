"""Waiting, the two clocks, and the collector that is kept out."""

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


def test_a_wait_ends_early_or_in_time_but_never_at_once() -> None:
    sharpen_timers()
    fd = os.eventfd(0)
    try:
        due = time.monotonic() + 0.05
        waits = 0
        while (left := due - time.monotonic()) > 0:
            assert not wait_readable(fd, left)
            waits += 1
        assert 1 <= waits < 10
        os.eventfd_write(fd, 1)
        assert wait_readable(fd, None)
    finally:
        os.close(fd)


def test_the_offset_turns_one_clock_into_the_other() -> None:
    before = time.time_ns()
    made = time.monotonic_ns() + realtime_offset_ns()
    # A millisecond is far more than two readings are apart, and far less than any mistake.
    assert before - 1_000_000 <= made <= time.time_ns() + 1_000_000


def test_the_collector_comes_back() -> None:
    assert gc.isenabled()
    with without_collector():
        assert not gc.isenabled()
        assert gc.get_freeze_count() > 0
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
