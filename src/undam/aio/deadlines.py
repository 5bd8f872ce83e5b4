"""The one timer of an event loop: every deadline of every connection, and nothing done per byte.

A patient says when it must be looked at the soonest; what moves its deadlines later says nothing,
and it finds out when it is looked at.
"""

from __future__ import annotations

import asyncio
import heapq
from math import inf
from time import monotonic
from typing import Protocol

# Deadlines that fall this close together share one turn of the loop.
_GATHER_S = 0.002
# uvloop's timers count whole milliseconds of a clock that was read as the turn began, and may come
# that early: the turns until it is time would burn the processor.
_EARLY_S = 0.001
# Below this a heap is not worth the tidying.
_FEW = 64


class Patient(Protocol):
    """What the pulse looks after."""

    due: float
    """When it will be looked at, as `Pulse.at` keeps it; ``inf`` at first."""
    closed: bool

    def pulse(self, now: float) -> float:
        """Do what is due at ``now`` (s, monotonic); returns when to be called again."""
        ...


class Pulse:
    """The deadlines of one loop."""

    __slots__ = ("_heap", "_loop", "_order", "_stale", "_timer", "_timer_at")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._heap: list[tuple[float, int, Patient]] = []
        self._order = 0
        self._stale = 0
        """Entries that were overtaken by an earlier one, or whose patient is closed."""
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = inf

    def at(self, patient: Patient, due: float) -> None:
        """Look at ``patient`` at ``due`` or before, unless it is closed."""
        if due < patient.due and not patient.closed:
            overtakes, patient.due = patient.due != inf, due
            if overtakes:
                self._leave_one()
            # The number decides between equal times, so patients are never compared.
            self._order += 1
            heapq.heappush(self._heap, (due, self._order, patient))
            self._arm(due)

    def forget(self, patient: Patient) -> None:
        """``patient`` is closed: let go of it before its time comes."""
        if patient.due != inf:
            patient.due = inf
            self._leave_one()

    def _leave_one(self) -> None:
        self._stale += 1
        if self._stale > _FEW and self._stale * 2 > len(self._heap):
            # A closed patient holds all that its connection had.
            valid = (entry for entry in self._heap if entry[0] == entry[2].due)
            self._heap = list({entry[2]: entry for entry in valid}.values())
            heapq.heapify(self._heap)
            self._stale = 0

    def stop(self) -> None:
        """Look after nobody any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._heap, self._stale = None, [], 0

    def _beat(self) -> None:
        self._timer, self._timer_at = None, inf
        now = monotonic()
        heap = self._heap
        while heap and heap[0][0] <= now:
            due, _, patient = heapq.heappop(heap)
            if due != patient.due:
                self._stale -= 1
                continue
            patient.due = inf
            again = patient.pulse(now)
            self.at(patient, max(again, now + _GATHER_S))
            heap = self._heap
        if heap:
            self._arm(heap[0][0])

    def _arm(self, due: float) -> None:
        if self._timer is not None:
            if due >= self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = due
        self._timer = self._loop.call_later(max(0.0, due - monotonic()) + _EARLY_S, self._beat)
