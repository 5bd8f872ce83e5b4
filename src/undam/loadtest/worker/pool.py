"""Connection pool of a worker: connections in use, idle, and being opened."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import Address, ConnectionState, WorkerConnection
from undam.poller import READABLE, WRITABLE, Poller

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

# Maximum number of connections being opened in advance at the same time. More could overflow the
# server's accept queue, and a dropped SYN is retransmitted only after a second.
_MAX_OPENING = 32


class WorkerConnectionPool:
    """Connections to the target, registered with ``poller``.

    Attributes:
        by_fd: all open connections by file descriptor.
        opened: total number of connections opened.
        stale: number of idle connections that turned out to be closed when a request was sent.
        iteration: number of the event loop's iteration; connections record theirs.

    Args:
        make_tls: creates the TLS engine of a connection; ``None`` for plain HTTP.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        poller: Poller,
        make_tls: Callable[[], TlsEngine] | None,
        *,
        keep_alive: bool,
    ) -> None:
        self.by_fd: dict[int, WorkerConnection] = {}
        self.opened = 0
        self.stale = 0
        self.iteration = 0
        self._addresses = addresses
        self._poller = poller
        self._make_tls = make_tls
        self._keep_alive = keep_alive
        self._address = 0
        self._reached = False
        self._idle: list[WorkerConnection] = []
        self._ahead = 0
        self._opening: set[WorkerConnection] = set()

    def __iter__(self) -> Iterator[WorkerConnection]:
        return iter(list(self.by_fd.values()))

    @property
    def is_opening(self) -> bool:
        """Return whether connections are still being opened in advance."""
        return bool(self._opening)

    def open_ahead(self, count: int) -> None:
        """Open ``count`` connections before a request needs them, a few at a time."""
        self._ahead = count if self._keep_alive else 0
        self._open_some()

    def stop_ahead(self) -> None:
        """Stop opening connections in advance."""
        self._ahead = 0

    def send(self, active: ActiveRequest) -> None:
        """Send the request ``active`` on an idle connection or on a new one.

        Raises:
            OSError: no connection can be opened.
        """
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.assign(active)
            except OSError:
                # The server has just closed this connection; the request never left this machine.
                self.close(connection)
                self.stale += 1
                continue
            self.watch(connection, was_writing=False)
            return
        if self._opening:
            self._opening.pop().assign(active)
            return
        self.open(active)

    def send_again(self, active: ActiveRequest) -> None:
        """Send a request again after its connection has failed.

        Raises:
            OSError: no connection can be opened.
        """
        # Open a new connection, because other idle connections may have been closed as well.
        self.open(active)

    def open(self, active: ActiveRequest | None) -> None:
        """Open a connection, and send the request ``active`` once the connection is established.

        Raises:
            OSError: no address accepts a connection.
        """
        while True:
            tried = self._address
            tls = None if self._make_tls is None else self._make_tls()
            try:
                connection = self._connect(self._addresses[tried], tls)
                break
            except OSError:
                self._ahead = 0
                if not self.may_try_again(tried):
                    raise
        self.opened += 1
        connection.created_in, connection.address = self.iteration, tried
        if active is None:
            self._opening.add(connection)
        else:
            connection.assign(active)
        self.by_fd[connection.fd] = connection
        self._poller.register(connection.fd, READABLE | WRITABLE)

    def _connect(self, address: Address, tls: TlsEngine | None) -> WorkerConnection:
        return WorkerConnection(address, tls)

    def may_try_again(self, tried: int) -> bool:
        """Return whether there is another address to try after a failure at address ``tried``.

        Once a connection was established, only its address is used.
        """
        if tried == self._address and not self._reached:
            self._address = min(tried + 1, len(self._addresses) - 1)
        return tried < self._address

    def watch(self, connection: WorkerConnection, *, was_writing: bool) -> None:
        """Update the pool and epoll after a connection has made progress."""
        if connection.wants_write != was_writing:
            more = WRITABLE if connection.wants_write else 0
            self._poller.modify(connection.fd, READABLE | more)
        if connection.state is ConnectionState.CONNECTING:
            return
        self._reached = True
        if connection.state is ConnectionState.IDLE:
            self._idle.append(connection)
            self._established(connection)

    def _established(self, connection: WorkerConnection) -> None:
        self._opening.discard(connection)
        self._open_some()

    def release(self, connection: WorkerConnection, *, keep: bool) -> None:
        """Make a connection available after its request ends; close it unless ``keep`` is set."""
        if keep and self._keep_alive:
            connection.active = None
            connection.state = ConnectionState.IDLE
            self._idle.append(connection)
        else:
            self.close(connection)

    def close(self, connection: WorkerConnection, *, abort: bool = False) -> None:
        """Close a connection in any state."""
        # After a close, another connection may have the same file descriptor.
        if self.by_fd.get(connection.fd) is connection:
            del self.by_fd[connection.fd]
            self._poller.forget(connection.fd)
        self._opening.discard(connection)
        if connection.state is ConnectionState.IDLE and connection in self._idle:
            self._idle.remove(connection)
        connection.close(abort=abort)

    def _open_some(self) -> None:
        while self._ahead > 0 and len(self._opening) < _MAX_OPENING:
            self._ahead -= 1
            try:
                self.open(None)
            except OSError:
                # Ignore the error: the first request that needs a connection reports it.
                return
