"""Writes a stream to Redis before its readers see it, and goes on without Redis where it must.

While Redis answers, an event is shown only once it is kept, so that whoever takes over knows all
that anyone has seen. Events that come during one command leave in the next, together. A command
that fails, or takes longer than its limit, ends that: events are shown at once, and are written
later from the buffer, as far as it reaches back. A process that may have lost its lease meanwhile,
as it stood still, asks once more before.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Literal

from undam.asgi.replay.redis_log import RedisDown, RedisLog
from undam.asgi.replay.stream_channel import End, StreamChannel

# What may wait for Redis before the source does. They are shown all at once, so that a buffer has
# to hold them beside what its readers have not taken.
_PENDING_EVENTS = 64
_PENDING_BYTES = 1 << 18
MIN_EVENTS = 2 * _PENDING_EVENTS
"""The smallest buffer that never drops what its readers are about to take."""
# What one command carries when an outage is made up for.
_BATCH = 256
_RETRY_S = 1.0

WriteOutcome = Literal["complete", "failed", "lost", "abandoned", "taken"]
"""How the writing ended; ``abandoned``: nobody has read for the linger; ``taken``: another process
goes on with the stream, having taken this one for dead."""


class RedisWriter:
    """One stream on its way from its source to Redis and from there to its readers here.

    Args:
        written: events that Redis has already.
        lease_s: how long after a command another process may hold this one for dead.
        renew_s: the lease is renewed this often, events or not.
        linger_s: for how long it goes on without readers while Redis cannot be asked for them.
        tell: called with an error when Redis fails, and with ``None`` when it is back.
        max_bytes: of the buffer.
        down: Redis is known to fail.
    """

    def __init__(  # noqa: PLR0913 (one caller, and all are named)
        self,
        log: RedisLog,
        channel: StreamChannel,
        *,
        written: int,
        lease_s: float,
        renew_s: float,
        linger_s: float,
        tell: Callable[[RedisDown | None], None],
        max_bytes: int,
        down: bool = False,
    ) -> None:
        self._log = log
        self._channel = channel
        self._written = written
        self._lease_s = lease_s
        self._renew_s = renew_s
        self._linger_s = linger_s
        self._tell = tell
        self._pending_bytes = min(_PENDING_BYTES, max_bytes // 2)
        self._down = down
        # A stream begun without Redis may have been begun elsewhere, too: then it stays here.
        self._only_here = False
        self._began_down = down
        self._pending: list[bytes] = []
        self._in_flight: list[bytes] = []
        self._end: End | None = None
        self._end_written = False
        self._work = asyncio.Event()
        self._space = asyncio.Event()
        self._leased_at = self._read_at = asyncio.get_running_loop().time()

    async def append(self, data: bytes) -> str:
        """Take an event; returns its id. Waits while too many are on their way."""
        await self._wait_for_space([data])
        if self._down:
            self._work.set()
            return self._channel.publish(data)
        self._pending.append(data)
        self._work.set()
        buffer = self._channel.buffer
        return buffer.ident(buffer.last + len(self._in_flight) + len(self._pending))

    async def finish(self, last: Sequence[bytes], end: End) -> None:
        """Take what stands at the end, together with the fact; `run` returns when it is written."""
        await self._wait_for_space(last)
        if self._down:
            for data in last:
                self._channel.publish(data)
        else:
            self._pending += last
        self._end = end
        self._work.set()

    async def run(self) -> WriteOutcome:
        """Write until the end, or until nobody wants it any more."""
        again = False
        while True:
            if not (again or self._has_work()):
                self._work.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_s):
                        await self._work.wait()
            try:
                said, wanted = ("ok", True) if self._only_here else await self._write()
            except RedisDown as error:
                again = not again and self._may_be_taken()
                if again:
                    self._pending, self._in_flight = self._in_flight + self._pending, []
                    continue
                self._go_on_without(error)
                if self._end is not None:
                    return self._end
                wanted = self._is_read()
                if wanted:
                    await self._rest()
                    continue
                said = "ok"
            again = False
            if said == "taken" and not self._began_down:
                return "taken"  # Two tellings of one answer must not mix.
            if said != "ok":
                self._stay_here()
            if not wanted and not self._is_read():
                return "abandoned"
            if self._end is not None and (self._end_written or self._only_here):
                return self._end

    def _has_work(self) -> bool:
        behind = not self._only_here and self._written < self._channel.buffer.last
        return bool(self._pending) or self._end is not None or behind

    async def _write(self) -> tuple[str, bool]:
        buffer = self._channel.buffer
        first = max(self._written + 1, buffer.first)
        missed = [buffer.event(n) for n in range(first, min(buffer.last, first + _BATCH - 1) + 1)]
        room = _BATCH - len(missed)
        asked_at = asyncio.get_running_loop().time()
        self._in_flight, self._pending = self._pending[:room], self._pending[room:]
        batch = [*missed, *self._in_flight]
        all_of_it = first + len(missed) - 1 == buffer.last and not self._pending
        end = self._end if all_of_it else None
        said, read = await self._log.append(
            buffer.epoch,
            first,
            batch,
            oldest=buffer.first,
            end=end,
            has_readers=self._channel.readers > 0,
        )
        if said == "ok":
            self._leased_at = asked_at
            self._written = first + len(batch) - 1
            self._end_written = end is not None
            self._publish_in_flight()
            if self._down and self._written == buffer.last:
                self._down = False
                self._began_down = False
                self._tell(None)
        return said, read

    def _may_be_taken(self) -> bool:
        """Whether Redis has to be asked once more before anything is shown without it.

        A process that stood still, stopped or with its loop blocked, finds that its command took
        too long. Redis is well then, and the stream may be another's by now.
        """
        now = asyncio.get_running_loop().time()
        return not self._down and now - self._leased_at >= self._lease_s

    def _publish_in_flight(self) -> None:
        for data in self._in_flight:
            self._channel.publish(data)
        self._in_flight = []
        self._space.set()

    def _go_on_without(self, error: RedisDown) -> None:
        self._down = True
        self._tell(error)
        self._show_all()

    def _stay_here(self) -> None:
        self._only_here = self._down = True
        self._show_all()

    def _show_all(self) -> None:
        self._in_flight += self._pending
        self._pending = []
        self._publish_in_flight()

    async def _rest(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _RETRY_S
        while self._end is None and (left := until - loop.time()) > 0:
            self._work.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._work.wait()

    async def _wait_for_space(self, events: Sequence[bytes]) -> None:
        """Wait until ``events`` can join those on their way, and all fit the readers' buffer."""
        while ahead := [*self._in_flight, *self._pending]:
            size = sum(map(len, (*ahead, *events)))
            if len(ahead) + len(events) <= _PENDING_EVENTS and size <= self._pending_bytes:
                break
            self._space.clear()
            await self._space.wait()
        ahead += events
        await self._channel.wait_for_space(len(ahead), sum(map(len, ahead)))

    def _is_read(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._channel.readers:
            self._read_at = now
        return now - self._read_at <= self._linger_s
