"""Event loop whose clock jumps to the next timer instead of waiting."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

# Modules in this package that import the monotonic-clock function by name.
CLOCK_READERS = (
    "undam.aio.deadlines",
    "undam.asgi.guard.guarded_response",
    "undam.asgi.response.driven_response",
    "undam.asgi.response.open_streams",
    "undam.asgi.response.streamed_response",
)

# Real time to wait for threads and sockets before the clock jumps. A source that is a plain
# iterator runs in a thread.
_GRACE_S = 0.02


class _JumpingSelector(selectors.DefaultSelector):
    """Selector that advances a virtual clock instead of waiting."""

    loop: VirtualTimeLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(min(timeout, _GRACE_S if self.loop.uses_threads else 0))
        if not ready:
            self.loop.advance(timeout)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Event loop with virtual time: ``await asyncio.sleep(3600)`` returns at once.

    The clock starts at the real monotonic time and advances only when nothing is ready to run.

    Attributes:
        uses_threads: wait a moment for results of threads before time advances.
    """

    def __init__(self) -> None:
        self._offset = 0.0
        self._start = time.monotonic()
        self.uses_threads = True
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        """Return the virtual time in seconds."""
        return self._start + self._offset

    def advance(self, seconds: float) -> None:
        """Advance the clock."""
        # The loop treats a timer as due within the clock's resolution, so the clock is set to
        # slightly after it.
        self._offset += seconds + 1e-6


@contextmanager
def virtual_clock(loop: VirtualTimeLoop) -> Iterator[None]:
    """Make this package's streams use the clock of ``loop``."""
    patches = [mock.patch(f"{name}.monotonic", loop.time) for name in CLOCK_READERS]
    for patch in patches:
        patch.start()
    try:
        yield
    finally:
        for patch in reversed(patches):
            patch.stop()
