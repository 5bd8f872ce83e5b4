"""Channel for one stream within a process: a buffer with one producer and any number of readers.

No reader misses an event silently. If the buffer would drop an event that a reader has not read,
the producer waits. A reader that reads nothing for too long receives a gap.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from typing import Literal

from undam.asgi.replay.event_buffer import EventBuffer
from undam.asgi.replay.interface import (
    AnswerStopped,
    ReplayGap,
    ReplayOver,
    SourceFailed,
    SourceLost,
    StoredEvent,
    StreamStatus,
)

End = Literal["complete", "failed", "lost", "stopped"]
"""End of a stream: the source finished, it raised an exception, its process died, or it was stopped
on request."""


class _ChannelReader:
    """Current position of one reader in the stream."""

    __slots__ = ("next", "read_at", "waiter")

    def __init__(self, number: int, now: float) -> None:
        self.next = number
        self.read_at = now
        self.waiter: asyncio.Future[None] | None = None


class StreamChannel:
    """Channel that passes events from a stream's producer to its readers.

    Args:
        slow_s: seconds that the producer waits for a reader that reads nothing.
        on_idle: function to call when the last reader detaches, or when the stream ends without
            readers.

    Attributes:
        stored: the channel is in the store and available to reconnecting readers.
        failure: exception of the source, if it ran in this process and failed.
    """

    __slots__ = (
        "_on_idle",
        "_readers",
        "_slow_s",
        "_space",
        "buffer",
        "end",
        "failure",
        "stored",
        "task",
        "timer",
    )  # fmt: skip

    def __init__(
        self, buffer: EventBuffer, *, slow_s: float, on_idle: Callable[[StreamChannel], None]
    ) -> None:
        self.buffer = buffer
        self.end: End | None = None
        self.failure: BaseException | None = None
        self.task: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.stored = False
        self._readers: set[_ChannelReader] = set()
        self._space: asyncio.Future[None] | None = None
        self._slow_s = slow_s
        self._on_idle = on_idle

    @property
    def readers(self) -> int:
        """Number of current readers."""
        return len(self._readers)

    @property
    def status(self) -> StreamStatus:
        """Current state of the stream."""
        last = self.buffer.last
        return StreamStatus(self.end or "running", last, self.buffer.ident(last) if last else "")

    def publish(self, data: bytes) -> str:
        """Store an event, wake the waiting readers, and return the event's ID."""
        number = self.buffer.append(data)
        self._wake_readers()
        return self.buffer.ident(number)

    def finish(self, end: End) -> None:
        """Record how the stream ended. Only the first call has an effect."""
        if self.end is None:
            self.end = end
            self._wake_readers()
            if not self._readers:
                self._on_idle(self)

    def stop(self) -> None:
        """Cancel the channel's timer and the task that fills the channel."""
        self.cancel_timer()
        if self.task is not None:
            self.task.cancel()

    def cancel_timer(self) -> None:
        """Cancel the timer that would drop the channel."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    async def wait_for_space(self, count: int, size: int) -> None:
        """Wait until ``count`` events of ``size`` bytes fit without dropping unread events.

        Readers that have read nothing for ``slow_s`` seconds are ignored.
        """
        loop = asyncio.get_running_loop()
        while self._readers:
            first = self.buffer.first_after(count, size)
            oldest_wait = loop.time() - self._slow_s
            behind = [one.read_at for one in self._readers if one.next < first]
            latest_read = max(behind, default=oldest_wait)
            if latest_read <= oldest_wait:
                return
            self._space = loop.create_future()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(latest_read - oldest_wait):
                    await self._space

    def start_after(self, last_id: str | None) -> int:
        """Return the number of the event after which a reader with this last event ID starts.

        Raises:
            ReplayGap, ReplayOver: as for `Replay.attach`.
        """
        if last_id == "":
            return self.buffer.first - 1
        if last_id is None:
            if self.buffer.first > 1:
                raise ReplayGap("the first events of the stream are no longer stored")
            return 0
        after = self.buffer.number_of(last_id)
        # After "failed", the last stored event is the error event. After "lost", no error event is
        # stored, so the reader must receive the error as an exception.
        if after == self.buffer.last and self.end in {"complete", "failed", "stopped"}:
            raise ReplayOver("the stream has ended")
        return after

    async def read(self, after: int) -> AsyncGenerator[StoredEvent, None]:
        """Yield the events after number ``after`` as they arrive; see `Replay.attach`."""
        buffer, loop = self.buffer, asyncio.get_running_loop()
        reader = _ChannelReader(after + 1, loop.time())
        self._readers.add(reader)
        self.cancel_timer()
        try:
            while True:
                while reader.next <= buffer.last:
                    yield self._next_event(reader, loop.time())
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
            raise SourceFailed("the source of this stream failed") from self.failure
        if self.end == "stopped":
            raise AnswerStopped("this stream was stopped")
        if self.end == "lost":
            raise SourceLost("the process that ran the source of this stream has died")

    def _next_event(self, reader: _ChannelReader, now: float) -> StoredEvent:
        number = reader.next
        if number < self.buffer.first:
            raise ReplayGap("this reader was too slow; events that it had not read were dropped")
        data = self.buffer.event(number)
        reader.next = number + 1
        reader.read_at = now
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
                # This reader had read everything, so its time limit starts at the new event.
                now = asyncio.get_running_loop().time() if now is None else now
                reader.read_at = now
                reader.waiter = None
                if not waiter.done():
                    waiter.set_result(None)
