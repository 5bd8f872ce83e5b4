"""HTTP/2 connection from a worker to the target; carries several requests at a time."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from undam.errors import NetworkError, RemoteProtocolError
from undam.http2.client import ClientEvent, GoAwayReceived, Http2Connection
from undam.loadtest.protocol import Http2Settings
from undam.loadtest.worker.active_request import ActiveRequest
from undam.loadtest.worker.connection import Address, ConnectionState, WorkerConnection
from undam.loadtest.worker.http2.request import Http2Request

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine


class Http2WorkerConnection(WorkerConnection):
    """Nonblocking socket to the target; its state is ``READING`` once it is established.

    Only one request is sent before the settings of the server arrive, because some servers close
    the connection if there are more streams than they allow. Socket errors while sending are not
    reported, because the next read returns them.

    Attributes:
        streams: requests that were sent and have not ended, by stream.
        goaway: the latest GOAWAY frame of the server.
        retired: whether this connection accepts no more requests.
        received_ns: time of the latest read.

    Raises:
        OSError: the socket cannot connect.
    """

    __slots__ = (
        "_early",
        "_http2",
        "_sending",
        "_settings",
        "_waiting",
        "goaway",
        "received_ns",
        "retired",
        "streams",
    )

    def __init__(self, address: Address, tls: TlsEngine | None, settings: Http2Settings) -> None:
        super().__init__(address, tls)
        self.streams: dict[int, Http2Request] = {}
        self.goaway: GoAwayReceived | None = None
        self.retired = False
        self.received_ns = 0
        self._settings = settings
        self._http2 = Http2Connection()
        # Requests that have no stream yet, because the connection is not established.
        self._waiting: list[Http2Request] = []
        # Requests that have not been sent completely.
        self._sending: list[Http2Request] = []
        self._early: list[ClientEvent] = []

    @property
    def requests(self) -> list[ActiveRequest]:
        """Return the requests that this connection carries."""
        return [*self.streams.values(), *self._waiting]

    @property
    def stream_limit(self) -> int | None:
        """Return the maximum number of streams that the server allows, if it is known."""
        return self._http2.max_streams

    @property
    def has_room(self) -> bool:
        """Return whether this connection can carry another request."""
        limit, most = self._http2.max_streams, self._settings.streams
        used = len(self.streams) + len(self._waiting)
        return not self.retired and used < (most if limit is None else min(limit, most))

    def assign(self, active: ActiveRequest) -> None:
        """Send the request ``active`` now, or as soon as the connection is established."""
        assert isinstance(active, Http2Request)
        active.connection = self
        if self.state is ConnectionState.READING and self._may_open_stream:
            active.pooled = not self.streams
            self._open_stream(active)
            self.flush()
        else:
            self._waiting.append(active)

    @property
    def _may_open_stream(self) -> bool:
        limit = self._http2.max_streams
        return len(self.streams) < (1 if limit is None else limit)

    def open_waiting(self) -> list[Http2Request]:
        """Send the requests that were waiting for the server's settings.

        Returns:
            Requests that this connection cannot carry.
        """
        if not self._waiting or (self._http2.max_streams is None and not self.retired):
            return []
        waiting, self._waiting = self._waiting, []
        while waiting and self._may_open_stream and not self.retired:
            self._open_stream(waiting.pop(0))
        return waiting

    def receive(self, data: bytes) -> list[ClientEvent]:
        """Return the HTTP/2 events in ``data``.

        Raises:
            RemoteProtocolError: the data is not valid HTTP/2.
        """
        events = self._http2.receive_data(data)
        if self._tls is None:
            # Limit the next read to the end of the frame, so that its kernel timestamp belongs to
            # that frame.
            self.read_bytes = self._http2.missing_bytes
        if self._early:
            events, self._early = self._early + events, []
        return events

    def remove(self, active: Http2Request) -> None:
        """Remove a request that has ended."""
        active.connection = None
        if active.stream_id:
            del self.streams[active.stream_id]
            active.stream_id = 0
        else:
            self._waiting.remove(active)

    def cancel(self, active: Http2Request) -> None:
        """Make the server stop processing a request, and remove the request."""
        if active.stream_id:
            self._http2.cancel(active.stream_id)
            self.flush()
        self.remove(active)

    def flush(self) -> None:
        """Send as many of the buffered bytes as possible."""
        data = self._http2.to_send()
        if data:
            self._out += data if self._tls is None else self._tls.encrypt(data)
        with contextlib.suppress(OSError):
            self._flush()
        if not self._out and self._sending and not self._http2.is_blocked:
            now_ns = time.time_ns()
            for active in self._sending:
                active.started_ns = now_ns
            self._sending.clear()

    def close(self, *, abort: bool = False) -> None:
        """Close at once; ``abort`` sends a reset, so that the server stops generating."""
        # Garbage collection is off, so the reference cycles are broken here.
        for active in self.requests:
            assert isinstance(active, Http2Request)
            active.connection, active.stream_id = None, 0
        self.streams.clear()
        self._waiting.clear()
        self._sending.clear()
        super().close(abort=abort)

    def _connected(self) -> None:
        if self._tls is not None:
            if self._tls.protocol != "h2":
                raise NetworkError("the server did not select HTTP/2 by ALPN", phase="tls")
            self._early = self._receive_early(self._tls.decrypt(b""))
        self.state = ConnectionState.READING
        if self._waiting:
            self._open_stream(self._waiting.pop(0))
        self.flush()

    def _receive_early(self, data: bytes) -> list[ClientEvent]:
        """Return the HTTP/2 events that arrived with the end of the TLS handshake."""
        try:
            return self._http2.receive_data(data)
        except RemoteProtocolError as error:
            raise NetworkError(str(error), phase="tls") from None

    def _open_stream(self, active: Http2Request) -> None:
        fields, body = self._settings.fields, active.request
        if body:
            fields = (*fields, (b"content-length", b"%d" % len(body)))
        active.stream_id = self._http2.request(fields, body)
        self.streams[active.stream_id] = active
        self._sending.append(active)
