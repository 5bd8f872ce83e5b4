"""Schedule of a worker's requests. Times are passed as arguments; no clock is read."""

from __future__ import annotations

import heapq
from collections import deque
from typing import NamedTuple, Protocol

from undam.loadtest.protocol import ClosedLoop, Job, OpenLoop

# Pause of a slot after a request that the server did not accept. Without it, a closed loop against
# a server that is down would fail thousands of times per second.
REST_NS = 100_000_000


class DueRequest(NamedTuple):
    """A request that should start at ``intended_ns`` on CLOCK_REALTIME.

    Attributes:
        request: index into ``Job.requests``.
        session: number of its conversation among those that the worker has started; ``None`` for
            a single request.
        turn: position in the conversation, from 0.
    """

    number: int
    intended_ns: int
    request: int
    warmup: bool
    slot: int = 0
    session: int | None = None
    turn: int | None = None


class Schedule(Protocol):
    """Requests that are still to be sent."""

    @property
    def due_ns(self) -> int | None:
        """Due time of the next request; ``None`` if it depends on the end of another request."""
        ...

    @property
    def unstarted(self) -> int:
        """Number of requests that have not started; 0 if only the time is limited."""
        ...

    def take(self) -> DueRequest:
        """Remove and return the next request."""
        ...

    def release(self, slot: int, now_ns: int, *, rest: bool) -> None:
        """Free ``slot`` after its request has ended; with ``rest``, free it only after a pause."""
        ...


class _OpenLoopSchedule:
    def __init__(self, load: OpenLoop, start_ns: int) -> None:
        self._plan = load.plan
        self._start_ns = start_ns
        self._next = 0
        self._most = load.most
        self._in_flight = 0
        self.due_ns: int | None = None
        self._update_due()

    @property
    def unstarted(self) -> int:
        return len(self._plan) - self._next

    def take(self) -> DueRequest:
        number, _, request, warmup = self._plan[self._next]
        assert self.due_ns is not None
        due = DueRequest(number, self.due_ns, request, warmup)
        self._next += 1
        self._in_flight += 1
        self._update_due()
        return due

    def release(self, slot: int, now_ns: int, *, rest: bool) -> None:
        """Record the end of a request, which may allow the next request to start."""
        self._in_flight -= 1
        self._update_due()

    def _update_due(self) -> None:
        is_full = self._most is not None and self._in_flight >= self._most
        if self._next < len(self._plan) and not is_full:
            self.due_ns = self._start_ns + self._plan[self._next].offset_ns
        else:
            self.due_ns = None


class _Conversations:
    """Conversations of a closed loop; each slot runs one conversation at a time."""

    def __init__(self, sessions: tuple[tuple[int, int], ...]) -> None:
        self._sessions = sessions
        self._started = 0
        # Current session of each slot, and the next turn in that session.
        self._now: dict[int, tuple[int, int]] = {}

    def take(self, slot: int) -> tuple[int, int, int]:
        """Return the index, session and turn of the slot's next request."""
        session, turn = self._now.get(slot, (-1, 0))
        if session < 0 or turn == self._sessions[session % len(self._sessions)][1]:
            session, turn = self._started, 0
            self._started += 1
        self._now[slot] = session, turn + 1
        return self._sessions[session % len(self._sessions)][0] + turn, session, turn


class _ClosedLoopSchedule:
    def __init__(self, load: ClosedLoop, start_ns: int, requests: int) -> None:
        self._load = load
        self._start_ns = start_ns
        self._requests = requests
        self._count = 0
        self._ended = 0
        self._conversations = _Conversations(load.sessions) if load.sessions else None
        # Heap of slots, ordered by the time from which each may send, then by number.
        self._waiting = [(start_ns + offset, slot) for slot, offset in enumerate(load.slots)]
        heapq.heapify(self._waiting)
        # Slots that became free, in chronological order. Appending to a deque is cheaper than
        # pushing to the heap.
        self._free: deque[tuple[int, int]] = deque()

    @property
    def due_ns(self) -> int | None:
        if self._load.count is not None and self._count >= self._load.count:
            return None
        if self._is_free_next():
            at_ns = self._free[0][0]
        elif self._waiting:
            at_ns = self._waiting[0][0]
        else:
            return None
        end_ns = self._load.duration_ns
        return None if end_ns is not None and at_ns - self._start_ns >= end_ns else at_ns

    def _is_free_next(self) -> bool:
        free, waiting = self._free, self._waiting
        return bool(free) and not (waiting and waiting[0] < free[0])

    @property
    def unstarted(self) -> int:
        return 0 if self._load.count is None else self._load.count - self._count

    def take(self) -> DueRequest:
        if self._is_free_next():
            at_ns, slot = self._free.popleft()
        else:
            at_ns, slot = heapq.heappop(self._waiting)
        load, index = self._load, self._count
        number = load.first + index * load.stride
        warmup = index < load.warmup or at_ns - self._start_ns < load.warmup_ns
        self._count += 1
        if self._conversations is None:
            return DueRequest(number, at_ns, number % self._requests, warmup, slot)
        request, session, turn = self._conversations.take(slot)
        return DueRequest(number, at_ns, request, warmup, slot, session, turn)

    def release(self, slot: int, now_ns: int, *, rest: bool) -> None:
        pauses, pause_ns = self._load.pauses_ns, 0
        if pauses:
            pause_ns = pauses[self._ended % len(pauses)]
            self._ended += 1
        pause_ns = max(pause_ns, REST_NS) if rest else pause_ns
        if pause_ns:
            heapq.heappush(self._waiting, (now_ns + pause_ns, slot))
        else:
            self._free.append((now_ns, slot))


def make_schedule(job: Job, start_ns: int) -> Schedule:
    """Return the schedule for a job whose common start is ``start_ns``."""
    if isinstance(job.load, OpenLoop):
        return _OpenLoopSchedule(job.load, start_ns)
    return _ClosedLoopSchedule(job.load, start_ns, len(job.requests))
