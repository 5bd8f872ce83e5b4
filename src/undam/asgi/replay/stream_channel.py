"""One stream in this process: a buffer that one producer fills and any number of readers follow.

A reader never misses an event without being told: where the buffer would drop one that a reader
still has to take, the producer waits, and a reader who takes nothing for long is told of a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from undam.asgi.replay.event_buffer import EventBuffer
from undam.asgi.replay.interface import ReplayGap, ReplayOver, SourceFailed, SourceLost, StoredEvent

End = Literal["complete", "failed", "lost"]
"""How a stream ended: the source did, it raised, or whoever ran it is gone."""


class _Reader:
    """Where one reader stands."""

    __slots__ = ("next", "took_at", "waiter")

    def __init__(self, number: int, now: float) -> None:
        self.next = number
        self.took_at = now
        self.waiter: asyncio.Future[None] | None = None


class StreamChannel:
    """A stream being read along.

    Args:
        slow_s: for how long the producer waits for a reader who takes nothing.
        on_idle: called when nobody reads any more, and when it ends while nobody does.
    """

    __slots__ = (
        "_on_idle",
        "_readers",
        "_slow_s",
        "_space",
        "buffer",
        "end",
        "kept",
        "task",
        "timer",
    )  # fmt: skip

    def __init__(
        self, buffer: EventBuffer, *, slow_s: float, on_idle: Callable[[StreamChannel], None]
    ) -> None:
        self.buffer = buffer
        self.end: End | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.kept = False
        """It stands on a shelf, where readers find it who come back."""
        self._readers: set[_Reader] = set()
        self._space: asyncio.Future[None] | None = None
        self._slow_s = slow_s
        self._on_idle = on_idle

    @property
    def readers(self) -> int:
        """How many read along now."""
        return len(self._readers)

    def publish(self, data: bytes) -> str:
        """Keep an event and wake those who wait for it; returns its id."""
        number = self.buffer.append(data)
        self._wake_readers()
        return self.buffer.ident(number)

    def finish(self, end: End) -> None:
        """Note that nothing more comes. A second call does nothing."""
        if self.end is None:
            self.end = end
            self._wake_readers()
            if not self._readers:
                self._on_idle(self)

    def stop(self) -> None:
        """Cancel whatever fills it, and forget its timer."""
        self.cancel_timer()
        if self.task is not None:
            self.task.cancel()

    def cancel_timer(self) -> None:
        """Forget the timer that was to end it."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def wait_for_space(self, count: int, size: int) -> None:
        """Wait until ``count`` more events of ``size`` bytes together cost no reader an unread one.

        A reader who has taken nothing for ``slow_s`` seconds is not waited for.
        """
        loop = asyncio.get_running_loop()
        while self._readers:
            first = self.buffer.first_after(count, size)
            patience = loop.time() - self._slow_s
            behind = [one.took_at for one in self._readers if one.next < first]
            waited_for = max(behind, default=patience)
            if waited_for <= patience:
                return
            self._space = loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(waited_for - patience):
                    await self._space

    def start_after(self, last_id: str | None) -> int:
        """The number after which a reader begins, by what `Replay.attach` says of ``last_id``.

        Raises:
            ReplayGap, ReplayOver: as there.
        """
        if last_id == "":
            return self.buffer.first - 1
        if last_id is None:
            if self.buffer.first > 1:
                raise ReplayGap("the stream's beginning is no longer kept")
            return 0
        after = self.buffer.number_of(last_id)
        # One who has an error's event has all; one whose stream was lost has not been told.
        if after == self.buffer.last and self.end in {"complete", "failed"}:
            raise ReplayOver("the stream is over")
        return after

    async def read(self, after: int) -> AsyncGenerator[StoredEvent, None]:
        """Give the events after number ``after`` as they come; see `Replay.attach`."""
        buffer, loop = self.buffer, asyncio.get_running_loop()
        reader = _Reader(after + 1, loop.time())
        self._readers.add(reader)
        self.cancel_timer()
        try:
            while True:
                while reader.next <= buffer.last:
                    yield self._take(reader, loop.time())
                if self.end is not None:
                    break
                reader.waiter = loop.create_future()
                await reader.waiter
        finally:
            self._readers.discard(reader)
            self._notify_producer()
            if not self._readers:
                self._on_idle(self)
        if self.end == "failed":
            raise SourceFailed("the source of this stream failed")
        if self.end == "lost":
            raise SourceLost("whoever ran the source of this stream is gone")

    def _take(self, reader: _Reader, now: float) -> StoredEvent:
        number = reader.next
        if number < self.buffer.first:
            raise ReplayGap("this reader was too slow: events it has not seen are gone")
        data = self.buffer.event(number)
        reader.next = number + 1
        reader.took_at = now
        self._notify_producer()
        return self.buffer.ident(number), data

    def _notify_producer(self) -> None:
        if self._space is not None and not self._space.done():
            self._space.set_result(None)

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
