"""`MemoryReplay`: a replay store in the memory of a single process."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Literal

from undam.asgi.replay.event_buffer import Bounds, EventBuffer, new_epoch
from undam.asgi.replay.interface import (
    AttachMode,
    Producer,
    ReplayOver,
    ReplayUnknown,
    SourceFailed,
    StoredEvent,
    StreamStatus,
)
from undam.asgi.replay.stream_channel import StreamChannel
from undam.asgi.replay.stream_store import TOPIC, StreamStore
from undam.errors import UsageError

log = logging.getLogger("undam.asgi")

# Most answers have fewer than 5,000 tokens; the longest have tens of thousands. In OpenAI's format,
# a one-token chunk takes about 200 bytes.
MAX_EVENTS = 5000
MAX_BYTES = 1 << 20

STOP_S = 5.0
"""Time limit for a source to end after it was stopped. A source that suppresses its cancellation
continues, but no reader receives its events."""


class MemoryReplay:
    """Replay store that keeps the newest events of each stream in this process's memory.

    For several workers or replicas, use `undam.asgi.redis`. Create one instance per application and
    pass it to every `EventStream` as ``replay``.

    - The first request for a key starts the source. Any number of further GET requests can read
      the same stream. A POST without an event ID always starts a new one.
    - Without readers, the source continues for ``linger_s`` seconds and is then cancelled. The
      events of an ended stream are kept for the same time.
    - If the events that a reader missed were dropped, ``on_gap`` determines the response. A reader
      with an ID of an unknown stream is answered with 204, and no source is started.
    - When the buffer would drop an event that a slow reader has not read, the source is paused. If
      the reader reads nothing for ``slow_s`` seconds, the stream continues without waiting for it,
      and the reader receives a gap.

    Args:
        max_events: maximum number of events kept per stream.
        max_bytes: maximum size of the events kept per stream. The newest event is always kept.
        max_streams: maximum number of streams. When it is reached, ended streams are dropped
            first, then streams without readers. If all streams have readers, a further stream is
            served but cannot be resumed.
        linger_s: seconds that a stream is kept without readers.
        slow_s: seconds that the source waits for a reader that reads nothing.
        on_gap: see `Replay`.

    Raises:
        UsageError: a bound is out of range.
    """

    def __init__(
        self,
        *,
        max_events: int = MAX_EVENTS,
        max_bytes: int = MAX_BYTES,
        max_streams: int = 256,
        linger_s: float = 60.0,
        slow_s: float = 10.0,
        on_gap: Literal["204", "event"] = "event",
    ) -> None:
        check_bounds(max_events, max_bytes, max_streams, linger_s, slow_s)
        if on_gap not in {"204", "event"}:
            raise UsageError(f"on_gap must be '204' or 'event', not {on_gap!r}")
        self.on_gap: Literal["204", "event"] = on_gap
        self._bounds = Bounds(max_events, max_bytes)
        self._linger_s = linger_s
        self._slow_s = slow_s
        self._store = StreamStore(max_streams)
        self._max_streams = max_streams
        self._groups: dict[str, list[str]] = {}

    def __len__(self) -> int:
        """Return the number of stored streams."""
        return len(self._store)

    @property
    def readers(self) -> int:
        """Total number of readers of the stored streams."""
        return sum(channel.readers for channel in self._store.values())

    async def attach(
        self, key: str, last_id: str | None, produce: Producer, *, mode: AttachMode = "join"
    ) -> AsyncGenerator[StoredEvent, None]:
        """See `Replay.attach`."""
        if mode == "new" and last_id is None:
            self._store.set_aside(key)
        channel = self._store.get_for(key, last_id)
        if channel is None:
            if mode == "existing":
                raise ReplayUnknown("this stream is not stored")
            if last_id is not None:
                raise ReplayOver("this stream is no longer stored")
            channel = self._start(key, produce)
        return channel.read(channel.start_after(last_id))

    async def status(self, key: str) -> StreamStatus | None:
        """See `Replay.status`."""
        channel = self._store.get((key, ""))
        return None if channel is None else channel.status

    async def stop(self, key: str) -> bool:
        """See `Replay.stop`."""
        channel = self._store.get((key, "")) or self._store.get((key, TOPIC))
        if channel is None or channel.end is not None:
            return False
        channel.finish("stopped")
        if channel.task is not None:
            channel.task.cancel()
            await asyncio.wait([channel.task], timeout=STOP_S)
        return True

    async def remember(self, group: str, key: str) -> None:
        """See `Replay.remember`."""
        stored = [one for one in self._groups.get(group, []) if self._store.get((one, ""))]
        self._groups[group] = [*stored, key]
        if len(self._groups) > 2 * self._max_streams:
            kept = {name: keys for name, keys in self._groups.items() if self._are_stored(keys)}
            self._groups = kept

    async def list_group(self, group: str) -> list[tuple[str, StreamStatus]]:
        """See `Replay.list_group`."""
        found = [(key, self._store.get((key, ""))) for key in reversed(self._groups.get(group, []))]
        return [(key, channel.status) for key, channel in found if channel is not None]

    async def publish(self, topic: str, data: bytes) -> str:
        """See `Replay.publish`."""
        channel = self._topic(topic)
        ident = channel.publish(data)
        if not channel.readers:
            self._idle(channel)
        return ident

    async def subscribe(self, topic: str, last_id: str | None) -> AsyncGenerator[StoredEvent, None]:
        """See `Replay.subscribe`."""
        channel = self._topic(topic)
        return channel.read(
            channel.buffer.last if last_id is None else channel.start_after(last_id)
        )

    def _topic(self, topic: str) -> StreamChannel:
        channel = self._store.get((topic, TOPIC))
        if channel is None or channel.end is not None:
            channel = StreamChannel(
                EventBuffer(new_epoch(), self._bounds), slow_s=self._slow_s, on_idle=self._idle
            )
            self._store.add((topic, TOPIC), channel)
        return channel

    def _are_stored(self, keys: list[str]) -> bool:
        return any(self._store.get((key, "")) for key in keys)

    def _start(self, key: str, produce: Producer) -> StreamChannel:
        buffer = EventBuffer(new_epoch(), self._bounds)
        channel = StreamChannel(buffer, slow_s=self._slow_s, on_idle=self._idle)
        self._store.add((key, ""), channel)
        channel.task = asyncio.get_running_loop().create_task(
            _run(channel, produce), name="undam replay source"
        )
        self._drop_later(channel)  # The first reader cancels this timer.
        return channel

    def _idle(self, channel: StreamChannel) -> None:
        if channel.stored:
            self._drop_later(channel)
        else:
            channel.stop()  # The channel is not in the store, so readers cannot reconnect to it.

    def _drop_later(self, channel: StreamChannel) -> None:
        channel.cancel_timer()
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(self._linger_s, self._store.drop, channel)


async def _run(channel: StreamChannel, produce: Producer) -> None:
    async def append(data: bytes) -> str:
        await channel.wait_for_space(1, len(data))
        if channel.end is not None:
            raise asyncio.CancelledError  # the source ignored its cancellation
        return channel.publish(data)

    try:
        last = await produce(append, 0)
    except SourceFailed as failure:
        if failure.last:
            await append(failure.last)
        channel.failure = failure.__cause__
        channel.finish("failed")
    except Exception:
        log.exception("the replay store could not run a source")
        channel.finish("lost")
    else:
        for event in last:
            await append(event)
        channel.finish("complete")
    finally:
        channel.finish("lost")  # no effect if the stream has already ended


def check_bounds(
    max_events: int, max_bytes: int, max_streams: int, linger_s: float, slow_s: float
) -> None:
    """Reject invalid bounds.

    Raises:
        UsageError: a count is below 1, or a time is negative or infinite.
    """
    counts = {"max_events": max_events, "max_bytes": max_bytes, "max_streams": max_streams}
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} must be at least 1")
    for name, seconds in {"linger_s": linger_s, "slow_s": slow_s}.items():
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"{name} must be a finite number of seconds, 0 or more")
