"""Wait until a condition holds: `eventually` in a thread, `eventually_async` on an event loop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

WAIT_S = 20.0
"""Time limit for a condition. It is generous because tests share a loaded machine."""

_POLL_S = 0.01
_LOOP_POLL_S = 0.001


def eventually(condition: Callable[[], object], seconds: float = WAIT_S) -> None:
    """Wait until ``condition()`` is true.

    Raises:
        AssertionError: the condition was still false after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not true within {seconds:g} s"
        time.sleep(_POLL_S)


async def eventually_async(
    condition: Callable[[], object], seconds: float = WAIT_S, *, on_loop: bool = False
) -> None:
    """Wait until ``condition()`` is true.

    Args:
        on_loop: evaluate the condition on the event loop, for a condition that does not block. By
            default it runs in a thread, so that it may send an HTTP request.

    Raises:
        AssertionError: the condition was still false after ``seconds``.
    """
    deadline = time.monotonic() + seconds
    while not (condition() if on_loop else await asyncio.to_thread(condition)):
        assert time.monotonic() < deadline, f"not true within {seconds:g} s"
        await asyncio.sleep(_LOOP_POLL_S if on_loop else _POLL_S)
