"""A replay in this process's memory: `MemoryReplay`."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import Literal

from undam.asgi.replay.event_buffer import Bounds, EventBuffer, new_epoch
from undam.asgi.replay.interface import Producer, ReplayOver, SourceFailed, StoredEvent
from undam.asgi.replay.stream_channel import StreamChannel
from undam.asgi.replay.stream_store import StreamStore
from undam.errors import UsageError

log = logging.getLogger("undam.asgi")

# The longest answer of today's models has some tens of thousands of tokens; the usual one has less
# than this, and a chunk of one token in OpenAI's form has 200 bytes.
MAX_EVENTS = 5000
MAX_BYTES = 1 << 20


class MemoryReplay:
    """Keeps the newest events of each stream, so that a reader who comes back misses nothing.

    For one process: with several workers or replicas, `undam.asgi.redis` is for you. Make one for
    the application, and give it to every `EventStream` with ``replay=``.

    - The first request of a key starts its source; others read along, however many.
    - The source goes on for ``linger_s`` seconds while nobody reads, and is then cancelled. What
      is kept of an ended stream goes after the same time.
    - A reader whose missed events are gone is told so (see ``on_gap``); one who comes back with
      an id to a stream of which nothing is known gets 204 and starts nothing.
    - A slow reader pauses the source as soon as the buffer would drop what it has not taken; after
      ``slow_s`` seconds in which it took nothing the stream goes on without it, and it is told.

    Args:
        max_events, max_bytes: kept of one stream; the newest event is kept whatever its size.
        max_streams: at a time. When it is reached, ended streams go first, then those that
            nobody reads; when all have readers, a further one is served but cannot be resumed.
        on_gap: see `Replay`.

    Raises:
        UsageError: a bound that bounds nothing.
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
            raise UsageError(f"on_gap is '204' or 'event', not {on_gap!r}")
        self.on_gap: Literal["204", "event"] = on_gap
        self._bounds = Bounds(max_events, max_bytes)
        self._linger_s = linger_s
        self._slow_s = slow_s
        self._store = StreamStore(max_streams)

    def __len__(self) -> int:
        """Streams of which something is kept."""
        return len(self._store)

    @property
    def readers(self) -> int:
        """Readers of the streams that are kept."""
        return sum(channel.readers for channel in self._store.values())

    async def attach(
        self, key: str, last_id: str | None, produce: Producer
    ) -> AsyncGenerator[StoredEvent, None]:
        """See `Replay.attach`."""
        channel = self._store.get(key)
        if channel is None:
            if last_id is not None:
                raise ReplayOver("nothing is kept of this stream any more")
            channel = self._start(key, produce)
        return channel.read(channel.start_after(last_id))

    def _start(self, key: str, produce: Producer) -> StreamChannel:
        buffer = EventBuffer(new_epoch(), self._bounds)
        channel = StreamChannel(buffer, slow_s=self._slow_s, on_idle=self._idle)
        self._store.add(key, channel)
        channel.task = asyncio.get_running_loop().create_task(
            _run(channel, produce), name="undam replay source"
        )
        self._drop_later(channel)  # Until its first reader takes its first step.
        return channel

    def _idle(self, channel: StreamChannel) -> None:
        if channel.kept:
            self._drop_later(channel)
        else:
            channel.stop()  # Nobody can come back to it.

    def _drop_later(self, channel: StreamChannel) -> None:
        channel.cancel_timer()
        loop = asyncio.get_running_loop()
        channel.timer = loop.call_later(self._linger_s, self._store.drop, channel)


async def _run(channel: StreamChannel, produce: Producer) -> None:
    async def append(data: bytes) -> str:
        await channel.wait_for_space(1, len(data))
        return channel.publish(data)

    try:
        last = await produce(append, 0)
    except SourceFailed as failure:
        if failure.last:
            await append(failure.last)
        channel.finish("failed")
    except Exception:
        log.exception("a replay could not run a source")
        channel.finish("lost")
    else:
        for event in last:
            await append(event)
        channel.finish("complete")
    finally:
        channel.finish("lost")  # It was cancelled; a second end does nothing.


def check_bounds(
    max_events: int, max_bytes: int, max_streams: int, linger_s: float, slow_s: float
) -> None:
    """Refuse what bounds nothing.

    Raises:
        UsageError: a count below 1, or a time that is negative or endless.
    """
    counts = {"max_events": max_events, "max_bytes": max_bytes, "max_streams": max_streams}
    for name, count in counts.items():
        if count < 1:
            raise UsageError(f"{name} must be at least 1")
    for name, seconds in {"linger_s": linger_s, "slow_s": slow_s}.items():
        if not 0 <= seconds < float("inf"):
            raise UsageError(f"{name} must be a number of seconds from 0")
