"""One heart per event loop: the single timer behind all of its streams' heartbeats and limits.

A stream says when it wants to be looked at next; nothing is done per write. The heart also asks,
while there are streams, whether the server is about to stop, and then ends them.
"""

from __future__ import annotations

import asyncio
import heapq
import weakref
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Protocol

from undam.asgi.interface import Reason

# A timer waits this share of the interval longer, so that streams that fall due together, or
# nearly, share one turn of the loop.
_GATHER = 1 / 64
# A tenth of the shortest grace period that servers have by default (hypercorn's 3 s).
_ASK_S = 0.2
# Below this a heap with closed streams in it is not worth the tidying.
_FEW = 64


class Patient(Protocol):
    """What the heart looks after."""

    closed: bool

    def pulse(self, now: float) -> float:
        """Do what is due at ``now`` (s, monotonic); returns when to be called again."""
        ...

    def end(self, reason: Reason) -> None:
        """End the stream early."""
        ...


class Heart:
    """The streams of one loop."""

    __slots__ = ("__weakref__", "_asking", "_due", "_loop", "_order", "_probes", "_stale",
                 "_streams", "_timer", "_timer_at")  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # The loop owns the heart through the registry below; held here, it could never go.
        self._loop = weakref.ref(loop)
        self._streams: set[Patient] = set()
        self._due: list[tuple[float, int, Patient]] = []
        self._order = 0
        self._stale = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._asking: asyncio.TimerHandle | None = None
        self._probes: dict[Hashable, Callable[[], bool]] = {}

    def add(self, stream: Patient, due: float | None, gather: float = 0.0) -> None:
        """Look after ``stream``, and call its ``pulse`` first at ``due`` (``None``: never).

        Args:
            gather: its shortest interval, in s, which says how late a timer may be.
        """
        self._streams.add(stream)
        if due is not None:
            self._push(due, stream)
            self._arm(due + gather * _GATHER)

    def remove(self, stream: Patient) -> None:
        """Forget ``stream``, whose ``closed`` is true."""
        self._streams.discard(stream)
        self._stale += 1
        if not self._streams:
            self._rest()
        elif self._stale > _FEW and self._stale * 2 > len(self._due):
            self._due = [entry for entry in self._due if not entry[2].closed]
            heapq.heapify(self._due)
            self._stale = 0

    def watch(self, key: Hashable, stopping: Callable[[], bool]) -> None:
        """Ask ``stopping`` now and then, and end all streams once it says so."""
        self._probes[key] = stopping
        if self._asking is None:
            self._asking = self._call_later(_ASK_S, self._ask)

    def end_all(self, reason: Reason) -> int:
        """End every stream; returns how many there were."""
        streams = list(self._streams)
        for stream in streams:
            stream.end(reason)
        return len(streams)

    def _push(self, due: float, stream: Patient) -> None:
        # The number decides between equal times, so streams are never compared.
        self._order += 1
        heapq.heappush(self._due, (due, self._order, stream))

    def _beat(self) -> None:
        self._timer = None
        now = monotonic()
        due = self._due
        last = now
        while due and due[0][0] <= now:
            _, _, stream = heapq.heappop(due)
            if stream.closed:
                self._stale -= 1
                continue
            again = stream.pulse(now)
            last = max(last, again)
            self._push(again, stream)
        if due:
            self._arm(due[0][0] + (last - now) * _GATHER)

    def _arm(self, at: float) -> None:
        if self._timer is not None:
            if at >= self._timer_at:
                return
            self._timer.cancel()
        self._timer_at = at
        self._timer = self._call_later(max(0.0, at - monotonic()), self._beat)

    def _ask(self) -> None:
        self._asking = None
        if any(stopping() for stopping in self._probes.values()):
            self.end_all("shutdown")
        if self._streams:
            # Also after the end: a request that was under way may still open a stream.
            self._asking = self._call_later(_ASK_S, self._ask)

    def _rest(self) -> None:
        for timer in (self._timer, self._asking):
            if timer is not None:
                timer.cancel()
        self._timer = self._asking = None
        self._due, self._stale = [], 0
        self._probes = {}

    def _call_later(self, delay: float, call: Callable[[], None]) -> asyncio.TimerHandle | None:
        loop = self._loop()
        return None if loop is None else loop.call_later(delay, call)


_HEARTS: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Heart] = weakref.WeakKeyDictionary()


def heart_of(loop: asyncio.AbstractEventLoop) -> Heart:
    """The heart of ``loop``, made at its first stream."""
    heart = _HEARTS.get(loop)
    if heart is None:
        heart = _HEARTS[loop] = Heart(loop)
    return heart


def end_streams() -> int:
    """End every stream of the running loop, as a server's shutdown does; returns how many.

    For servers that do not tell that they stop (docs/servers.md): call it where the application
    learns of it. From another thread: ``loop.call_soon_threadsafe(end_streams)``.
    """
    return heart_of(asyncio.get_running_loop()).end_all("shutdown")
