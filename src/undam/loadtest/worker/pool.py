"""The connections of a worker to its target: those in use, those that wait, those being opened."""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING

from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import Address, ConnectionState, WorkerConnection

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

# Connections being opened ahead at one time: many at once would overflow the accept queue, and a
# refused SYN is only sent again after a second.
_OPENING = 32


class WorkerConnectionPool:
    """Connections by their file descriptor, watched by ``epoll``.

    Attributes:
        by_fd: all that are open.
        opened: how many were opened in all.
        stale: requests that found their kept connection closed as they were to be sent.
        turn: of the loop; connections remember in which they were made.

    Args:
        pump: makes what speaks TLS, for each connection; ``None`` in the clear.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        epoll: select.epoll,
        pump: Callable[[], TlsEngine] | None,
        *,
        keep_alive: bool,
    ) -> None:
        self.by_fd: dict[int, WorkerConnection] = {}
        self.opened = 0
        self.stale = 0
        self.turn = 0
        self._addresses = addresses
        self._epoll = epoll
        self._pump = pump
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
        """Whether connections are still being opened ahead."""
        return bool(self._opening)

    def open_ahead(self, count: int) -> None:
        """Open so many connections that no exchange needs yet, some at a time."""
        self._ahead = count if self._keep_alive else 0
        self._open_some()

    def stop_ahead(self) -> None:
        """Open no more of them."""
        self._ahead = 0

    def send(self, active: ActiveRequest) -> None:
        """Send the request of ``active`` on a connection that waits, or on a new one.

        Raises:
            OSError: no connection can be opened.
        """
        while self._idle:
            connection = self._idle.pop()
            try:
                connection.assign(active)
            except OSError:
                # The server closed it a moment ago; the request never left this machine.
                self.close(connection)
                self.stale += 1
                continue
            self.watch(connection, was_writing=False)
            return
        if self._opening:
            # On its way already.
            self._opening.pop().assign(active)
            return
        self.open(active)

    def open(self, active: ActiveRequest | None) -> None:
        """Open a connection, and send the request of ``active`` when it is there.

        Raises:
            OSError: it cannot be opened, at any address.
        """
        while True:
            tried = self._address
            pump = None if self._pump is None else self._pump()
            try:
                connection = WorkerConnection(self._addresses[tried], pump)
                break
            except OSError:
                self._ahead = 0
                if not self.may_try_again(tried):
                    raise
        self.opened += 1
        connection.born, connection.address = self.turn, tried
        if active is None:
            self._opening.add(connection)
        else:
            connection.assign(active)
        self.by_fd[connection.fd] = connection
        self._epoll.register(connection.fd, EPOLLIN | EPOLLOUT)

    def may_try_again(self, tried: int) -> bool:
        """After a failure at an address, whether another is left; none is, once one was reached."""
        if tried == self._address and not self._reached:
            self._address = min(tried + 1, len(self._addresses) - 1)
        return tried < self._address

    def watch(self, connection: WorkerConnection, *, was_writing: bool) -> None:
        """Take note of what a connection has become by going on."""
        if connection.wants_write != was_writing:
            more = EPOLLOUT if connection.wants_write else 0
            self._epoll.modify(connection.fd, EPOLLIN | more)
        if connection.state is ConnectionState.CONNECTING:
            return
        self._reached = True
        if connection.state is ConnectionState.IDLE:
            self._idle.append(connection)
            self._opening.discard(connection)
            self._open_some()

    def release(self, connection: WorkerConnection, *, keep: bool) -> None:
        """The exchange of ``connection`` is over; ``keep`` it if it may be used again."""
        if keep and self._keep_alive:
            connection.active = None
            connection.state = ConnectionState.IDLE
            self._idle.append(connection)
        else:
            self.close(connection)

    def close(self, connection: WorkerConnection, *, abort: bool = False) -> None:
        """Close a connection, whatever it is doing."""
        self.by_fd.pop(connection.fd, None)
        self._opening.discard(connection)
        if connection.state is ConnectionState.IDLE and connection in self._idle:
            self._idle.remove(connection)
        connection.close(abort=abort)

    def _open_some(self) -> None:
        while self._ahead > 0 and len(self._opening) < _OPENING:
            self._ahead -= 1
            try:
                self.open(None)
            except OSError:
                # A request that needs one will tell.
                return
