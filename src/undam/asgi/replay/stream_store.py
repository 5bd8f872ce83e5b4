"""The streams of one process by their keys: at most so many, and what goes when there are more."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from undam.asgi.replay.stream_channel import StreamChannel

log = logging.getLogger("undam.asgi")


class StreamStore:
    """Channels by key.

    When it is full, room is made by what costs least: an ended stream that nobody reads, then an
    ended one, then a running one that nobody reads, which is stopped; the oldest of its kind.
    """

    def __init__(self, max_streams: int) -> None:
        self._channels: dict[str, StreamChannel] = {}
        self._max_streams = max_streams
        self._warned = False

    def __len__(self) -> int:
        return len(self._channels)

    def get(self, key: str) -> StreamChannel | None:
        """The stream under ``key``, if there is one."""
        return self._channels.get(key)

    def add(self, key: str, channel: StreamChannel) -> bool:
        """Put ``channel`` under ``key``; false if every place is in use by readers."""
        if len(self._channels) >= self._max_streams and not self._evict():
            if not self._warned:
                self._warned = True
                log.warning(
                    "all %d streams of a replay have readers: further ones cannot be resumed "
                    "(raise max_streams); told once",
                    self._max_streams,
                )
            return False
        self._channels[key] = channel
        channel.kept = True
        return True

    def drop(self, channel: StreamChannel) -> None:
        """Forget ``channel`` and stop what fills it."""
        for key in [key for key, one in self._channels.items() if one is channel]:
            del self._channels[key]
        channel.kept = False
        channel.stop()

    def values(self) -> Iterable[StreamChannel]:
        """All of them, as they are now."""
        return list(self._channels.values())

    def _evict(self) -> bool:
        def cost(channel: StreamChannel) -> int:
            return 2 * (channel.end is None) + (channel.readers > 0)

        # min() takes the first of equals, and a dict keeps its order.
        cheapest = min(self._channels.values(), key=cost, default=None)
        if cheapest is None or (cheapest.end is None and cheapest.readers):
            return False
        self.drop(cheapest)
        return True
