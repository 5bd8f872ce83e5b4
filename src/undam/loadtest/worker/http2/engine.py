"""Event loop of a worker over HTTP/2: divides each read among the streams of the connection.

The kernel's timestamp of a read is the arrival of its last byte. It is exact for the stream that
the last frame belongs to. Without TLS, a read therefore ends with the next frame. With TLS, the
frames before the last one arrived after the socket was last empty, which is usually a fraction of
a millisecond earlier.
"""

from __future__ import annotations

import time

from undam.errors import RemoteProtocolError
from undam.http2.client import DataReceived, GoAwayReceived, HeadersReceived, StreamReset
from undam.loadtest.analysis.response_analyzer import EndCause, RawRead
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import ConnectionState, Fault, WorkerConnection, fault_from
from undam.loadtest.worker.engine import READ_OVERHEAD_BYTES, Engine
from undam.loadtest.worker.http2.connection import Http2WorkerConnection
from undam.loadtest.worker.http2.pool import Http2ConnectionPool
from undam.loadtest.worker.http2.request import Http2Request
from undam.loadtest.worker.schedule import DueRequest
from undam.metrics.gaps import POLL_NS
from undam.record import Head


class Http2Engine(Engine):
    """One worker's HTTP/2 requests in flight; see ``Engine``."""

    pool: Http2ConnectionPool

    def make_request(self, due: DueRequest, request: bytes, deadline_ns: int) -> ActiveRequest:
        """Return a request to pass to ``start``; ``request`` contains only the body."""
        return Http2Request(due, request, deadline_ns)

    def _read(self, connection: WorkerConnection, drained_ns: int) -> None:
        assert isinstance(connection, Http2WorkerConnection)
        was_writing = connection.wants_write
        if was_writing:
            connection.flush()
        try:
            read, stamped, fault = connection.read(drained_ns)
        except (BlockingIOError, InterruptedError):
            if connection.wants_write != was_writing:
                self.pool.watch(connection, was_writing=was_writing)
            return
        except OSError as error:
            self._break(connection, fault_from(error))
            return
        at_ns, _, late_ns, data = read
        self.late_ns = max(self.late_ns, late_ns)
        if data:
            self.received_bytes += len(data)
            connection.received_ns = at_ns
            try:
                self._receive(connection, read, stamped=stamped)
            except RemoteProtocolError as error:
                self._break(connection, ("bad-http", str(error)))
                return
            if connection.state is ConnectionState.CLOSED:
                return
            connection.flush()
            if connection.wants_write != was_writing:
                self.pool.watch(connection, was_writing=was_writing)
        if fault is not None:
            self._break(connection, fault)
        elif not data or connection.received_close_notify:
            self._closed(connection, at_ns)

    def _receive(self, connection: Http2WorkerConnection, read: RawRead, *, stamped: bool) -> None:
        """Divide a read among the streams, and end the requests that it completes."""
        at_ns, slack_ns, late_ns, data = read
        contents: dict[Http2Request, list[bytes]] = {}
        ends: list[StreamReset | GoAwayReceived] = []
        last = None
        for event in connection.receive(data):
            if isinstance(event, StreamReset | GoAwayReceived):
                ends.append(event)
            elif (active := connection.streams.get(event.stream_id)) is not None:
                last = active
                if (content := _content(active, event)) is not None:
                    contents.setdefault(active, []).append(content)
        for active, pieces in contents.items():
            active.stamped = active.stamped and stamped
            if active is not last and slack_ns > POLL_NS:
                active.blurred = True
            content = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            self.backlog_bytes += len(content) + READ_OVERHEAD_BYTES
            if active.receive((at_ns, slack_ns, late_ns, content)) or active.complete:
                self._finish_stream(connection, active, at_ns)
        for end in ends:
            if isinstance(end, StreamReset):
                self._reset(connection, end, at_ns)
            else:
                self._go_away(connection, end)
        self._apply_settings(connection)

    def _apply_settings(self, connection: Http2WorkerConnection) -> None:
        """Send the requests that were waiting for the server's settings."""
        if (limit := connection.stream_limit) is not None and limit < self.pool.streams:
            self.stream_limit = self.pool.streams = limit
        for active in connection.open_waiting():
            self._send(active, self.pool.send)
        if connection.retired:
            self.pool.update(connection)

    def _finish_stream(
        self, connection: Http2WorkerConnection, active: Http2Request, at_ns: int
    ) -> None:
        """End a request whose response is complete or invalid."""
        if active.fault is not None:
            connection.cancel(active)
            self._end(active, at_ns, EndCause.FAULT, active.fault)
        else:
            connection.remove(active)
            active.framing.complete = True
            self._end(active, at_ns, EndCause.COMPLETE)
        self.pool.update(connection)

    def _reset(self, connection: Http2WorkerConnection, reset: StreamReset, at_ns: int) -> None:
        active = connection.streams.get(reset.stream_id)
        if active is None:
            return
        connection.remove(active)
        name = reset.code.lower().replace("_", "-").replace(" ", "-")
        fault = (f"rst-{name}", f"the server reset the stream (RST_STREAM {reset.code})")
        if reset.code == "REFUSED_STREAM" and not active.size:
            self._refuse(active, fault)
        else:
            self._end(active, at_ns, EndCause.FAULT, fault)
        self.pool.update(connection)

    def _go_away(self, connection: Http2WorkerConnection, goaway: GoAwayReceived) -> None:
        self.goaways += connection.goaway is None
        connection.goaway = goaway
        streams = connection.streams.values()
        refused = [one for one in streams if one.stream_id > goaway.last_stream_id]
        for active in refused:
            connection.remove(active)
        self.pool.retire(connection)
        for active in refused:
            self._refuse(active, _goaway_fault(goaway))

    def _refuse(self, active: Http2Request, fault: Fault) -> None:
        """Resend a request that the server has certainly not processed (RFC 9113, 8.7)."""
        self.refused_streams += 1
        if active.resent:
            self._end(active, time.time_ns(), EndCause.FAULT, fault)
        else:
            self._resend(active)

    def _break(self, connection: WorkerConnection, fault: Fault) -> None:
        assert isinstance(connection, Http2WorkerConnection)
        if fault[0] == "reset" and connection.goaway is not None:
            fault = _goaway_fault(connection.goaway)
        super()._break(connection, fault)

    def _closed(self, connection: WorkerConnection, at_ns: int) -> None:
        assert isinstance(connection, Http2WorkerConnection)
        if connection.goaway is not None and connection.streams:
            self._break(connection, _goaway_fault(connection.goaway))
        else:
            super()._closed(connection, at_ns)

    def _cancel(self, late: list[ActiveRequest]) -> None:
        for active in late:
            assert isinstance(active, Http2Request)
            connection = active.connection
            if not isinstance(connection, Http2WorkerConnection):
                continue
            connection.cancel(active)
            if connection.received_ns < (active.started_ns or 0):
                # Nothing has arrived on this connection since the request was sent, so it may be
                # dead.
                self.pool.retire(connection)
            else:
                self.pool.update(connection)


def _content(active: Http2Request, event: DataReceived | HeadersReceived) -> bytes | None:
    """Return the content of an event, or ``None`` for an interim response head.

    The final head has no content, and is passed to ``active``.

    Raises:
        RemoteProtocolError: the head is invalid or missing.
    """
    active.complete = event.ended
    if isinstance(event, DataReceived):
        if active.framing.head is None:
            raise RemoteProtocolError("the server sent data before the response head")
        return event.data
    if event.kind == "response":
        active.receive_head(_head_from(event.fields))
    return None if event.kind == "interim" else b""


def _head_from(fields: tuple[tuple[str, str], ...]) -> Head:
    status = next((value for name, value in fields if name == ":status"), "")
    if not (status.isascii() and status.isdigit()):
        raise RemoteProtocolError("the response has no status")
    lines = tuple((name, value) for name, value in fields if not name.startswith(":"))
    return Head(int(status), "2", lines)


def _goaway_fault(goaway: GoAwayReceived) -> Fault:
    return "goaway", f"the server closed the connection (GOAWAY {goaway.code})"
