"""The loop of a worker: requests that are due are sent, and what waits to be read is read.

Between two looks at all sockets nothing else is done than that; what can wait waits for a moment
in which no socket is ready.
"""

from __future__ import annotations

import select
import time
from collections import deque
from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT
from typing import TYPE_CHECKING

from undam.errors import NetworkError
from undam.loadtest.analysis.response_analyzer import EndCause
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import (
    Address,
    ConnectionState,
    Fault,
    WorkerConnection,
    fault_from,
)
from undam.loadtest.worker.pool import WorkerConnectionPool
from undam.wire.clock import wait_readable
from undam.wire.timestamps import READ_BYTES

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

NEVER_NS = 1 << 63

# How long to sleep at most with answers on their way. A read with several events in it can only be
# told from several that waited for this program by when the socket was last seen empty.
LONGEST_SLEEP_NS = 1_000_000
# A sleep ends some 60 us late, so the last of it before a request is due is spent awake.
_AWAKE_NS = 80_000
_LOOK_AT_DEADLINES_NS = 20_000_000
_FEWEST_EVENTS = 64
# What a read costs in memory beside its bytes, so that tiny reads are bounded too.
READ_OVERHEAD_BYTES = 256
# Faults that say that nobody took the request.
_UNTAKEN = frozenset({"refused", "unreachable", "local-limit", "tls", "network"})


