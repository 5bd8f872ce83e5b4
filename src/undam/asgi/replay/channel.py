"""One stream in this process: a ring that one producer fills and any number of readers follow.

A reader never misses an event without being told: where the ring would drop one that a reader
still has to take, the producer waits, and a reader who takes nothing for long is told of a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from undam.asgi.replay.interface import Kept, ReplayGap, ReplayOver, SourceFailed, SourceLost
from undam.asgi.replay.ring import Ring

End = Literal["complete", "failed", "lost"]
"""How a stream ended: the source did, it raised, or whoever ran it is gone."""


class _Reader:
    """Where one reader stands."""

    __slots__ = ("next", "took_at", "waiter")

    def __init__(self, number: int, now: float) -> None:
        self.next = number
        self.took_at = now
        self.waiter: asyncio.Future[None] | None = None


class Channel:
    """A stream being read along.

    Args:
        slow_s: for how long the producer waits for a reader who takes nothing.
        on_idle: called when nobody reads any more, and when it ends while nobody does.
    """

    __slots__ = ("_on_idle", "_readers", "_room", "_slow_s", "end", "kept", "ring", "task",
                 "timer")  # fmt: skip

    def __init__(self, ring: Ring, *, slow_s: float, on_idle: Callable[[Channel], None]) -> None:
        self.ring = ring
        self.end: End | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.kept = False
        """It stands on a shelf, where readers find it who come back."""
        self._readers: set[_Reader] = set()
        self._room: asyncio.Future[None] | None = None
        self._slow_s = slow_s
        self._on_idle = on_idle

    @property
    def readers(self) -> int:
        """How many read along now."""
        return len(self._readers)

    def publish(self, data: bytes) -> str:
        """Keep an event and wake those who wait for it; returns its id."""
        number = self.ring.append(data)
        self._wake_readers()
        return self.ring.ident(number)

    def finish(self, end: End) -> None:
        """Note that nothing more comes. A second call does nothing."""
        if self.end is None:
            self.end = end
            self._wake_readers()
            if not self._readers:
                self._on_idle(self)

    def stop(self) -> None:
        """Cancel whatever fills it, and forget its timer."""
        self.let_go()
        if self.task is not None:
            self.task.cancel()

    def let_go(self) -> None:
        """Forget the timer that was to end it."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def make_room(self, count: int, size: int) -> None:
        """Wait until ``count`` more events of ``size`` bytes together cost no reader an unread one.

        A reader who has taken nothing for ``slow_s`` seconds is not waited for.
        """
        loop = asyncio.get_running_loop()
        while self._readers:
            first = self.ring.first_after(count, size)
            patience = loop.time() - self._slow_s
            behind = [one.took_at for one in self._readers if one.next < first]
            waited_for = max(behind, default=patience)
            if waited_for <= patience:
                return
            self._room = loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(waited_for - patience):
                    await self._room

    def start_of(self, last_id: str | None) -> int:
        """The number after which a reader begins, by what `Replay.attach` says of ``last_id``.

        Raises:
            ReplayGap, ReplayOver: as there.
        """
        if last_id == "":
            return self.ring.first - 1
        if last_id is None:
            if self.ring.first > 1:
                raise ReplayGap("the stream's beginning is no longer kept")
            return 0
        after = self.ring.number_of(last_id)
        # One who has an error's event has all; one whose stream was lost has not been told.
        if after == self.ring.last and self.end in {"complete", "failed"}:
            raise ReplayOver("the stream is over")
        return after

    async def read(self, after: int) -> AsyncGenerator[Kept, None]:
        """Give the events after number ``after`` as they come; see `Replay.attach`."""
        ring, loop = self.ring, asyncio.get_running_loop()
        reader = _Reader(after + 1, loop.time())
        self._readers.add(reader)
        self.let_go()
        try:
            while True:
                while reader.next <= ring.last:
                    yield self._take(reader, loop.time())
                if self.end is not None:
                    break
                reader.waiter = loop.create_future()
                await reader.waiter
        finally:
            self._readers.discard(reader)
            self._tell_room()
            if not self._readers:
                self._on_idle(self)
        if self.end == "failed":
            raise SourceFailed("the source of this stream failed")
        if self.end == "lost":
            raise SourceLost("whoever ran the source of this stream is gone")

    def _take(self, reader: _Reader, now: float) -> Kept:
        number = reader.next
        if number < self.ring.first:
            raise ReplayGap("this reader was too slow: events it has not seen are gone")
        data = self.ring.event(number)
        reader.next = number + 1
        reader.took_at = now
        self._tell_room()
        return self.ring.ident(number), data

    def _tell_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _wake_readers(self) -> None:
        now = None
        for reader in self._readers:
            waiter = reader.waiter
            if waiter is not None:
                # It had all there was, so its time to take the next begins now.
                now = asyncio.get_running_loop().time() if now is None else now
                reader.took_at = now
                reader.waiter = None
                if not waiter.done():
                    waiter.set_result(None)
