"""What nobody waits for is done some ms later, when others have had their turn: a piece a turn of
the loop, so that what came meanwhile passes in between."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

# So that a client that asks again at once finds nobody busy with its last request: done right away,
# it delays the median first content of such clients by 40 us.
_LATER_S = 0.003
# Of what waits, more than one piece a turn where pieces come faster than turns, so that they end.
_SHARE = 16


class Soon:
    """The pieces of work of one loop, done in the order they came."""

    __slots__ = ("_loop", "_runs", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: deque[Callable[[], None]] = deque()
        self._runs = False

    def later(self, job: Callable[[], None]) -> None:
        """Do ``job`` in a few ms, after the loop has read what there is to read (uvloop; the
        standard loop may do two pieces before it does)."""
        self._waiting.append(job)
        if not self._runs:
            self._runs = True
            # What is called soon comes before the loop reads again; what that calls, after.
            self._loop.call_later(_LATER_S, self._loop.call_soon, self._turn)

    def now(self) -> None:
        """Do all that waits."""
        while self._waiting:
            self._waiting.popleft()()

    def _turn(self) -> None:
        # There may be none, after `now`.
        jobs = min(len(self._waiting), 1 + len(self._waiting) // _SHARE)
        self._runs = len(self._waiting) > jobs
        if self._runs:
            self._loop.call_soon(self._turn)
        for _ in range(jobs):
            self._waiting.popleft()()