class Engine:
    """The exchanges of one worker, and the loop that serves them.

    Attributes:
        live: exchanges under way, by their number, in the order in which they began.
        over: exchanges that have ended, for the judge.
        clear_ns: when all sockets were last seen; what was not readable then came later.
        due_ns: when a request is due next.
        late_ns: the longest that bytes have waited since this was last set to 0.
        send_late_ns: the same for a request that was due.

    Args:
        on_over: called for each exchange that has ended, with whether nobody took it.
        on_due: called at ``due_ns``, to start what is due and set it anew.
        pump: makes what speaks TLS, for each connection; ``None`` in the clear.
    """

    def __init__(
        self,
        addresses: tuple[Address, ...],
        *,
        worker: int,
        keep_alive: bool,
        pump: Callable[[], TlsEngine] | None,
        on_over: Callable[[ActiveRequest, bool], None],
        on_due: Callable[[], None],
    ) -> None:
        self.over: deque[ActiveRequest] = deque()
        self.live: dict[int, ActiveRequest] = {}
        self.clear_ns = time.time_ns()
        self.due_ns = NEVER_NS
        self.late_ns = 0
        self.send_late_ns = 0
        self.resent = 0
        self.received_bytes = 0
        self.backlog_bytes = 0
        self.sleep_ns = 0
        self._worker = worker
        self._on_over = on_over
        self._on_due = on_due
        self._epoll = select.epoll()
        self.pool = WorkerConnectionPool(addresses, self._epoll, pump, keep_alive=keep_alive)
        self._others: dict[int, Callable[[], None]] = {}
        self._deadlines_ns = 0

    def watch(self, fd: int, on_ready: Callable[[], None]) -> None:
        """Call ``on_ready`` when ``fd`` is readable."""
        self._others[fd] = on_ready
        self._epoll.register(fd, EPOLLIN)

    def forget(self, fd: int) -> None:
        """Watch it no more."""
        if self._others.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def start(self, active: ActiveRequest) -> None:
        """Send the request of ``active`` now, on a connection that is idle or on a new one."""
        self.live[active.due.number] = active
        late_ns = time.time_ns() - active.due.intended_ns
        self.send_late_ns = max(self.send_late_ns, late_ns)
        self._send(active, self.pool.send)

    def stop(self) -> None:
        """End every exchange as stopped, and close every connection."""
        now_ns = time.time_ns()
        self.pool.stop_ahead()
        for connection in self.pool:
            active = connection.active
            self.pool.close(connection, abort=active is not None)
            if active is not None:
                self._end(active, now_ns, EndCause.STOPPED)

    def close(self) -> None:
        """Close every connection and the loop itself; exchanges must have ended."""
        for connection in self.pool:
            self.pool.close(connection)
        self._epoll.close()

    def turn(self) -> bool:
        """Read all that is there, sending what becomes due meanwhile; whether there was any."""
        now_ns = time.time_ns()
        pool, by_fd = self.pool, self.pool.by_fd
        pool.turn += 1
        events = self._epoll.poll(0, max(_FEWEST_EVENTS, len(by_fd) + 8))
        clear_ns, turn = self.clear_ns, pool.turn
        reading, idle = ConnectionState.READING, ConnectionState.IDLE
        for fd, mask in events:
            connection = by_fd.get(fd)
            if connection is None:
                self._ready(fd)
            elif connection.state is reading:
                self._read(connection, clear_ns)
            elif connection.born == turn:
                # The event was for another, closed in this turn, that had the same number.
                continue
            elif connection.state is idle:
                self.pool.close(connection)
            else:
                self._advance(connection, mask, clear_ns)
            if time.time_ns() >= self.due_ns:
                self._on_due()
        self.clear_ns = now_ns
        if now_ns >= self._deadlines_ns:
            self._check_deadlines(now_ns)
        return bool(events)

    def sleep(self) -> None:
        """Wait for any socket, but neither past ``due_ns`` nor, with exchanges, for long."""
        now_ns = time.time_ns()
        rest_ns = LONGEST_SLEEP_NS if self.live else _LOOK_AT_DEADLINES_NS
        rest_ns = min(rest_ns, self.due_ns - now_ns - _AWAKE_NS)
        if rest_ns > 0:
            wait_readable(self._epoll.fileno(), rest_ns / 1e9)
            self.sleep_ns += time.time_ns() - now_ns

    def _ready(self, fd: int) -> None:
        other = self._others.get(fd)
        if other is not None:
            other()

    def _read(self, connection: WorkerConnection, clear_ns: int) -> None:
        try:
            data, at_ns, now_ns, stamped = connection.read()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._break(connection, fault_from(error))
            return
        active = connection.active
        assert active is not None
        fault = None
        # Behind a full read there may be more that came before the sockets were last seen.
        clear_ns = connection.clear_ns or clear_ns
        connection.clear_ns = clear_ns if len(data) == READ_BYTES else 0
        if connection.uses_tls:
            size = len(data)
            data, fault = connection.plain(data)
            if size and not data and fault is None and not connection.received_close_notify:
                return
        late_ns = now_ns - at_ns
        self.late_ns = max(self.late_ns, late_ns)
        if data:
            self.received_bytes += len(data)
            self.backlog_bytes += len(data) + READ_OVERHEAD_BYTES
            active.stamped = active.stamped and stamped
            slack_ns = at_ns - clear_ns
            read = (at_ns, max(0, slack_ns), max(0, late_ns), data)
            if active.receive(read):
                self._finish(connection, active, at_ns)
                return
            if fault is None and not connection.received_close_notify:
                return
        if fault is not None:
            self._break(connection, fault)
        else:
            self._closed(connection, at_ns)

    def _finish(self, connection: WorkerConnection, active: ActiveRequest, at_ns: int) -> None:
        """The answer is over, and the connection perhaps free."""
        if active.fault is not None:
            self.pool.close(connection, abort=True)
            self._end(active, at_ns, EndCause.FAULT, active.fault)
            return
        self.pool.release(connection, keep=active.keep)
        self._end(active, at_ns, EndCause.COMPLETE)

    def _closed(self, connection: WorkerConnection, at_ns: int) -> None:
        """The server has closed in good order."""
        active = connection.active
        if active is not None and self._may_resend(connection, active):
            self._resend(connection, active)
            return
        self.pool.close(connection)
        if active is not None:
            self._end(active, at_ns, EndCause.CLOSED)

    def _break(self, connection: WorkerConnection, fault: Fault) -> None:
        active = connection.active
        was_connecting = connection.state is ConnectionState.CONNECTING
        if active is not None and fault[0] == "reset" and self._may_resend(connection, active):
            self._resend(connection, active)
            return
        self.pool.close(connection)
        if active is None:
            self.pool.stop_ahead()
        elif was_connecting and self.pool.may_try_again(connection.address):
            self._send(active, self.pool.open)
        else:
            self._end(active, time.time_ns(), EndCause.FAULT, fault)

    @staticmethod
    def _may_resend(connection: WorkerConnection, active: ActiveRequest) -> bool:
        # RFC 9112 9.3.1: a kept connection may be closed just as a request is sent on it.
        return connection.pooled and not active.size and not active.resent

    def _resend(self, connection: WorkerConnection, active: ActiveRequest) -> None:
        self.pool.close(connection)
        active.resent = True
        self.resent += 1
        self._send(active, self.pool.open)

    def _send(self, active: ActiveRequest, how: Callable[[ActiveRequest], None]) -> None:
        try:
            how(active)
        except OSError as error:
            self._end(active, time.time_ns(), EndCause.FAULT, fault_from(error))

    def _advance(self, connection: WorkerConnection, mask: int, clear_ns: int) -> None:
        if connection.state is ConnectionState.SENDING and mask & ~EPOLLOUT:
            # An answer before the request is sent: a refusal, as a rule.
            self._read(connection, clear_ns)
            return
        was_writing = connection.wants_write
        try:
            connection.advance()
        except OSError as error:
            self._break(connection, fault_from(error))
        except NetworkError as error:
            self._break(connection, ("tls", str(error)))
        else:
            self.pool.watch(connection, was_writing=was_writing)

    def _end(
        self, active: ActiveRequest, at_ns: int, how: EndCause, fault: Fault = ("", "")
    ) -> None:
        active.end(self._worker, at_ns, how, fault)
        del self.live[active.due.number]
        self.over.append(active)
        self._on_over(active, not active.size and fault[0] in _UNTAKEN)

    def _check_deadlines(self, now_ns: int) -> None:
        self._deadlines_ns = now_ns + _LOOK_AT_DEADLINES_NS
        # All have the same time, so they are in order.
        late = []
        for active in self.live.values():
            if active.deadline_ns > now_ns:
                break
            late.append(active)
        if not late:
            return
        numbers = {active.due.number for active in late}
        for connection in self.pool:
            exchange_of = connection.active
            if exchange_of is not None and exchange_of.due.number in numbers:
                self.pool.close(connection, abort=True)
                said = "the answer was not over in time (--timeout)"
                self._end(exchange_of, now_ns, EndCause.FAULT, ("timeout", said))
