"""Pool of connections to upstreams; the most recently used connection is reused first."""

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
    """Pool of the upstream connections of one event loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, timer: DeadlineTimer, max_head_bytes: int
    ) -> None:
        self.closed = False
        self.next_deadline = inf
        self._loop = loop
        self._timer = timer
        self._max_head_bytes = max_head_bytes
        self._idle: dict[Upstream, list[UpstreamConnection]] = {}
        self._open: set[UpstreamConnection] = set()
        self._kept: frozenset[Upstream] | None = None

    def take(self, upstream: Upstream, max_idle_s: float = inf) -> UpstreamConnection | None:
        """Return an idle connection used within the last ``max_idle_s`` seconds, or ``None``."""
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
        """Open a new connection.

        Raises:
            OSError: the connection was refused, the name cannot be resolved, or the certificate is
                not trusted.
        """
        connection = UpstreamConnection(upstream, self, self._max_head_bytes)
        try:
            if upstream.unix_path:
                await self._loop.create_unix_connection(lambda: connection, upstream.unix_path)
            else:
                await self._loop.create_connection(
                    lambda: connection,
                    upstream.address or upstream.host,
                    upstream.port,
                    ssl=upstream.tls,
                    server_hostname=None if upstream.tls is None else upstream.host,
                )
        except BaseException:
            # The task may be cancelled just after the connection was made. The connection must then
            # be closed, because nothing else refers to it.
            connection.abort()
            raise
        if connection.closed:
            raise ConnectionResetError(ECONNRESET, "the connection was closed immediately")
        self._open.add(connection)
        return connection

    def connection_idle(self, connection: UpstreamConnection) -> None:
        """Keep ``connection`` for the next request, or close it if enough connections are idle."""
        upstream = connection.upstream
        idle = self._idle.setdefault(upstream, [])
        unwanted = self._kept is not None and upstream not in self._kept
        if self.closed or unwanted or len(idle) >= upstream.max_idle:
            connection.abort()
            return
        connection.idle_since = monotonic()
        idle.append(connection)
        self._timer.schedule(self, connection.idle_since + upstream.idle_s)

    def connection_closed(self, connection: UpstreamConnection) -> None:
        """Remove a connection that has been closed."""
        self._open.discard(connection)
        idle = self._idle.get(connection.upstream)
        if idle and connection in idle:
            idle.remove(connection)

    def keep(self, upstreams: Collection[Upstream]) -> None:
        """Keep idle connections only to ``upstreams``, and close the others."""
        self._kept = frozenset(upstreams)
        for upstream in [one for one in self._idle if one not in self._kept]:
            for connection in self._idle.pop(upstream):
                connection.abort()

    def close(self) -> None:
        """Close all connections, including those in use."""
        self.closed = True
        for connection in list(self._open):
            connection.abort()
        self._idle.clear()

    def on_deadline(self, now: float) -> float:
        """Close connections that have been idle for too long; return the next deadline."""
        deadline = inf
        for upstream, idle in self._idle.items():
            while idle and idle[0].idle_since + upstream.idle_s <= now:
                idle.pop(0).abort()
            if idle:
                deadline = min(deadline, idle[0].idle_since + upstream.idle_s)
        return deadline
