"""The connections to upstreams that wait for a request, the one used last first."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from errno import ECONNRESET
from math import inf
from time import monotonic

from undam.aio.deadlines import DeadlineTimer
from undam.gateway.http.upstream_connection import UpstreamConnection
from undam.gateway.interfaces import Upstream


class UpstreamPool:
    """The connections of one event loop."""

    closed = False

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timer: DeadlineTimer, max_head_bytes: int
    ) -> None:
        self.next_deadline = inf
        self._loop = loop
        self._timer = timer
        self._max_head = max_head_bytes
        self._idle: dict[Upstream, list[UpstreamConnection]] = {}
        self._open: set[UpstreamConnection] = set()
        self._kept: frozenset[Upstream] | None = None

    @property
    def open_connections(self) -> int:
        """How many there are, in use or idle."""
        return len(self._open)

    def take(self, upstream: Upstream, max_idle_s: float = inf) -> UpstreamConnection | None:
        """One that is free, and was used within the last ``max_idle_s``."""
        idle = self._idle.get(upstream)
        while idle:
            connection = idle[-1]
            if connection.idle_since + max_idle_s < monotonic():
                return None
            idle.pop()
            assert connection.transport is not None
            if not connection.closed and not connection.transport.is_closing():
                return connection
        return None

    async def open(self, upstream: Upstream) -> UpstreamConnection:
        """A new one.

        Raises:
            OSError: it is refused, cannot be resolved, or its certificate is not trusted.
        """
        connection = UpstreamConnection(upstream, self, self._max_head)
        try:
            await self._loop.create_connection(
                lambda: connection,
                upstream.host,
                upstream.port,
                ssl=upstream.tls,
                server_hostname=None if upstream.tls is None else upstream.host,
            )
        except BaseException:
            # Cancelled in the turn in which it was made, it would stay open for nobody.
            connection.abort()
            raise
        if connection.closed:
            raise ConnectionResetError(ECONNRESET, "closed as soon as it was open")
        self._open.add(connection)
        return connection

    def give(self, connection: UpstreamConnection) -> None:
        """See `upstream.Owner`."""
        upstream = connection.upstream
        idle = self._idle.setdefault(upstream, [])
        unwanted = self._kept is not None and upstream not in self._kept
        if self.closed or unwanted or len(idle) >= upstream.max_idle:
            connection.abort()
            return
        connection.idle_since = monotonic()
        idle.append(connection)
        self._timer.schedule(self, connection.idle_since + upstream.idle_s)

    def lost(self, connection: UpstreamConnection) -> None:
        """See `upstream.Owner`."""
        self._open.discard(connection)
        idle = self._idle.get(connection.upstream)
        if idle and connection in idle:
            idle.remove(connection)

    def keep(self, upstreams: Collection[Upstream]) -> None:
        """Close what is idle towards any other, now and from now on."""
        self._kept = frozenset(upstreams)
        for upstream in [one for one in self._idle if one not in self._kept]:
            for connection in self._idle.pop(upstream):
                connection.abort()

    def close(self) -> None:
        """Close all, also those in use."""
        self.closed = True
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    def on_deadline(self, now: float) -> float:
        """Close what has been idle for too long."""
        due = inf
        for upstream, idle in self._idle.items():
            while idle and idle[0].idle_since + upstream.idle_s <= now:
                idle.pop(0).abort()
            if idle:
                due = min(due, idle[0].idle_since + upstream.idle_s)
        return due
