"""Deferred, low-priority work for an event loop, such as metrics and access-log lines.

Jobs start a few milliseconds after they were queued and run one per loop iteration, so that pending
I/O is served in between. If they ran immediately, they would delay the first token of a client
that sends its next request at once; the median delay is about 40 µs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

_DELAY_S = 0.003
# With a backlog, one extra job runs per iteration for every 16 waiting jobs. The queue therefore
# drains even if jobs arrive faster than the loop iterates.
_BACKLOG_PER_EXTRA_JOB = 16


class DeferredQueue:
    """Queue whose jobs run in order, spread over loop iterations."""

    __slots__ = ("_jobs", "_loop", "_scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Callable[[], None]] = deque()
        self._scheduled = False

    def put(self, job: Callable[[], None]) -> None:
        """Schedule ``job`` to run in a few milliseconds.

        uvloop polls for I/O before each job. The standard loop may run two jobs between polls.
        An exception in a job is passed to the loop's exception handler; the other jobs still run.
        """
        self._jobs.append(job)
        if not self._scheduled:
            self._scheduled = True
            # uvloop runs timers before it polls for I/O. Callbacks that a timer schedules with
            # `call_soon` run after the poll.
            self._loop.call_later(_DELAY_S, self._loop.call_soon, self._run_some)

    def flush(self) -> None:
        """Run all queued jobs now, for instance before the process exits."""
        while self._jobs:
            self._jobs.popleft()()

    def _run_some(self) -> None:
        # `flush` may have emptied the queue in the meantime.
        count = min(len(self._jobs), 1 + len(self._jobs) // _BACKLOG_PER_EXTRA_JOB)
        # The next run is scheduled first, so that an exception in a job does not stop later jobs.
        self._scheduled = len(self._jobs) > count
        if self._scheduled:
            self._loop.call_soon(self._run_some)
        for _ in range(count):
            self._jobs.popleft()()
