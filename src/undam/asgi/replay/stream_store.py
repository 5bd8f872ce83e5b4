"""Bounded store for the streams of one process."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from undam.asgi.replay.stream_channel import StreamChannel

log = logging.getLogger("undam.asgi")

StoreName = tuple[str, str]
"""Key of a stream, and its epoch if a newer stream has replaced it under the key; otherwise ""."""

TOPIC = "topic"
"""Second part of the name of a topic. An epoch has 24 hexadecimal digits."""


class StreamStore:
    """Channels by name.

    When the store is full, one stream is dropped, in this order of preference: an ended stream
    without readers, an ended stream with readers, a running stream without readers (which is
    stopped). Among equal candidates, the oldest is dropped.
    """

    def __init__(self, max_streams: int) -> None:
        self._channels: dict[StoreName, StreamChannel] = {}
        self._max_streams = max_streams
        self._warned = False

    def __len__(self) -> int:
        return len(self._channels)

    def get(self, name: StoreName) -> StreamChannel | None:
        """Return the stream under ``name``, or ``None``."""
        return self._channels.get(name)

    def get_for(self, key: str, last_id: str | None) -> StreamChannel | None:
        """Return the stream that ``last_id`` belongs to; otherwise the newest under ``key``."""
        epoch = (last_id or "").partition(":")[0]
        earlier = self._channels.get((key, epoch)) if epoch else None
        return earlier or self._channels.get((key, ""))

    def newest_run(self, key: str) -> str:
        """Return the run ID of the newest stream under ``key``; "" if there is none."""
        runs = [run for name, run in self._channels if name == key and run != TOPIC]
        return runs[-1] if runs else ""

    def set_aside(self, key: str) -> None:
        """Free ``key`` for a new stream. Readers can still resume the old one by its event IDs."""
        if (channel := self._channels.pop((key, ""), None)) is not None:
            self._channels[key, channel.buffer.epoch] = channel

    def add(self, name: StoreName, channel: StreamChannel) -> bool:
        """Add ``channel``. Return false if the store is full of running streams with readers."""
        if len(self._channels) >= self._max_streams and not self._evict():
            if not self._warned:
                self._warned = True
                log.warning(
                    "all %d streams of a replay store have readers: new streams cannot be resumed; "
                    "increase max_streams (logged once)",
                    self._max_streams,
                )
            return False
        self._channels[name] = channel
        channel.stored = True
        return True

    def drop(self, channel: StreamChannel) -> None:
        """Remove ``channel`` and cancel its task."""
        for name in [name for name, one in self._channels.items() if one is channel]:
            del self._channels[name]
        channel.stored = False
        channel.stop()

    def values(self) -> Iterable[StreamChannel]:
        """Return a list of all current channels."""
        return list(self._channels.values())

    def _evict(self) -> bool:
        def cost(channel: StreamChannel) -> int:
            return 2 * (channel.end is None) + (channel.readers > 0)

        # If several channels have the same cost, min() returns the oldest, because a dict keeps
        # insertion order.
        cheapest = min(self._channels.values(), key=cost, default=None)
        if cheapest is None or (cheapest.end is None and cheapest.readers):
            return False
        self.drop(cheapest)
        return True
