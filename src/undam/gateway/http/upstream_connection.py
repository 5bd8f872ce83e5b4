"""Connection to one upstream, for one request at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Protocol, cast

from undam.gateway.http.fast_path import FastPath
from undam.gateway.http.headers import ResponseHead
from undam.gateway.http.upstream_response import ResponsePhase, UpstreamResponse
from undam.gateway.interfaces import Upstream
from undam.http1.sockets import detect_dead_peer

_BODY = ResponsePhase.BODY
# Maximum time for which data sent to an upstream may remain unacknowledged.
_USER_TIMEOUT_S = 90.0


class ResponseReceiver(Protocol):
    """Receiver of one response. Its methods are called in order and may abort the connection."""

    def head_received(self, head: ResponseHead, now: float) -> None:
        """Handle the final head; interim (1xx) responses are dropped."""
        ...

    def body_received(self, data: bytes, now: float) -> None:
        """Handle the body bytes of one read, without framing."""
        ...

    def response_complete(self) -> None:
        """Handle the end of the response. The connection may already serve another request."""
        ...

    def connection_lost(self, why: str, *, started: bool, sent: bool) -> None:
        """Handle a broken connection or an invalid response.

        Args:
            started: some bytes of the response had arrived.
            sent: the whole request was sent, so the upstream may have processed it.
        """
        ...

    def request_paused(self, paused: bool) -> None:
        """Pause or resume sending of the request body."""
        ...


class ConnectionOwner(Protocol):
    """Interface of the pool that keeps connections for reuse."""

    def connection_idle(self, connection: UpstreamConnection) -> None:
        """Accept a connection that can serve another request."""
        ...

    def connection_closed(self, connection: UpstreamConnection) -> None:
        """Remove a connection that was closed."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """Protocol for one socket to ``upstream``.

    Attributes:
        fast_path: set by the receiver once the response may take the fast path.
        idle_since: time at which the connection became idle; set by the owner.
    """

    __slots__ = (
        "_forward", "_max_head_bytes", "_next_piece", "_owner", "_paused", "_receiver",
        "_response", "_single_use", "_writing_paused", "closed", "fast_path", "idle_since",
        "transport", "upstream",
    )  # fmt: skip

    def __init__(self, upstream: Upstream, owner: ConnectionOwner, max_head_bytes: int) -> None:
        self.upstream = upstream
        self.closed = False
        self.idle_since = 0.0
        self.transport: asyncio.Transport | None = None
        self.fast_path: FastPath | None = None
        # `forward` method of the fast path while the fast path is active. A cached bound method is
        # faster to call.
        self._forward: Callable[[bytes], bool] | None = None
        self._owner = owner
        self._max_head_bytes = max_head_bytes
        self._receiver: ResponseReceiver | None = None
        self._response: UpstreamResponse | None = None
        self._paused = False
        self._writing_paused = False
        self._single_use = False
        # Function that returns the next part of the request body.
        self._next_piece: Callable[[], bytes] | None = None

    @property
    def response_complete(self) -> bool:
        """True if the end of the response was parsed; it is reported after the body."""
        return self._response is not None and self._response.complete

    @property
    def writing_paused(self) -> bool:
        """True while the upstream does not read the request fast enough."""
        return self._writing_paused

    def begin(
        self,
        receiver: ResponseReceiver,
        head: bytes,
        next_piece: Callable[[], bytes] = bytes,
        *,
        without_body: bool,
        single_use: bool,
        upgrade: bool = False,
    ) -> None:
        """Send a request; the response is passed to ``receiver``.

        Args:
            next_piece: returns the next part of the request's body, or nothing if there is none at
                present. By default, the request has no body.
            without_body: the request is a HEAD request, so the response has no body.
            single_use: close the connection afterwards, because more of the request's body may
                follow after the response is complete.
            upgrade: the request asks for another protocol.
        """
        assert self.transport is not None
        self._single_use = single_use
        self._receiver = receiver
        self.transport.write(head + next_piece())
        self._next_piece = next_piece
        self.send_body()
        # The parser is created while the request is in transit, so that its creation delays
        # nothing.
        self._response = UpstreamResponse(
            self._max_head_bytes, without_body=without_body, upgrade=upgrade
        )

    def send_body(self) -> None:
        """Send the available part of the request body, unless the upstream reads too slowly."""
        transport, next_piece = self.transport, self._next_piece
        if transport is None or next_piece is None:
            return
        while not self._writing_paused and (piece := next_piece()):
            transport.write(piece)

    def write(self, data: bytes) -> None:
        """Send data in the protocol that the upstream has switched to."""
        if self.transport is not None and not self.closed:
            self.transport.write(data)

    def abort(self) -> None:
        """Close the connection immediately, without notifying the receiver."""
        self._detach()
        self.closed = True
        if self.transport is not None:
            self.transport.abort()

    def pause(self) -> None:
        """Stop reading."""
        if not self._paused and self.transport is not None and not self.closed:
            self._paused = True
            self.transport.pause_reading()

    def resume(self) -> None:
        """Continue reading."""
        if self._paused and self.transport is not None and not self.closed:
            self._paused = False
            self.transport.resume_reading()

    # Callbacks that the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio.Transport.
        self.transport = cast("asyncio.Transport", transport)
        detect_dead_peer(self.transport, _USER_TIMEOUT_S)

    def data_received(self, data: bytes) -> None:
        forward = self._forward
        if forward is None or not forward(data):
            self._parse(data)

    def eof_received(self) -> None:
        """Return a false value, so that the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._owner.connection_closed(self)
        response = self._response
        receiver = self._detach()
        if receiver is None or response is None:
            return
        if exc is None and response.ends_with_connection:
            receiver.response_complete()
        else:
            why = "the upstream closed the connection" if exc is None else f"connection lost: {exc}"
            receiver.connection_lost(why, started=response.started, sent=not self._writing_paused)

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self._receiver is not None:
            self._receiver.request_paused(True)

    def resume_writing(self) -> None:
        self._writing_paused = False
        self.send_body()
        if self._receiver is not None and not self._writing_paused:
            self._receiver.request_paused(False)

    def _parse(self, data: bytes) -> None:
        self._forward = None
        receiver, response = self._receiver, self._response
        if receiver is None or response is None:
            self.abort()  # The upstream sent data although no request was in progress.
            return
        now = monotonic()
        had_head = response.head is not None
        body = response.receive_data(data)
        if not had_head and response.head is not None:
            receiver.head_received(response.head, now)
        if body and self._receiver is receiver:
            receiver.body_received(body, now)
        if self._receiver is not receiver:
            return
        if response.phase is _BODY:
            fast_path = self.fast_path
            if (
                fast_path is not None
                and response.between_chunks
                and data.endswith(b"\r\n")
                and fast_path.framer is not None
                and fast_path.framer.at_boundary
            ):
                self._forward = fast_path.forward
        elif response.complete:
            self._finish(receiver, response)
        elif response.error:
            self.abort()
            receiver.connection_lost(response.error, started=True, sent=True)

    def _finish(self, receiver: ResponseReceiver, response: UpstreamResponse) -> None:
        # The upstream may respond before it has read the whole request.
        transport = self.transport
        assert transport is not None
        sent = not (self._writing_paused or transport.get_write_buffer_size())
        self._detach()
        self.resume()
        if response.reusable and sent and not self._single_use:
            self._owner.connection_idle(self)
        else:
            self.abort()
        receiver.response_complete()

    def _detach(self) -> ResponseReceiver | None:
        """Clear the current request and return its receiver."""
        receiver, self._receiver = self._receiver, None
        response, self._response = self._response, None
        if response is not None:
            response.close()
        self.fast_path = self._forward = self._next_piece = None
        return receiver
