"""The gateway in one event loop: listening, client connections and shutdown."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from undam.aio.deadlines import DeadlineTimer
from undam.aio.deferred import DeferredQueue
from undam.gateway.body.budget import BodyBudget
from undam.gateway.body.step_queue import StepQueue
from undam.gateway.config.limits import RequestLimits
from undam.gateway.http.pool import UpstreamPool
from undam.gateway.interfaces import Observer, Router
from undam.gateway.relay.client_connection import ClientConnection
from undam.gateway.relay.gateway_context import GatewayContext


class Gateway:
    """Data plane of one event loop.

    Attributes:
        context: state shared with the client connections.
    """

    def __init__(self, router: Router, observer: Observer, limits: RequestLimits) -> None:
        loop = asyncio.get_running_loop()
        timer = DeadlineTimer(loop)
        self.context = GatewayContext(
            router=router,
            observer=observer,
            limits=limits,
            loop=loop,
            timer=timer,
            deferred=DeferredQueue(loop),
            pool=UpstreamPool(loop, timer, limits.max_head_bytes),
            budget=BodyBudget(limits.body_budget_bytes),
            steps=StepQueue(loop),
        )
        self._clients: set[ClientConnection] = set()
        self._servers: list[asyncio.Server] = []

    @property
    def active_requests(self) -> int:
        """Number of requests in flight."""
        return sum(client.busy for client in self._clients)

    async def listen(self, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
        """Accept client connections on a bound socket."""
        loop, backlog = self.context.loop, 4096

        kind: Callable[[GatewayContext, set[ClientConnection]], asyncio.Protocol]
        kind = ClientConnection
        if tls is not None:
            # Only a TLS listener needs the memory of the HTTP/2 implementation.
            from undam.gateway.relay.http2_session import TlsConnection  # noqa: PLC0415

            kind = TlsConnection

        def connection() -> asyncio.Protocol:
            return kind(self.context, self._clients)

        if listener.family == socket.AF_UNIX:
            server = await loop.create_unix_server(
                connection, sock=listener, ssl=tls, backlog=backlog
            )
        else:
            server = await loop.create_server(connection, sock=listener, ssl=tls, backlog=backlog)
        self._servers.append(server)

    def stop_listening(self) -> None:
        """Stop accepting client connections; requests in flight continue."""
        for server in self._servers:
            server.close()
        self._servers.clear()

    async def drain(self) -> None:
        """Stop accepting client connections, and return when the last request has ended."""
        self.context.draining = True
        self.stop_listening()
        for session in list(self.context.sessions):
            session.drain()
        for client in list(self._clients):
            client.close_if_idle()
        while self.active_requests:
            self.context.request_finished.clear()
            await self.context.request_finished.wait()

    def end_all(self) -> int:
        """End every request in flight with an error, and return the number of these requests."""
        busy = [client for client in self._clients if client.busy]
        for client in busy:
            client.shut_down()
        return len(busy)

    async def close(self) -> None:
        """Close all connections; data already written to clients is still sent."""
        self.context.draining = True
        self.stop_listening()
        self.end_all()
        await asyncio.sleep(0)
        for client in list(self._clients):
            client.close()
        for session in list(self.context.sessions):
            session.close()
        self.context.pool.close()
        self.context.timer.stop()
        await asyncio.sleep(0)
        self.context.deferred.flush()
