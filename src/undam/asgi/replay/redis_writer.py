"""Writer that stores a stream in Redis before readers receive it, and continues during outages.

While Redis is reachable, an event is published only after it has been stored. A process that takes
over therefore has every event that any reader has received. Events that arrive during a command are
written together by the next command.

A command that fails or times out starts an outage. During an outage, events are published
immediately. After it, the events that are still in the buffer are written. A process that was
suspended may have lost its lease in the meantime, so it tries once more before it publishes without
Redis.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Literal

from undam.asgi.replay.interface import Producer, SourceFailed
from undam.asgi.replay.redis_log import RedisDown, RedisLog
from undam.asgi.replay.stream_channel import End, StreamChannel

log = logging.getLogger("undam.asgi")

# Maximum number and size of unwritten events. Beyond it, the source waits. All unwritten events are
# published at once, so the buffer needs space for them in addition to the unread events.
_PENDING_EVENTS = 64
_PENDING_BYTES = 1 << 18
MIN_EVENTS = 2 * _PENDING_EVENTS
"""Minimum buffer size, in events, that never drops an event before its readers can read it."""
# Maximum number of events per command after an outage.
_BATCH = 256
_RETRY_S = 1.0

WriteOutcome = Literal["complete", "failed", "lost", "stopped", "abandoned", "taken"]
"""Outcome of writing: an `End` of the stream, ``abandoned`` (no reader within the linger time)
or ``taken`` (another process continues the stream, because this one's lease expired)."""


class RedisWriter:
    """Writer that passes a stream's events from the source to Redis, and then to local readers.

    Args:
        written: number of events that are already in Redis.
        lease_s: seconds after a command at which another process may take the lease.
        renew_s: interval at which the lease is renewed, with or without events.
        linger_s: seconds that the writer continues without readers during an outage of Redis.
        on_state: called with the error when an outage starts, and with ``None`` when it ends.
        max_bytes: size of the buffer.
        down: Redis is unreachable at the start.
    """

    def __init__(  # noqa: PLR0913 (one caller, all by keyword)
        self,
        log: RedisLog,
        channel: StreamChannel,
        *,
        written: int,
        lease_s: float,
        renew_s: float,
        linger_s: float,
        on_state: Callable[[RedisDown | None], None],
        max_bytes: int,
        down: bool = False,
    ) -> None:
        self._log = log
        self._channel = channel
        self._written = written
        self._lease_s = lease_s
        self._renew_s = renew_s
        self._linger_s = linger_s
        self._on_state = on_state
        self._max_pending_bytes = min(_PENDING_BYTES, max_bytes // 2)
        self._down = down
        # If a stream was started while Redis was down, another process may have started it too. In
        # that case, this process does not write its stream to Redis.
        self._local_only = False
        self._started_down = down
        self._pending: list[bytes] = []
        self._in_flight: list[bytes] = []
        self._end: End | None = None
        self._end_written = False
        self._work = asyncio.Event()
        self._space = asyncio.Event()
        self._leased_at = self._read_at = asyncio.get_running_loop().time()

    async def run_source(self, produce: Producer, position: int) -> None:
        """Run the source, and pass on its events and its end."""
        try:
            last = await produce(self.append, position)
        except SourceFailed as failure:
            self._channel.failure = failure.__cause__
            await self.finish([failure.last] if failure.last else [], "failed")
        except Exception:
            log.exception("the replay store could not run a source")
            await self.finish([], "lost")
        else:
            await self.finish(last, "complete")

    async def append(self, data: bytes) -> str:
        """Accept an event and return its ID; wait if too many events are unwritten."""
        await self._wait_for_space([data])
        if self._down:
            self._work.set()
            return self._channel.publish(data)
        self._pending.append(data)
        self._work.set()
        buffer = self._channel.buffer
        return buffer.ident(buffer.last + len(self._in_flight) + len(self._pending))

    async def finish(self, last: Sequence[bytes], end: End) -> None:
        """Accept the final events and the end of the stream; `run` returns after writing them."""
        await self._wait_for_space(last)
        if self._down:
            for data in last:
                self._channel.publish(data)
        else:
            self._pending += last
        self._end = end
        self._work.set()

    async def run(self) -> WriteOutcome:
        """Write until the stream ends, has no reader left, or is taken over by another process."""
        retrying = False
        while True:
            if not (retrying or self._has_work()):
                self._work.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._renew_s):
                        await self._work.wait()
            try:
                status, is_read = ("ok", True) if self._local_only else await self._write()
            except RedisDown as error:
                retrying = not retrying and self._lease_may_be_lost()
                if retrying:
                    self._pending, self._in_flight = self._in_flight + self._pending, []
                    continue
                self._start_outage(error)
                if self._end is not None:
                    return self._end
                is_read = self._has_recent_reader()
                if is_read:
                    await self._wait_to_retry()
                    continue
                status = "ok"
            retrying = False
            if status == "stopped":
                return "stopped"
            if status == "taken" and not self._started_down:
                return "taken"  # never mix the events of two runs
            if status != "ok":
                self._continue_locally()
            if not is_read and not self._has_recent_reader():
                return "abandoned"
            if self._end is not None and (self._end_written or self._local_only):
                return self._end

    def _has_work(self) -> bool:
        behind = not self._local_only and self._written < self._channel.buffer.last
        return bool(self._pending) or self._end is not None or behind

    async def _write(self) -> tuple[str, bool]:
        buffer = self._channel.buffer
        first = max(self._written + 1, buffer.first)
        missed = [buffer.event(n) for n in range(first, min(buffer.last, first + _BATCH - 1) + 1)]
        space = _BATCH - len(missed)
        sent_at = asyncio.get_running_loop().time()
        self._in_flight, self._pending = self._pending[:space], self._pending[space:]
        batch = [*missed, *self._in_flight]
        is_last_batch = first + len(missed) - 1 == buffer.last and not self._pending
        end = self._end if is_last_batch else None
        status, is_read = await self._log.append(
            buffer.epoch,
            first,
            batch,
            oldest=buffer.first,
            end=end,
            has_readers=self._channel.readers > 0,
        )
        if status == "ok":
            self._leased_at = sent_at
            self._written = first + len(batch) - 1
            self._end_written = end is not None
            self._publish_in_flight()
            if self._down and self._written == buffer.last:
                self._down = False
                self._started_down = False
                self._on_state(None)
        return status, is_read

    def _lease_may_be_lost(self) -> bool:
        """Return whether to try Redis once more before events are published without it.

        If this process was suspended or its loop was blocked, a command appears to have timed out
        although Redis is reachable. Another process may then have taken over the stream.
        """
        now = asyncio.get_running_loop().time()
        return not self._down and now - self._leased_at >= self._lease_s

    def _publish_in_flight(self) -> None:
        for data in self._in_flight:
            self._channel.publish(data)
        self._in_flight = []
        self._space.set()

    def _start_outage(self, error: RedisDown) -> None:
        self._down = True
        self._on_state(error)
        self._publish_all()

    def _continue_locally(self) -> None:
        self._local_only = self._down = True
        self._publish_all()

    def _publish_all(self) -> None:
        self._in_flight += self._pending
        self._pending = []
        self._publish_in_flight()

    async def _wait_to_retry(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + _RETRY_S
        while self._end is None and (left := until - loop.time()) > 0:
            self._work.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._work.wait()

    async def _wait_for_space(self, events: Sequence[bytes]) -> None:
        """Wait until the buffer has space for ``events`` as well as all unwritten events."""
        while ahead := [*self._in_flight, *self._pending]:
            size = sum(map(len, (*ahead, *events)))
            if len(ahead) + len(events) <= _PENDING_EVENTS and size <= self._max_pending_bytes:
                break
            self._space.clear()
            await self._space.wait()
        ahead += events
        await self._channel.wait_for_space(len(ahead), sum(map(len, ahead)))

    def _has_recent_reader(self) -> bool:
        now = asyncio.get_running_loop().time()
        if self._channel.readers:
            self._read_at = now
        return now - self._read_at <= self._linger_s
