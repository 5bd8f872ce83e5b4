"""A client's connection: its requests, one after the other, each handed to a relay."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, cast

from undam.apis import PLAIN, api_for_path
from undam.gateway.http.error_responses import error_body
from undam.gateway.http.headers import ForwardedHead, own_head
from undam.gateway.http.response_writer import ResponseWriter
from undam.gateway.interfaces import EndReason, RequestRecord
from undam.gateway.policy.request_info import read_request_info
from undam.gateway.relay.race import Rules
from undam.gateway.relay.relay import Relay
from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.http1.headers import without_hop_by_hop
from undam.http1.request_parser import CONTINUE, BadRequest, RequestHead, RequestParser
from undam.http1.sockets import limit_unsent, reset_on_close

if TYPE_CHECKING:
    from undam.gateway.relay.app import Gateway

# Of requests that a client sends ahead; more is cut, as reading cannot pause: nobody would notice
# any more that the client has left.
_MAX_AHEAD_BYTES = 256 << 10
# How long a client that was refused may go on sending, so that it reads why instead of a reset.
_LINGER_S = 2.0


class ClientConnection(asyncio.Protocol):
    """One connection of a client; the `passing.Host` of its relay."""

    __slots__ = (
        "_address", "_body", "_body_bytes", "_discards", "_due_at", "_full", "_gateway",
        "_head", "_held", "_parser", "_relay", "_secure", "_streaming", "_transport", "closed",
        "next_deadline",
    )  # fmt: skip

    def __init__(self, gateway: Gateway) -> None:
        self.closed = False
        self.next_deadline = inf
        self._gateway = gateway
        limits = gateway.limits
        self._parser = RequestParser(limits.max_head_bytes, limits.max_body_bytes)
        self._relay: Relay | None = None
        self._head: RequestHead | None = None
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._streaming = self._discards = self._held = self._full = False

    @property
    def busy(self) -> bool:
        """A request is under way, or its body is being read."""
        return self._relay is not None or self._head is not None

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclass of it.
        self._transport = transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        limit_unsent(transport, self._gateway.limits.client_buffer_bytes)
        self._gateway.clients.add(self)
        self._wait(self._gateway.limits.request_timeout_s)

    def data_received(self, data: bytes) -> None:
        if self._discards:
            return
        parser = self._parser
        parser.receive_data(data)
        if self._streaming:
            self._advance()
        elif self._relay is None and not self._full:
            if self._head is not None:
                self._advance()
            else:
                # A request takes as long as ten tokens: those that came with it go first.
                self._gateway.loop.call_soon(self._next)
        elif parser.unparsed_bytes > _MAX_AHEAD_BYTES:
            self.cut()

    def eof_received(self) -> None:
        # Half-closed counts as gone, as with nginx and Go: a client that has left for good looks
        # the same, and every token for it is wasted. What came just before is judged yet.
        self._next()
        if self._relay is not None:
            self.cut()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        gateway = self._gateway
        gateway.clients.discard(self)
        gateway.timer.cancel(self)
        self._leave()
        gateway.request_over()

    def pause_writing(self) -> None:
        self._full = True
        if self._relay is not None:
            self._relay.client_full(True)

    def resume_writing(self) -> None:
        self._full = False
        if self._relay is not None:
            self._relay.client_full(False)
        elif self._parser.unparsed_bytes:
            self._next()

    # Requests.

    def _advance(self) -> None:
        try:
            if self._head is None:
                self._head = self._parser.head()
                if self._head is None:
                    return
                if self._head.upgrade.startswith(b"websocket"):
                    raise BadRequest(501, "WebSocket is not served here; use the streaming API")
                if self._head.expects_continue and not self._parser.unparsed_bytes:
                    self._transport.write(CONTINUE)
            piece, whole = self._parser.body()
        except BadRequest as error:
            self._refuse(error)
            return
        self._due_at = monotonic() + self._gateway.limits.request_timeout_s
        if self._streaming:
            self._stream_body(piece, whole=whole)
            return
        if piece:
            self._body.append(piece)
            self._body_bytes += len(piece)
        if whole:
            self._begin(whole=True)
            return
        self._gateway.timer.schedule(self, self._due_at)
        if self._body_bytes > self._gateway.limits.buffer_body_bytes:
            self._begin(whole=False)

    def _begin(self, *, whole: bool) -> None:
        gateway, head = self._gateway, self._head
        assert head is not None
        now = monotonic()
        body = b"".join(self._body)
        self._body, self._body_bytes, self._streaming = [], 0, not whole
        chunked = head.length is None
        if whole:
            head.length = len(body)
        headers, head.headers = without_hop_by_hop(head.headers), []
        info = read_request_info(head, headers, body, client=self._address, whole=whole)
        record = RequestRecord(info, now)
        writer = ResponseWriter(
            self._transport, head, record,
            request_id=info.request_id, keep=not gateway.draining, now=now,
        )  # fmt: skip
        rules = Rules(
            gateway.router, gateway.observer, gateway.limits, gateway.pool, info,
            repeatable=info.repeatable, whole=whole,
        )  # fmt: skip
        self._relay = relay = Relay(self, rules, record, writer)
        if not whole:
            self.hold_body(True)
            if chunked:
                body = encode_chunk(body)
        relay.start(
            lambda: ForwardedHead(head, info, secure=self._secure, tracing=record.tracing), body
        )

    def _stream_body(self, piece: bytes, *, whole: bool) -> None:
        relay, head = self._relay, self._head
        assert head is not None
        if relay is None:
            return
        if head.length is None:
            piece = encode_chunk(piece) if piece else b""
            piece += LAST_CHUNK if whole else b""
        self._streaming = not whole
        if piece:
            relay.more_body(piece)

    def _refuse(self, error: BadRequest) -> None:
        relay = self._relay
        if relay is not None:
            relay.bad_body(error.status, str(error))
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
        self._gateway.observer.began(record)
        self._gateway.observer.ended(record)
        self._linger()

    def _linger(self) -> None:
        """Say that this was all, and let the client read it before the connection is closed."""
        self._head = None
        self._discards = True
        self.hold_body(False)
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._wait(_LINGER_S)

    # What the relay calls; see `passing.Host`.

    def look_at(self, due: float) -> None:
        """See `passing.Host`."""
        self._gateway.timer.schedule(self, due)

    def defer(self, job: Callable[[], None]) -> None:
        """See `passing.Host`."""
        self._gateway.deferred.put(job)

    def relay_over(self, *, keep: bool) -> None:
        """See `passing.Host`."""
        self._relay = None
        whole, self._streaming = not self._streaming, False
        self._head = None
        self._gateway.request_over()
        if self.closed or self._transport.is_closing():
            return
        if keep and whole and not self._gateway.draining:
            self._wait(self._gateway.limits.keep_alive_s)
            # A client that takes no answers gets none to the requests that it has sent ahead.
            if self._parser.unparsed_bytes and not self._full:
                # Not from within the answer before it, which pipelined ones would nest in.
                self._gateway.loop.call_soon(self._next)
        elif not whole:
            self._linger()
        else:
            self._close()

    def _next(self) -> None:
        if self._relay is not None or self._head is not None:
            return
        if not (self.closed or self._discards or self._transport.is_closing()):
            self._advance()

    def hold_body(self, hold: bool) -> None:
        """See `passing.Host`."""
        if hold != self._held and (self._streaming or not hold) and not self.closed:
            self._held = hold
            if hold:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def cut(self) -> None:
        """See `passing.Host`."""
        with contextlib.suppress(OSError):
            reset_on_close(self._transport.get_extra_info("socket"))
        self._transport.abort()
        # The loop tells of the loss later; upstreams learn of it now.
        self._leave()

    def unsent_bytes(self) -> int:
        """See `passing.Host`."""
        return self._transport.get_write_buffer_size()

    def _leave(self) -> None:
        relay = self._relay
        if relay is not None:
            relay.client_left()
            self._relay = None

    # Time and the end.

    def _wait(self, seconds: float) -> None:
        self._due_at = monotonic() + seconds
        self._gateway.timer.schedule(self, self._due_at)

    def on_deadline(self, now: float) -> float:
        """See `pulse.Timed`."""
        relay = self._relay
        if relay is not None and not self._streaming:
            return relay.on_deadline(now)
        if relay is not None:
            due = relay.on_deadline(now)
            if self._held or relay.over:
                return due
            if now < self._due_at:
                return min(due, self._due_at)
            relay.bad_body(408, "the request's body did not come in time")
            return inf
        if now < self._due_at:
            return self._due_at
        if self._transport.is_closing() or self._discards:
            self._transport.abort()
        elif self._head is not None or self._parser.unparsed_bytes:
            self._refuse(BadRequest(408, "the request did not come in time"))
            return self._due_at
        else:
            self._close()
            return self._due_at
        return inf

    def _close(self) -> None:
        """Close the connection when what was written has left, but do not wait for ever."""
        self._transport.close()
        self._wait(self._gateway.limits.send_timeout_s or inf)

    def close_if_idle(self) -> None:
        """Close it unless a request has begun."""
        if not self.busy and not self._parser.unparsed_bytes:
            self._close()

    def shut_down(self) -> None:
        """End the request under way, and the connection."""
        if self._relay is not None:
            self._relay.shut_down()
        else:
            self._transport.close()

    def close(self) -> None:
        """Close the connection at once; what was written still leaves, as far as it can."""
        self._transport.close()
