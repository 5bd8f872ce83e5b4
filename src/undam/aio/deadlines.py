"""A single timer that serves all deadlines of an event loop.

A connection has several deadlines (heartbeat, idle limit, send limit), and every byte moves them.
Re-arming a loop timer for each byte would cost more than forwarding the byte. Instead, a connection
registers only its *earliest* deadline. Extending a deadline is free: when the old one fires, the
connection returns its next deadline.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import weakref
from math import inf
from time import monotonic
from typing import Protocol

# Minimum time between two calls for the same object, so that deadlines that are close together
# share one wake-up of the loop.
_COALESCE_S = 0.002
# uvloop timers count whole milliseconds and use a clock that is read once per iteration, so a timer
# may fire up to 1 ms early. Without this margin, the loop would spin until the deadline is reached.
_EARLY_FIRE_S = 0.001
# If a timer fires later than this, the loop was blocked. Pending data is then read for some
# iterations before deadlines are handled.
_MAX_LATE_S = 0.25
_CATCH_UP_S = 0.05
# The heap is rebuilt only if it has at least this many stale entries. With fewer, the scan would
# cost more than the memory that it frees.
_MIN_STALE = 64
# Fraction of an interval by which `coalesced` may delay a deadline.
_INTERVAL_SHARE = 1 / 64


class Timed(Protocol):
    """Object with deadlines, usually a connection.

    Attributes:
        next_deadline: the registered deadline (s, monotonic clock), ``inf`` if there is none. Only
            the timer writes it; initialize it with ``inf``.
        closed: the object is closed, and its remaining deadlines are ignored.
    """

    next_deadline: float
    closed: bool

    def on_deadline(self, now: float) -> float:
        """Handle all deadlines that are due at ``now``.

        Returns:
            Time of the next call (s, monotonic clock), or ``inf`` for no further call.
        """
        ...


class DeadlineTimer:
    """Scheduler that calls ``on_deadline`` of registered objects, with a single timer of ``loop``.

    An entry of the heap is *stale* if an earlier deadline replaced it or its object was cancelled.
    Stale entries are skipped when they are popped. If more than half of the heap is stale, it is
    rebuilt, because each entry keeps the buffers of its connection alive.
    """

    __slots__ = (
        "__weakref__", "_fires_at", "_handle", "_heap", "_late", "_loop", "_sequence", "_stale",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The reference is weak: `loop_timer` maps loops to timers, and a strong reference would
        # keep each loop alive.
        self._loop = weakref.ref(loop)
        self._heap: list[tuple[float, int, Timed]] = []
        # Tie-breaker for entries with equal deadlines, because the objects cannot be compared.
        self._sequence = 0
        self._stale = 0
        self._handle: asyncio.TimerHandle | None = None
        self._fires_at = inf
        # True after the timer fired late, while pending data is read before deadlines are handled.
        self._late = False

    def schedule(self, timed: Timed, deadline: float) -> None:
        """Ensure that ``timed.on_deadline`` is called at ``deadline`` or earlier.

        A deadline later than the registered one is ignored: ``on_deadline`` will return it.
        """
        if timed.closed or deadline >= timed.next_deadline:
            return
        replaces = timed.next_deadline != inf
        timed.next_deadline = deadline
        self._sequence += 1
        heapq.heappush(self._heap, (deadline, self._sequence, timed))
        if replaces:
            self._add_stale()
        self._arm(deadline)

    def cancel(self, timed: Timed) -> None:
        """Unregister ``timed``, so that it is not called again and its memory can be freed."""
        if timed.next_deadline != inf:
            timed.next_deadline = inf
            self._add_stale()

    def stop(self) -> None:
        """Remove all objects and cancel the loop's timer."""
        for deadline, _, timed in self._heap:
            if deadline == timed.next_deadline:
                timed.next_deadline = inf
        self._clear()

    def _clear(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._handle, self._fires_at = None, inf
        self._late = False
        self._heap, self._stale = [], 0

    def _add_stale(self) -> None:
        self._stale += 1
        if self._stale == len(self._heap):
            self._clear()
        elif self._stale > _MIN_STALE and self._stale * 2 > len(self._heap):
            # An object can have two entries for the same deadline. Only one of them is kept.
            live = {
                id(entry[2]): entry for entry in self._heap if entry[0] == entry[2].next_deadline
            }
            self._heap = list(live.values())
            heapq.heapify(self._heap)
            self._stale = 0

    def _fire(self) -> None:
        self._handle = None
        now = monotonic()
        if now - self._fires_at > _MAX_LATE_S and not self._late:
            # The loop or the whole process was blocked. Data that arrived in the meantime is read
            # first. Otherwise, a peer that sent in time would be treated as idle.
            self._late = True
            loop = self._loop()
            if loop is not None:
                self._fires_at = now
                self._handle = loop.call_later(_CATCH_UP_S, self._fire)
                return
        self._late = False
        self._fires_at = inf
        try:
            # `on_deadline` may close other objects. That may replace the heap.
            while self._heap and self._heap[0][0] <= now:
                deadline, _, timed = heapq.heappop(self._heap)
                if deadline != timed.next_deadline:
                    self._stale -= 1
                    continue
                timed.next_deadline = inf
                again = timed.on_deadline(now)
                if again < inf:
                    self.schedule(timed, max(again, now + _COALESCE_S))
        finally:
            if self._heap:
                self._arm(self._heap[0][0])

    def _arm(self, deadline: float) -> None:
        if deadline >= self._fires_at:
            return
        loop = self._loop()
        if loop is None:
            return
        if self._handle is not None:
            self._handle.cancel()
        self._fires_at = deadline
        delay = max(0.0, deadline - monotonic()) + _EARLY_FIRE_S
        self._handle = loop.call_later(delay, self._fire)


_TIMERS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, DeadlineTimer] = (
    weakref.WeakKeyDictionary()
)


def loop_timer(loop: asyncio.AbstractEventLoop | None = None) -> DeadlineTimer:
    """Return the timer of ``loop`` (default: the running loop); the first call creates it."""
    loop = loop or asyncio.get_running_loop()
    timer = _TIMERS.get(loop)
    if timer is None:
        timer = _TIMERS[loop] = DeadlineTimer(loop)
    return timer


def coalesced(deadline: float, interval: float) -> float:
    """Return ``deadline``, delayed by at most 1/64 of ``interval``.

    Deadlines of the same interval become equal if they are close together. So 1,000 streams with
    a heartbeat of 15 s cause at most 64 wake-ups in 15 s.
    """
    step = interval * _INTERVAL_SHARE
    return math.ceil(deadline / step) * step if 0 < step < inf else deadline
