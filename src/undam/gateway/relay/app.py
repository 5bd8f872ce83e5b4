"""The gateway of one event loop: where it listens, what it shares, and how it ends."""

from __future__ import annotations

import asyncio
import socket
import ssl

from undam.aio.deadlines import DeadlineTimer
from undam.aio.deferred import DeferredQueue
from undam.gateway.config.limits import RequestLimits
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.interfaces import Observer, Router
from undam.gateway.relay.client_connection import ClientConnection


class Gateway:
    """The data plane in one event loop.

    Attributes:
        router, observer, limits: may be replaced at any time; a request keeps the ones it began
            with.
        draining: answers say that the connection closes, and idle ones are closed.
    """

    def __init__(self, router: Router, observer: Observer, limits: RequestLimits) -> None:
        self.router = router
        self.observer = observer
        self.limits = limits
        self.draining = False
        self.loop = asyncio.get_running_loop()
        self.timer = DeadlineTimer(self.loop)
        self.deferred = DeferredQueue(self.loop)
        self.pool = UpstreamPool(self.loop, self.timer, limits.max_head_bytes)
        self.clients: set[ClientConnection] = set()
        self._servers: list[asyncio.Server] = []
        self._empty = asyncio.Event()

    @property
    def active(self) -> int:
        """Requests under way."""
        return sum(client.busy for client in self.clients)

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept clients on a bound socket."""
        server = await self.loop.create_server(
            lambda: ClientConnection(self), sock=listener, ssl=tls, backlog=4096
        )
        self._servers.append(server)

    def stop_listening(self) -> None:
        """Accept nobody any more; what is under way goes on."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def drain(self) -> None:
        """Accept nobody any more, and return when the last request is over."""
        self.draining = True
        self.stop_listening()
        for client in list(self.clients):
            client.close_if_idle()
        while self.active:
            self._empty.clear()
            await self._empty.wait()

    def end_all(self) -> int:
        """End every request under way with an error that says why; returns how many."""
        busy = [client for client in self.clients if client.busy]
        for client in busy:
            client.shut_down()
        return len(busy)

    async def close(self) -> None:
        """Close everything; what was told to clients still leaves."""
        self.draining = True
        self.stop_listening()
        self.end_all()
        await asyncio.sleep(0)
        for client in list(self.clients):
            client.close()
        self.pool.close()
        self.timer.stop()
        await asyncio.sleep(0)
        self.deferred.flush()

    def request_over(self) -> None:
        """A client is idle again."""
        self._empty.set()
