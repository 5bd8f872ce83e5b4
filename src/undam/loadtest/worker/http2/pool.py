"""Pool of a worker's HTTP/2 connections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from undam.loadtest.protocol import Http2Settings
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import Address, ConnectionState, WorkerConnection
from undam.loadtest.worker.http2.connection import Http2WorkerConnection
from undam.loadtest.worker.pool import WorkerConnectionPool
from undam.poller import Poller

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine


class Http2ConnectionPool(WorkerConnectionPool):
    """Connections to the target, each with several requests at a time.

    Attributes:
        streams: maximum number of requests on each connection.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        poller: Poller,
        make_tls: Callable[[], TlsEngine] | None,
        settings: Http2Settings,
        *,
        keep_alive: bool,
    ) -> None:
        super().__init__(addresses, poller, make_tls, keep_alive=keep_alive)
        self.streams = settings.streams
        self._settings = settings
        # Connections that can carry another request, oldest first. Full connections are removed
        # when ``send`` encounters them.
        self._free: dict[Http2WorkerConnection, None] = {}

    def open_ahead(self, count: int) -> None:
        """Open connections for ``count`` requests before they are needed."""
        super().open_ahead(-(-count // self.streams))

    def send(self, active: ActiveRequest) -> None:
        """Send the request ``active`` on a connection that can carry it, or on a new one.

        Raises:
            OSError: no connection can be opened.
        """
        while self._free:
            connection = next(iter(self._free))
            if connection.has_room:
                was_writing = connection.wants_write
                connection.assign(active)
                if connection.wants_write != was_writing:
                    self.watch(connection, was_writing=was_writing)
                return
            del self._free[connection]
        self.open(active)

    def send_again(self, active: ActiveRequest) -> None:
        """Send a request again after its stream or connection has failed.

        Raises:
            OSError: no connection can be opened.
        """
        self.send(active)

    def watch(self, connection: WorkerConnection, *, was_writing: bool) -> None:
        """Update the pool and epoll after a connection has made progress."""
        super().watch(connection, was_writing=was_writing)
        if connection.state is ConnectionState.READING and connection in self._opening:
            self._established(connection)

    def update(self, connection: Http2WorkerConnection) -> None:
        """Make a connection available after a request ends; close it if it is no longer needed."""
        if connection.has_room and self._keep_alive:
            self._free[connection] = None
        elif not connection.requests:
            self.close(connection)

    def retire(self, connection: Http2WorkerConnection) -> None:
        """Send no more requests on a connection, and close it after its last response."""
        connection.retired = True
        self._free.pop(connection, None)
        if not connection.requests:
            self.close(connection)

    def close(self, connection: WorkerConnection, *, abort: bool = False) -> None:
        """Close a connection in any state."""
        assert isinstance(connection, Http2WorkerConnection)
        self._free.pop(connection, None)
        super().close(connection, abort=abort)

    def _connect(self, address: Address, tls: TlsEngine | None) -> WorkerConnection:
        settings = replace(self._settings, streams=self.streams)
        connection = Http2WorkerConnection(address, tls, settings)
        self._free[connection] = None
        return connection
