"""Client connection. Its requests are handled one after another, each by a new relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from enum import Enum
from functools import partial
from math import inf
from time import monotonic
from typing import cast

from undam.gateway.body.inspection import BodyInspection
from undam.gateway.body.request_body import RequestBody
from undam.gateway.http.client_address import parse_proxy_header
from undam.gateway.http.error_responses import error_body
from undam.gateway.http.headers import ForwardedHead, own_head
from undam.gateway.http.response_writer import ResponseWriter
from undam.gateway.interfaces import EndReason, RequestRecord
from undam.gateway.policy.request_info import (
    depends_on_body,
    malformed_request_info,
    read_request_info,
    set_fields,
)
from undam.gateway.relay.gateway_context import GatewayContext
from undam.gateway.relay.outgoing_request import OutgoingRequest
from undam.gateway.relay.race import RequestContext
from undam.gateway.relay.response_relay import ResponseRelay
from undam.http1.headers import without_hop_by_hop
from undam.http1.request_parser import CONTINUE, BadRequest, RequestHead, RequestParser
from undam.http1.sockets import detect_dead_peer, limit_unsent, reset_on_close

# Maximum size of pipelined requests. Above it, the connection is reset. Reading cannot be paused
# instead, because the gateway would then not detect a client disconnect.
_MAX_PIPELINED_BYTES = 256 << 10
# Maximum buffered size of the body of a request that waits in the admission queue. Reading is
# paused above this size.
_QUEUED_BODY_BYTES = 256 << 10
# Number of inspection steps that are run at once: enough for a body of one segment. For longer
# bodies, the event loop runs the steps.
_STEPS_AT_ONCE = 4
# Limits on the pauses of a refused client that continues to send, and on the total time. If the
# connection were closed immediately, the client could receive a reset instead of the response.
_LINGER_S = 2.0
_MAX_LINGER_S = 30.0


class ClientState(Enum):
    """State of a client connection."""

    IDLE = "idle"
    """No request head has been parsed."""
    READING = "reading"
    """The body of the request is being read into memory."""
    RELAYING = "relaying"
    """The body of the request has been read completely."""
    TUNNELING = "tunneling"
    """Client and upstream have switched to another protocol, whose data is passed on."""
    UPLOADING = "uploading"
    """The body of the request is passed on while it arrives."""
    LINGERING = "lingering"
    """The last response was sent, and incoming data is discarded."""
    CLOSING = "closing"
    """The connection closes once all data has been sent."""


_BODY_ARRIVES = frozenset({ClientState.READING, ClientState.UPLOADING})
_MAY_PAUSE = _BODY_ARRIVES | {ClientState.TUNNELING}
_BUSY = _MAY_PAUSE | {ClientState.RELAYING}


class ClientConnection(asyncio.Protocol):
    """Connection from one client.

    Args:
        context: state shared by all connections of the loop.
        connections: the open connections; this connection adds itself to them.
    """

    __slots__ = (
        "_address", "_body", "_connections", "_context", "_deadline", "_head", "_inspecting",
        "_inspection", "_linger_until", "_parser", "_proxy_header", "_reading_paused", "_relay",
        "_secure", "_state", "_transport", "_writing_paused", "closed", "next_deadline",
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
        self._body: RequestBody | None = None
        # Inspection of the current body, and whether the event loop is running the inspection.
        self._inspection: BodyInspection | None = None
        self._inspecting = False
        # Deadline of the current state while there is no relay.
        self._deadline = self._linger_until = inf
        self._reading_paused = self._writing_paused = False
        # `connection_made` sets the transport before any other callback.
        self._transport = cast("asyncio.Transport", None)
        self._address = ""
        # The received part of the PROXY header; `None` if the header is complete or not expected.
        self._proxy_header: bytes | None = b"" if context.proxy_protocol else None
        self._secure = False

    @property
    def busy(self) -> bool:
        """True while a request is in flight or its body is being read."""
        return self._state in _BUSY

    # Methods that the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not subclasses of asyncio.Transport.
        self._transport = transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        limits = self._context.limits
        limit_unsent(transport, limits.client_buffer_bytes)
        # A client that has stopped reading is handled by the send timeout.
        send_s = limits.send_timeout_s
        detect_dead_peer(transport, None if send_s is None else send_s + limits.user_timeout_s)
        self._connections.add(self)
        self._set_deadline(self._context.limits.request_timeout_s)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is ClientState.LINGERING:
            self._deadline = min(monotonic() + _LINGER_S, self._linger_until)
            return
        if state is ClientState.TUNNELING:
            if self._relay is not None:
                self._relay.tunnel_data(data)
            return
        if self._proxy_header is not None:
            data = self._read_proxy_header(data)
            if not data:
                return
        parser = self._parser
        parser.receive_data(data)
        if state is ClientState.UPLOADING:
            self._read_body()
        elif state is ClientState.RELAYING or self._writing_paused:
            if parser.unparsed_bytes > _MAX_PIPELINED_BYTES:
                self.reset()
        elif state is ClientState.READING:
            self._read_body()
        else:
            # Handling a request takes as long as forwarding ten tokens. Tokens that arrived in the
            # same loop iteration are therefore forwarded first.
            self._context.loop.call_soon(self._next_request)

    def _read_proxy_header(self, data: bytes) -> bytes:
        """Read the PROXY protocol header, and return the data after it."""
        assert self._proxy_header is not None
        self._proxy_header += data
        try:
            if not self._context.trusted_proxies.trusts(self._address):
                raise ValueError("the peer that sent a PROXY header is not a trusted proxy")
            found = parse_proxy_header(self._proxy_header)
        except ValueError as error:
            self._refuse(BadRequest(400, str(error)))
            return b""
        if found is None:
            return b""
        address, end = found
        data, self._proxy_header = self._proxy_header[end:], None
        self._address = address or self._address
        return data

    def eof_received(self) -> None:
        # As in nginx and Go, a half-closed connection counts as closed. It cannot be distinguished
        # from the connection of a disconnected client, for which every token would be wasted. A
        # request that arrived just before is still parsed, so that a malformed request receives an
        # error response.
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
            if self._state is ClientState.READING and self._parser.unparsed_bytes:
                self._read_body()
        elif self._parser.unparsed_bytes:
            self._next_request()

    # Requests.

    def _next_request(self) -> None:
        """Parse the head of the next request, and start its relay."""
        if self._state is not ClientState.IDLE or self.closed or self._transport.is_closing():
            return
        try:
            self._head = head = self._parser.head()
            if head is None:
                return
            if head.upgrade.startswith(b"websocket"):
                head.check_handshake()
            else:
                head.upgrade = b""
            piece, complete = self._parser.body()
        except BadRequest as error:
            self._refuse(error)
            return
        self._start_relay(head, piece, complete=complete)

    def _start_relay(self, head: RequestHead, piece: bytes, *, complete: bool) -> None:
        """Start the relay for a request, which is admitted or refused before its body is read."""
        context, now = self._context, monotonic()
        headers, head.headers = without_hop_by_hop(head.headers), []
        client = context.trusted_proxies.client(self._address, headers)
        info = read_request_info(head, headers, client=client)
        if client != self._address:
            info.peer = self._address
        record = RequestRecord(info, now)
        writer = ResponseWriter(
            self._transport, head, record,
            request_id=info.request_id, keep=not context.draining, now=now,
        )  # fmt: skip
        if (origin := info.get(b"origin")) is not None:
            writer.cross_origin = context.cors.for_origin(origin)
        body = RequestBody(context.budget, chunked=head.length is None, now=now)
        body.add(piece, now, complete=complete)
        writer.request_body = body
        secure = self._secure

        def build_head() -> ForwardedHead:
            if not body.passed_on:
                head.length = body.size
            return ForwardedHead(head, info, secure=secure, tracing=record.tracing)

        request = OutgoingRequest(build_head, body, is_head=head.method == "HEAD")
        request.upgrade = bool(head.upgrade)
        # If the upstream does not switch protocols, the client may still send data of the other
        # protocol, which must not be parsed as a request.
        writer.keep = writer.keep and not head.upgrade
        request_context = RequestContext(
            context.router, context.observer, context.limits, context.pool, info
        )
        self._body, self._inspection, self._inspecting = body, None, False
        self._state = ClientState.RELAYING if complete else ClientState.READING
        self._relay = relay = ResponseRelay(self, request_context, record, writer, request)
        relay.start()
        if self._relay is not relay:
            return  # The gateway refused the request or answered it itself.
        if depends_on_body(info):
            self._inspection = BodyInspection(info.get(b"content-encoding") or b"")
            self._inspection.add(piece)
        if relay.admitted:
            self.request_admitted()
        else:
            self._proceed()
        if self._relay is relay:
            self.schedule(min(body.deadline(), relay.next_deadline()))

    def request_admitted(self) -> None:
        """Read the body of the admitted request, and send the request as soon as possible."""
        head, body = self._head, self._body
        assert head is not None
        assert body is not None
        if head.expects_continue and not (body.size or body.complete):
            self._transport.write(CONTINUE)
        self.pause_request(False)
        self._proceed()

    def _read_body(self) -> None:
        """Move the received part of the body from the parser to the body buffer."""
        body, relay = self._body, self._relay
        if body is None or relay is None:
            return
        try:
            piece, complete = self._parser.body()
        except BadRequest as error:
            relay.bad_request_body(error.status, str(error))
            return
        now = monotonic()
        body.add(piece, now, complete=complete)
        if complete:
            self._state = ClientState.RELAYING
            if not relay.sent:
                relay.record.started_at = now
        if self._inspection is not None:
            self._inspection.add(piece)
        if relay.sent:
            relay.send_more_body()
        if not relay.admitted and body.held_bytes > _QUEUED_BODY_BYTES:
            # Reading is paused because the memory is needed for admitted requests.
            self.pause_request(True)
        self._proceed()

    def _proceed(self) -> None:
        """Inspect the body, and send the request if this is possible now."""
        relay, body, inspection = self._relay, self._body, self._inspection
        if relay is None or body is None:
            return
        if inspection is not None and not self._inspecting:
            # A short body is inspected at once.
            for _ in range(_STEPS_AT_ONCE):
                if not inspection.step():
                    break
            else:
                self._inspecting = True
                self._context.steps.put(partial(self._inspect, inspection))
        if body.complete and not self._inspecting and (relay.admitted or relay.sent):
            self._inspection = None
            if inspection is not None:
                set_fields(relay.info, inspection.finish(), repeatable=not relay.sent)
            if not relay.sent:
                relay.send()
        elif inspection is not None:
            set_fields(relay.info, inspection.fields, repeatable=False)
        if (
            relay.admitted
            and not (relay.sent or body.complete)
            and (self._context.budget.is_short_for(body.held_bytes))
        ):
            self._state = ClientState.UPLOADING
            body.passed_on = True
            relay.send()

    def _inspect(self, inspection: BodyInspection) -> bool:
        """Run one step of an inspection; return whether it needs more steps."""
        if inspection is not self._inspection:
            return False  # The request for this inspection has ended.
        if inspection.step():
            return True
        self._inspecting = False
        self._proceed()
        return False

    def _refuse(self, error: BadRequest) -> None:
        """Send an error response for a malformed request, and then close the connection."""
        now = monotonic()
        head = self._head or error.head
        client = self._context.trusted_proxies.client(self._address, head.headers if head else [])
        info = malformed_request_info(head, self._parser.partial_head, client=client)
        body = error_body(info.api, error.status, str(error), "invalid_request_error")
        lines = b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        if (origin := info.get(b"origin")) is not None:
            lines += self._context.cors.lines(origin)
        data = own_head(error.status, lines, info.request_id, b"Connection: close\r\n") + body
        self._transport.write(data)
        record = RequestRecord(info, now, status=error.status, bytes_out=len(data), ended_at=now)
        record.end_reason = EndReason.REFUSED if error.status == 501 else EndReason.BAD_REQUEST
        record.detail = str(error)
        self._context.observer.request_started(record)
        self._context.observer.request_ended(record)
        self._linger()

    def _linger(self) -> None:
        """Half-close the connection, so that the client has time to read before the close."""
        self._head = None
        self._state = ClientState.LINGERING
        self.pause_request(False)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._linger_until = monotonic() + _MAX_LINGER_S
        self._set_deadline(_LINGER_S)

    # Methods that the relay calls.

    def schedule(self, deadline: float) -> None:
        """Ensure that `on_deadline` is called at ``deadline`` or earlier."""
        self._context.timer.schedule(self, deadline)

    def defer(self, job: Callable[[], None]) -> None:
        """Run ``job`` in a few milliseconds, after pending I/O."""
        self._context.deferred.put(job)

    def response_finished(self, *, keep: bool) -> None:
        """Begin the next request if ``keep`` is true; otherwise close the connection."""
        self._relay = self._head = self._body = self._inspection = None
        complete = self._state in (ClientState.RELAYING, ClientState.TUNNELING)
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
                # `call_soon` avoids recursion for pipelined requests.
                self._context.loop.call_soon(self._next_request)
        else:
            self._close_when_sent()

    def start_tunnel(self) -> None:
        """Pass all further data to the upstream without parsing it."""
        self._state = ClientState.TUNNELING
        data = self._parser.take_unparsed()
        if data and self._relay is not None:
            self._relay.tunnel_data(data)

    def pause_request(self, paused: bool) -> None:
        """Pause or resume reading of the body."""
        allowed = self._state in _MAY_PAUSE
        if paused == self._reading_paused or (paused and not allowed) or self.closed:
            return
        self._reading_paused = paused
        now = monotonic()
        if paused:
            self._transport.pause_reading()
            if self._body is not None:
                self._body.pause(now)
            return
        self._transport.resume_reading()
        if self._body is not None:
            self._body.resume(now)
            self.schedule(self._body.deadline())

    def reset(self) -> None:
        """Reset the connection. Unsent data is lost, including data in the kernel."""
        with contextlib.suppress(OSError):
            reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()
        # The event loop calls `connection_lost` too late, so the upstream request is cancelled now.
        self._leave()

    def unsent_bytes(self) -> int:
        """Return the number of bytes that are in the write buffer, not yet sent to the client."""
        return self._transport.get_write_buffer_size()

    def _leave(self) -> None:
        if self._relay is not None:
            self._relay.client_left()

    # Methods for deadlines and for the end of the connection.

    def _set_deadline(self, seconds: float) -> None:
        self._deadline = monotonic() + seconds
        self._context.timer.schedule(self, self._deadline)

    def on_deadline(self, now: float) -> float:
        """Handle everything that is due at ``now``; return the next deadline."""
        relay, body = self._relay, self._body
        if relay is not None:
            deadline = relay.on_deadline(now)
            if relay.over or body is None:
                return deadline
            body_deadline = body.deadline()
            if now < body_deadline:
                return min(deadline, body_deadline)
            relay.bad_request_body(408, "the request body did not arrive in time")
            return inf
        if now < self._deadline:
            return self._deadline
        if self._transport.is_closing() or self._state is ClientState.LINGERING:
            self._transport.abort()
            return inf
        if self._parser.unparsed_bytes:
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
