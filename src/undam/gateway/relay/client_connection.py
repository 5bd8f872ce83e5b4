"""Client connection, whose requests are handled one after another, each by its own relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum
from math import inf
from time import monotonic
from typing import cast

from undam.apis import PLAIN, api_for_path
from undam.gateway.http.error_responses import error_body
from undam.gateway.http.headers import ForwardedHead, own_head
from undam.gateway.http.response_writer import ResponseWriter
from undam.gateway.interfaces import EndReason, RequestRecord
from undam.gateway.policy.request_info import read_request_info
from undam.gateway.relay.gateway_context import GatewayContext
from undam.gateway.relay.outgoing_request import OutgoingRequest
from undam.gateway.relay.race import RequestContext
from undam.gateway.relay.response_relay import ResponseRelay
from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.http1.headers import without_hop_by_hop
from undam.http1.request_parser import CONTINUE, BadRequest, RequestHead, RequestParser
from undam.http1.sockets import limit_unsent, reset_on_close

# Maximum size of pipelined requests, above which the connection is reset. Reading cannot be paused,
# because the gateway would then not detect a client disconnect.
_MAX_PIPELINED_BYTES = 256 << 10
# Time for which a refused client may continue to send, so that it receives the response and not a
# reset.
_LINGER_S = 2.0


class ClientState(Enum):
    """State of a client connection."""

    IDLE = "idle"
    """No request head has been parsed."""
    READING = "reading"
    """The body of the request is being read into memory."""
    RELAYING = "relaying"
    """A relay handles the request, whose body has been read completely."""
    UPLOADING = "uploading"
    """A relay handles the request while its body is still arriving."""
    LINGERING = "lingering"
    """The last response was sent, and incoming data is discarded."""
    CLOSING = "closing"
    """The connection closes once all data has been sent."""


_RELAYED = frozenset({ClientState.RELAYING, ClientState.UPLOADING})


class ClientConnection(asyncio.Protocol):
    """One connection of a client.

    Args:
        context: state shared by all connections of the loop.
        connections: the open connections; this connection adds itself to them.
    """

    __slots__ = (
        "_address", "_body", "_body_bytes", "_connections", "_context", "_deadline", "_head",
        "_parser", "_reading_paused", "_relay", "_secure", "_state", "_transport",
        "_writing_paused", "closed", "next_deadline",
    )  # fmt: skip

    def __init__(self, context: GatewayContext, connections: set[ClientConnection]) -> None:
        self.closed = False
        self.next_deadline = inf
        self._context = context
        self._connections = connections
        limits = context.limits
        self._parser = RequestParser(limits.max_head_bytes, limits.max_body_bytes)
        self._state = ClientState.IDLE
        self._relay: ResponseRelay | None = None
        self._head: RequestHead | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        # Deadline of the current state, unless a relay sets the deadlines.
        self._deadline = inf
        self._reading_paused = self._writing_paused = False
        # `connection_made` sets the transport before any other callback.
        self._transport = cast("asyncio.Transport", None)
        self._address = ""
        self._secure = False

    @property
    def busy(self) -> bool:
        """True while a request is in flight or its body is being read."""
        return self._state is ClientState.READING or self._state in _RELAYED

    # Callbacks of the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio.Transport.
        self._transport = transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        limit_unsent(transport, self._context.limits.client_buffer_bytes)
        self._connections.add(self)
        self._set_deadline(self._context.limits.request_timeout_s)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is ClientState.LINGERING:
            return
        parser = self._parser
        parser.receive_data(data)
        if state is ClientState.UPLOADING:
            self._parse()
        elif state is ClientState.RELAYING or self._writing_paused:
            if parser.unparsed_bytes > _MAX_PIPELINED_BYTES:
                self.reset()
        elif state is ClientState.READING:
            self._parse()
        else:
            # Handling a request takes as long as forwarding ten tokens, so tokens that arrived in
            # the same loop iteration are forwarded first.
            self._context.loop.call_soon(self._next_request)

    def eof_received(self) -> None:
        # As in nginx and Go, a half-closed connection counts as closed. It cannot be distinguished
        # from a client that has disconnected, for which every token would be wasted. A request that
        # arrived just before is still parsed, so that an error response is sent if it is malformed.
        self._next_request()
        if self._relay is not None:
            self.reset()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._connections.discard(self)
        self._context.timer.cancel(self)
        self._leave()
        self._context.request_finished.set()

    def pause_writing(self) -> None:
        self._writing_paused = True
        if self._relay is not None:
            self._relay.client_paused(True)

    def resume_writing(self) -> None:
        self._writing_paused = False
        if self._relay is not None:
            self._relay.client_paused(False)
        elif self._state is ClientState.READING:
            self._parse()
        elif self._parser.unparsed_bytes:
            self._next_request()

    # Requests.

    def _next_request(self) -> None:
        if self._state is ClientState.IDLE and not (self.closed or self._transport.is_closing()):
            self._parse()

    def _parse(self) -> None:
        """Parse the received part of the current request, or of the next request."""
        try:
            if self._state is ClientState.IDLE:
                self._head = self._parser.head()
                if self._head is None:
                    return
                self._state = ClientState.READING
                if self._head.upgrade.startswith(b"websocket"):
                    raise BadRequest(501, "WebSocket is not supported; use the streaming API")
                if self._head.expects_continue and not self._parser.unparsed_bytes:
                    self._transport.write(CONTINUE)
            piece, complete = self._parser.body()
        except BadRequest as error:
            self._refuse(error)
            return
        self._deadline = monotonic() + self._context.limits.request_timeout_s
        if self._state is ClientState.UPLOADING:
            self._upload(piece, complete=complete)
            return
        if piece:
            self._body.append(piece)
            self._body_bytes += len(piece)
        if complete:
            self._start_relay(complete=True)
            return
        self._context.timer.schedule(self, self._deadline)
        if self._body_bytes > self._context.limits.buffer_body_bytes:
            self._start_relay(complete=False)

    def _start_relay(self, *, complete: bool) -> None:
        context, head = self._context, self._head
        assert head is not None
        now = monotonic()
        body = b"".join(self._body)
        self._body, self._body_bytes = [], 0
        self._state = ClientState.RELAYING if complete else ClientState.UPLOADING
        chunked = head.length is None
        if complete:
            head.length = len(body)
        headers, head.headers = without_hop_by_hop(head.headers), []
        info = read_request_info(head, headers, body, client=self._address, whole=complete)
        record = RequestRecord(info, now)
        writer = ResponseWriter(
            self._transport, head, record,
            request_id=info.request_id, keep=not context.draining, now=now,
        )  # fmt: skip
        if not complete:
            self.pause_request(True)
            if chunked:
                body = encode_chunk(body)
        secure = self._secure
        request = OutgoingRequest(
            lambda: ForwardedHead(head, info, secure=secure, tracing=record.tracing), body,
            is_head=head.method == "HEAD", repeatable=info.repeatable, body_complete=complete,
        )  # fmt: skip
        request_context = RequestContext(
            context.router, context.observer, context.limits, context.pool, info
        )
        self._relay = ResponseRelay(self, request_context, record, writer, request)
        self._relay.start()

    def _upload(self, piece: bytes, *, complete: bool) -> None:
        """Forward more of a request body that is streamed to the upstream."""
        relay, head = self._relay, self._head
        assert head is not None
        if relay is None:
            return
        if head.length is None:
            piece = encode_chunk(piece) if piece else b""
            piece += LAST_CHUNK if complete else b""
        if complete:
            self._state = ClientState.RELAYING
        if piece:
            relay.add_request_body(piece)

    def _refuse(self, error: BadRequest) -> None:
        """Send an error response for a malformed request, and then close the connection."""
        if self._relay is not None:
            self._relay.bad_request_body(error.status, str(error))
            return
        head = self._head
        api = PLAIN if head is None else api_for_path(head.target.partition("?")[0])
        body = error_body(api, error.status, str(error), "invalid_request_error")
        lines = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        data = own_head(error.status, lines, "", b"Connection: close\r\n") + body
        self._transport.write(data)
        now = monotonic()
        record = RequestRecord(None, now, status=error.status, bytes_out=len(data), ended_at=now)
        record.end_reason = EndReason.REFUSED if error.status == 501 else EndReason.BAD_REQUEST
        record.detail = str(error)
        self._context.observer.request_started(record)
        self._context.observer.request_ended(record)
        self._linger()

    def _linger(self) -> None:
        """Half-close the connection, and give the client time to read before the close."""
        self._head = None
        self._state = ClientState.LINGERING
        self.pause_request(False)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._set_deadline(_LINGER_S)

    # Calls of the relay.

    def schedule(self, deadline: float) -> None:
        """Ensure that `on_deadline` is called at ``deadline`` or earlier."""
        self._context.timer.schedule(self, deadline)

    def defer(self, job: Callable[[], None]) -> None:
        """Run ``job`` in a few milliseconds, after pending I/O."""
        self._context.deferred.put(job)

    def response_finished(self, *, keep: bool) -> None:
        """Take the next request, or close the connection if ``keep`` is false."""
        self._relay = self._head = None
        complete = self._state is ClientState.RELAYING
        self._state = ClientState.IDLE
        self._context.request_finished.set()
        if self.closed or self._transport.is_closing():
            return
        self.pause_request(False)
        if not complete:
            self._linger()
        elif keep and not self._context.draining:
            self._set_deadline(self._context.limits.keep_alive_s)
            # A client that does not read its responses receives no further responses.
            if self._parser.unparsed_bytes and not self._writing_paused:
                # `call_soon` avoids recursion with pipelined requests.
                self._context.loop.call_soon(self._next_request)
        else:
            self._close_when_sent()

    def pause_request(self, paused: bool) -> None:
        """Pause reading of a streamed request body, or resume it."""
        uploading = self._state is ClientState.UPLOADING
        if paused != self._reading_paused and (uploading or not paused) and not self.closed:
            self._reading_paused = paused
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def reset(self) -> None:
        """Reset the connection. Unsent data is lost, including data in the kernel."""
        with contextlib.suppress(OSError):
            reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()
        # The loop calls `connection_lost` only later, so the upstream is cancelled here.
        self._leave()

    def unsent_bytes(self) -> int:
        """Return the number of bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def _leave(self) -> None:
        if self._relay is not None:
            self._relay.client_left()

    # Deadlines and the end.

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._context.timer.schedule(self, self._deadline)

    def on_deadline(self, now: float) -> float:
        """Handle everything that is due at ``now``; return the next deadline."""
        relay = self._relay
        if relay is not None:
            deadline = relay.on_deadline(now)
            if self._state is not ClientState.UPLOADING or self._reading_paused or relay.over:
                return deadline
            if now < self._deadline:
                return min(deadline, self._deadline)
            relay.bad_request_body(408, "the request body did not arrive in time")
            return inf
        if now < self._deadline:
            return self._deadline
        if self._transport.is_closing() or self._state is ClientState.LINGERING:
            self._transport.abort()
            return inf
        if self._state is ClientState.READING or self._parser.unparsed_bytes:
            self._refuse(BadRequest(408, "the request did not arrive in time"))
        else:
            self._close_when_sent()
        return self._deadline

    def _close_when_sent(self) -> None:
        """Close the connection when all data was sent or the client has stopped reading."""
        self._state = ClientState.CLOSING
        self._transport.close()
        self._set_deadline(self._context.limits.send_timeout_s or inf)

    def close_if_idle(self) -> None:
        """Close the connection unless a request has started."""
        if self._state is ClientState.IDLE and not self._parser.unparsed_bytes:
            self._close_when_sent()

    def shut_down(self) -> None:
        """End the request in flight and close the connection."""
        if self._relay is not None:
            self._relay.shut_down()
        else:
            self._transport.close()

    def close(self) -> None:
        """Close the connection; data already written is still sent if possible."""
        self._transport.close()
