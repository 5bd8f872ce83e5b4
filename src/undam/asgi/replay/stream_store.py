"""Bounded store of the streams of one process."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from undam.asgi.replay.stream_channel import StreamChannel

log = logging.getLogger("undam.asgi")


class StreamStore:
    """Channels by key.

    When the store is full, one stream is dropped, in this order of preference: an ended stream
    without readers, an ended stream with readers, a running stream without readers (which is
    stopped). Among equal candidates, the oldest is dropped.
    """

    def __init__(self, max_streams: int) -> None:
        self._channels: dict[str, StreamChannel] = {}
        self._max_streams = max_streams
        self._warned = False

    def __len__(self) -> int:
        return len(self._channels)

    def get(self, key: str) -> StreamChannel | None:
        """Return the stream under ``key``, if there is one."""
        return self._channels.get(key)

    def add(self, key: str, channel: StreamChannel) -> bool:
        """Add ``channel``; return false if the store is full of running streams with readers."""
        if len(self._channels) >= self._max_streams and not self._evict():
            if not self._warned:
                self._warned = True
                log.warning(
                    "all %d streams of a replay store have readers: new streams cannot be resumed; "
                    "increase max_streams (logged once)",
                    self._max_streams,
                )
            return False
        self._channels[key] = channel
        channel.stored = True
        return True

    def drop(self, channel: StreamChannel) -> None:
        """Remove ``channel`` and cancel its task."""
        for key in [key for key, one in self._channels.items() if one is channel]:
            del self._channels[key]
        channel.stored = False
        channel.stop()

    def values(self) -> Iterable[StreamChannel]:
        """Return a snapshot of all channels."""
        return list(self._channels.values())

    def _evict(self) -> bool:
        def cost(channel: StreamChannel) -> int:
            return 2 * (channel.end is None) + (channel.readers > 0)

        # min() returns the first of equal items, and a dict keeps insertion order.
        cheapest = min(self._channels.values(), key=cost, default=None)
        if cheapest is None or (cheapest.end is None and cheapest.readers):
            return False
        self.drop(cheapest)
        return True
