"""Queue for jobs that are too long for one event loop iteration and run in short steps.

However many jobs are waiting, only about half a millisecond of them runs per iteration, so that
pending I/O, such as the tokens of other clients, is served in between.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from time import monotonic

_SLICE_S = 0.0005


class StepQueue:
    """Queue that runs its jobs in turn, one step at a time.

    A step should take well below half a millisecond. It returns whether the job needs more steps.
    """

    __slots__ = ("_jobs", "_loop", "_scheduled")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._jobs: deque[Callable[[], bool]] = deque()
        self._scheduled = False

    def put(self, job: Callable[[], bool]) -> None:
        """Run the steps of ``job``, beginning with the next event loop iteration."""
        self._jobs.append(job)
        self._schedule()

    def _schedule(self) -> None:
        if self._jobs and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._run_some)

    def _run_some(self) -> None:
        self._scheduled = False
        end = monotonic() + _SLICE_S
        try:
            while self._jobs:
                job = self._jobs.popleft()
                if job():
                    self._jobs.append(job)
                if monotonic() >= end:
                    break
        finally:
            # An exception in a job must not stop the other jobs.
            self._schedule()
