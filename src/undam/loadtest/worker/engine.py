"""Event loop of a worker: sends requests that are due, and reads from readable sockets.

Each iteration only sends and reads. All other work runs when no socket is ready.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from undam.errors import NetworkError
from undam.loadtest.analysis.response_analyzer import EndCause
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import ConnectionState, Fault, WorkerConnection, fault_from
from undam.loadtest.worker.pool import WorkerConnectionPool
from undam.loadtest.worker.schedule import DueRequest
from undam.poller import READABLE, WRITABLE, Poller
from undam.record.request_result import CANCELLED, LOCAL_LIMIT
from undam.wire.clock import wait_ready

NEVER_NS = 1 << 63

# Longest sleep with requests in flight. If one read returns several events, only the time at which
# the socket was last empty shows whether they arrived together or waited for this process.
MAX_SLEEP_NS = 1_000_000
# A sleep ends about 60 us late, so the last part before a request is due is spent polling.
_POLLING_NS = 80_000
_DEADLINE_CHECK_NS = 20_000_000
_MIN_EVENTS = 64
# Memory that a read uses in addition to its data. It counts toward the backlog limit, so that tiny
# reads are limited, too.
READ_OVERHEAD_BYTES = 256
# Faults after which the server has certainly not accepted the request.
_NOT_ACCEPTED = frozenset({"refused", "unreachable", LOCAL_LIMIT, "tls", "network"})


class Engine:
    """One worker's requests in flight, and the event loop that drives them.

    Attributes:
        refused_streams, goaways, stream_limit: as in ``FinalReport``.
        active: requests in flight by number, in the order in which they started.
        ended: requests that have ended and are not yet analyzed.
        drained_ns: start of the latest poll; data not readable then arrived later.
        due_ns: when the next request is due.
        late_ns: longest time that received bytes waited since this was last reset to 0.
        send_late_ns: longest delay of a due request since this was last reset to 0.

    Args:
        pool: connections, which are registered with ``poller``.
        on_end: called with each request that has ended, and whether the server did not accept it.
        on_due: called at ``due_ns``; starts the requests that are due and updates ``due_ns``.
    """

    def __init__(
        self,
        pool: WorkerConnectionPool,
        poller: Poller,
        *,
        worker: int,
        on_end: Callable[[ActiveRequest, bool], None],
        on_due: Callable[[], None],
    ) -> None:
        self.ended: deque[ActiveRequest] = deque()
        self.active: dict[int, ActiveRequest] = {}
        self.drained_ns = time.time_ns()
        self.due_ns = NEVER_NS
        self.late_ns = 0
        self.send_late_ns = 0
        self.resent = 0
        self.received_bytes = 0
        self.backlog_bytes = 0
        self.sleep_ns = 0
        self.refused_streams = 0
        self.goaways = 0
        self.stream_limit = 0
        self._worker = worker
        self._on_end = on_end
        self._on_due = on_due
        self._poller = poller
        self.pool = pool
        self._readers: dict[int, Callable[[], None]] = {}
        self._deadline_check_ns = 0

    def add_reader(self, fd: int, on_ready: Callable[[], None]) -> None:
        """Call ``on_ready`` whenever ``fd`` is readable."""
        self._readers[fd] = on_ready
        self._poller.register(fd, READABLE)

    def remove_reader(self, fd: int) -> None:
        """Stop watching ``fd``."""
        if self._readers.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def make_request(self, due: DueRequest, request: bytes, deadline_ns: int) -> ActiveRequest:
        """Return a request to pass to ``start``."""
        return ActiveRequest(due, request, deadline_ns)

    def start(self, active: ActiveRequest) -> None:
        """Send the request ``active`` now, on an idle connection or on a new one."""
        self.active[active.due.number] = active
        late_ns = time.time_ns() - active.due.intended_ns
        self.send_late_ns = max(self.send_late_ns, late_ns)
        self._send(active, self.pool.send)

    def stop(self) -> None:
        """End every request in flight with the cause ``STOPPED``, and close all connections."""
        now_ns = time.time_ns()
        self.pool.stop_ahead()
        for connection in self.pool:
            requests = connection.requests
            self.pool.close(connection, abort=bool(requests))
            for active in requests:
                self._end(active, now_ns, EndCause.STOPPED)

    def cancel(self, number: int) -> None:
        """Cancel a request that has not ended, to simulate a client that disconnects early."""
        active = self.active.get(number)
        if active is not None:
            self._cancel([active])
            self._end(active, time.time_ns(), EndCause.STOPPED, (CANCELLED, ""))

    def close(self) -> None:
        """Close all connections and the poller; no request may be in flight."""
        for connection in self.pool:
            self.pool.close(connection)
        self._poller.close()

    def poll(self) -> bool:
        """Read from all readable sockets, and send requests that become due in the meantime.

        Returns:
            Whether any socket was ready.
        """
        now_ns = time.time_ns()
        pool, by_fd = self.pool, self.pool.by_fd
        pool.iteration += 1
        events = self._poller.poll(0, max(_MIN_EVENTS, len(by_fd) + 8))
        drained_ns, iteration = self.drained_ns, pool.iteration
        reading, idle = ConnectionState.READING, ConnectionState.IDLE
        for fd, mask in events:
            connection = by_fd.get(fd)
            if connection is None:
                self._call_reader(fd)
            elif connection.state is reading:
                self._read(connection, drained_ns)
            elif connection.created_in == iteration:
                # The event belongs to a connection that was closed in this iteration. The new
                # connection has the same file descriptor.
                continue
            elif connection.state is idle:
                if not connection.read_while_idle():
                    self.pool.close(connection)
            else:
                self._advance(connection, mask, drained_ns)
            if time.time_ns() >= self.due_ns:
                self._on_due()
        self.drained_ns = now_ns
        if now_ns >= self._deadline_check_ns:
            self._check_deadlines(now_ns)
        return bool(events)

    def sleep(self) -> None:
        """Sleep until a socket is ready, but not past ``due_ns``.

        With requests in flight, the sleep lasts at most ``MAX_SLEEP_NS``.
        """
        now_ns = time.time_ns()
        rest_ns = MAX_SLEEP_NS if self.active else _DEADLINE_CHECK_NS
        rest_ns = min(rest_ns, self.due_ns - now_ns - _POLLING_NS)
        if rest_ns > 0:
            wait_ready(self._poller, rest_ns / 1e9)
            self.sleep_ns += time.time_ns() - now_ns

    def _call_reader(self, fd: int) -> None:
        on_ready = self._readers.get(fd)
        if on_ready is not None:
            on_ready()

    def _read(self, connection: WorkerConnection, drained_ns: int) -> None:
        try:
            read, stamped, fault = connection.read(drained_ns)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._break(connection, fault_from(error))
            return
        active = connection.active
        assert active is not None
        at_ns, _, late_ns, data = read
        self.late_ns = max(self.late_ns, late_ns)
        if data:
            self.received_bytes += len(data)
            self.backlog_bytes += len(data) + READ_OVERHEAD_BYTES
            active.stamped = active.stamped and stamped
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
        """End a request whose response is complete or invalid."""
        if active.fault is not None:
            self.pool.close(connection, abort=True)
            self._end(active, at_ns, EndCause.FAULT, active.fault)
            return
        self.pool.release(connection, keep=active.keep)
        self._end(active, at_ns, EndCause.COMPLETE)

    def _closed(self, connection: WorkerConnection, at_ns: int) -> None:
        """Handle a connection that the server has closed cleanly."""
        requests = connection.requests
        self.pool.close(connection)
        for active in requests:
            if self._may_resend(active):
                self._resend(active)
            else:
                self._end(active, at_ns, EndCause.CLOSED)

    def _break(self, connection: WorkerConnection, fault: Fault) -> None:
        requests = connection.requests
        was_connecting = connection.state is ConnectionState.CONNECTING
        self.pool.close(connection)
        if not requests:
            self.pool.stop_ahead()
        elif was_connecting and self.pool.may_try_again(connection.address):
            for active in requests:
                self._send(active, self.pool.send_again)
            return
        for active in requests:
            if fault[0] == "reset" and self._may_resend(active):
                self._resend(active)
            else:
                self._end(active, time.time_ns(), EndCause.FAULT, fault)

    @staticmethod
    def _may_resend(active: ActiveRequest) -> bool:
        # The server may close an idle connection just as a request is sent on it (RFC 9112 9.3.1).
        return active.pooled and not active.size and not active.resent

    def _resend(self, active: ActiveRequest) -> None:
        active.resent = True
        self.resent += 1
        self._send(active, self.pool.send_again)

    def _send(self, active: ActiveRequest, send: Callable[[ActiveRequest], None]) -> None:
        try:
            send(active)
        except OSError as error:
            self._end(active, time.time_ns(), EndCause.FAULT, fault_from(error))

    def _advance(self, connection: WorkerConnection, mask: int, drained_ns: int) -> None:
        if connection.state is ConnectionState.SENDING and mask & ~WRITABLE:
            # The server has responded before the request is fully sent, usually with an error
            # status.
            self._read(connection, drained_ns)
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
        self, active: ActiveRequest, at_ns: int, cause: EndCause, fault: Fault = ("", "")
    ) -> None:
        active.end(self._worker, at_ns, cause, fault)
        del self.active[active.due.number]
        self.ended.append(active)
        self._on_end(active, not active.size and fault[0] in _NOT_ACCEPTED)

    def _check_deadlines(self, now_ns: int) -> None:
        self._deadline_check_ns = now_ns + _DEADLINE_CHECK_NS
        # All requests have the same timeout, so the order of their starts is the order of their
        # deadlines.
        late = []
        for active in self.active.values():
            if active.deadline_ns > now_ns:
                break
            late.append(active)
        if late:
            self._cancel(late)
        for active in late:
            message = "the response did not end in time (--timeout)"
            self._end(active, now_ns, EndCause.FAULT, ("timeout", message))

    def _cancel(self, late: list[ActiveRequest]) -> None:
        """Make the server stop processing these requests."""
        numbers = {active.due.number for active in late}
        for connection in self.pool:
            if connection.active is not None and connection.active.due.number in numbers:
                self.pool.close(connection, abort=True)
