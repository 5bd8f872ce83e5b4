"""Registry of open streams for each event loop, so that all can be ended when the server stops.

While there are streams, the loop polls whether its server is about to stop (see `shutdown`).
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Protocol

from undam.asgi.interface import Reason
from undam.asgi.response.defaults import stream_defaults

_POLL_S = 0.2
"""Polling interval. It is well below the shortest default grace period of the known servers, which
is 3 s (hypercorn)."""


class OpenStream(Protocol):
    """A response that can be ended early."""

    def end(self, reason: Reason) -> None:
        """End the stream early, for ``reason``."""
        ...


class OpenStreams:
    """Registry of the open streams in one event loop."""

    __slots__ = ("__weakref__", "_handle", "_loop", "_probes", "_stopping_since", "_streams")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        # `_REGISTRIES` maps loops to registries, so a strong reference would keep each loop alive.
        self._loop = weakref.ref(loop)
        self._streams: set[OpenStream] = set()
        self._handle: asyncio.TimerHandle | None = None
        self._probes: dict[Hashable, Callable[[], bool]] = {}
        self._stopping_since: float | None = None

    def add(self, stream: OpenStream) -> None:
        """Register ``stream`` until it is passed to `remove`."""
        self._streams.add(stream)

    def remove(self, stream: OpenStream) -> None:
        """Remove ``stream``. If it was the last one, polling stops."""
        self._streams.discard(stream)
        if not self._streams:
            if self._handle is not None:
                self._handle.cancel()
            self._handle = None
            self._probes = {}

    def poll(self, server: Hashable, is_stopping: Callable[[], bool]) -> None:
        """Call ``is_stopping`` every 0.2 s. When it returns true, end all streams.

        With `set_defaults(shutdown_grace=…)`, the streams may finish within that time first.

        Args:
            server: identifies the server. A second call for the same server replaces the first.
        """
        self._probes[server] = is_stopping
        self._schedule()

    def end_all(self, reason: Reason) -> int:
        """End every stream, and return their number."""
        streams = list(self._streams)
        for stream in streams:
            stream.end(reason)
        return len(streams)

    def _schedule(self) -> None:
        loop = self._loop()
        if self._handle is None and loop is not None:
            self._handle = loop.call_later(_POLL_S, self._check)

    def _check(self) -> None:
        self._handle = None
        if any(is_stopping() for is_stopping in self._probes.values()):
            now = monotonic()
            if self._stopping_since is None:
                self._stopping_since = now
            if now - self._stopping_since >= stream_defaults().shutdown_grace:
                self.end_all("shutdown")
        else:
            self._stopping_since = None
        if self._streams:
            # Polling continues after the server has stopped accepting connections, because a
            # request in progress may still open a stream.
            self._schedule()


_REGISTRIES: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, OpenStreams] = (
    weakref.WeakKeyDictionary()
)


def open_streams(loop: asyncio.AbstractEventLoop | None = None) -> OpenStreams:
    """Return the registry of ``loop`` (default: the running loop), and create it if necessary."""
    loop = loop or asyncio.get_running_loop()
    registry = _REGISTRIES.get(loop)
    if registry is None:
        registry = _REGISTRIES[loop] = OpenStreams(loop)
    return registry


def end_streams() -> int:
    """End every stream of the running loop with reason ``shutdown``. Return their number.

    This is needed under servers that do not expose that they are stopping (see docs/servers.md).
    Call it where the application is notified of the shutdown. From another thread, use
    ``loop.call_soon_threadsafe(end_streams)``.
    """
    return open_streams().end_all("shutdown")
