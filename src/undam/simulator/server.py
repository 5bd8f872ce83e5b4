"""The simulator's server: one thread, one poller, and a heap of due times.

Every event is sent at its due time. A late event does not delay the next one.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import secrets
import socket
import time
from types import TracebackType
from typing import Self

from undam.errors import UsageError
from undam.poller import READABLE, make_poller
from undam.simulator.connection import Connection
from undam.simulator.dispatcher import Dispatcher
from undam.simulator.ground_truth import GroundTruthLog
from undam.simulator.settings import SimulatorSettings
from undam.wire import timestamps
from undam.wire.clock import sharpen_timers, wait_ready

_BACKLOG = 4096
# Maximum number of due streams, and of new connections, to handle between two socket polls.
_TURNS = 64
_ACCEPTS = 64
# Pause before the next accept if there is no free file descriptor.
_ACCEPT_PAUSE_NS = 100_000_000
# Idle time that suffices to write a block of ground truth to the page cache.
_IDLE_S = 0.0003
_SELECT_LIMIT = 1024


class Simulator:
    """Simulated model server with a known schedule.

    It listens from its creation. `serve` answers requests until `stop` is called from any thread
    or signal handler. The end of the ``with`` block closes all connections.

    Raises:
        UsageError: the address or the ground-truth file is not usable.
    """

    def __init__(self, settings: SimulatorSettings) -> None:
        self.dispatcher = Dispatcher(settings, name=secrets.token_hex(4))
        self._listener = _listen(settings.host, settings.port)
        self._listening = True
        try:
            self.ground_truth = GroundTruthLog(settings.truth)
        except UsageError:
            self._listener.close()
            raise
        self._poller = make_poller()
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._poller.register(self._wake.fileno(), READABLE)
        self._poller.register(self._listener.fileno(), READABLE)
        self._connections: dict[int, Connection] = {}
        self._due: list[tuple[int, int, Connection | None]] = []
        self._order = itertools.count()
        self._stopping = False
        self._closed = False
        host, port = self._listener.getsockname()[:2]
        self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def serve(self) -> None:
        """Answer requests until `stop`, then end all exchanges and write the ground truth.

        Raises:
            UsageError: the ground truth cannot be written.
        """
        if self._poller.fileno() >= _SELECT_LIMIT:
            raise UsageError(
                f"over {_SELECT_LIMIT} files are open; run the simulator in its own process"
            )
        sharpen_timers()
        try:
            while not self._stopping:
                self._run_due()
                self._wait()
        finally:
            self.close()

    def stop(self) -> None:
        """Make `serve` return, even if `serve` is called later."""
        self._stopping = True
        with contextlib.suppress(OSError):  # already closed
            self._waker.send(b".")

    def close(self) -> None:
        """Close every socket, and end exchanges in progress as ``server-stopped``."""
        if self._closed:
            return
        self._closed = self._stopping = True
        for connection in list(self._connections.values()):
            connection.close("server-stopped")
        self._listener.close()
        self._poller.close()
        self._wake.close()
        self._waker.close()
        self.ground_truth.close()

    def wake_at(self, connection: Connection, due_ns: int) -> None:
        """See `connection.ConnectionHost`."""
        connection.wake_ns = due_ns
        heapq.heappush(self._due, (due_ns, next(self._order), connection))

    def watch(self, connection: Connection, mask: int) -> None:
        """See `connection.ConnectionHost`."""
        fd = connection.sock.fileno()
        if fd in self._connections:
            self._poller.modify(fd, mask)
        else:
            self._connections[fd] = connection
            self._poller.register(fd, mask)

    def forget(self, connection: Connection) -> None:
        """See `connection.ConnectionHost`."""
        fd = connection.sock.fileno()
        if self._connections.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def _run_due(self) -> None:
        due, now_ns = self._due, time.monotonic_ns()
        for _ in range(_TURNS):
            if not due or due[0][0] > now_ns:
                return
            due_ns, _, connection = heapq.heappop(due)
            if connection is None:
                self._poller.register(self._listener.fileno(), READABLE)
            # Entries are stale if their connection is closed or their due time was replaced.
            elif connection.wake_ns == due_ns and not connection.closed:
                connection.on_due(now_ns)

    def _wait(self) -> None:
        seconds = self._idle_s()
        if self.ground_truth.full or (
            self.ground_truth.pending and (seconds is None or seconds > _IDLE_S)
        ):
            self.ground_truth.write_block()
            seconds = self._idle_s()
            if self.ground_truth.pending:
                seconds = 0.0
        if wait_ready(self._poller, seconds):
            for fd, mask in self._poller.poll(0, -1):
                self._ready(fd, mask)

    def _idle_s(self) -> float | None:
        if not self._due:
            return None
        return max(0, self._due[0][0] - time.monotonic_ns()) / 1e9

    def _ready(self, fd: int, mask: int) -> None:
        if fd in self._connections:
            self._connections[fd].on_ready(mask)
        elif fd == self._listener.fileno():
            self._accept()

    def _accept(self) -> None:
        for _ in range(_ACCEPTS):
            try:
                sock, _ = self._listener.accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError:
                self._poller.unregister(self._listener.fileno())
                resume_ns = time.monotonic_ns() + _ACCEPT_PAUSE_NS
                heapq.heappush(self._due, (resume_ns, next(self._order), None))
                return
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Connection(sock, self)


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, kind, number, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, number)
    except OSError as error:
        raise UsageError(f"cannot listen on {host!r}: {error.strerror}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Accepted sockets inherit this option, so that even their first bytes have timestamps.
        timestamps.enable(listener)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise UsageError(
            f"cannot listen on {host}:{port}: {error.strerror}; --port 0 picks a free one"
        ) from None
    return listener
