"""HTTP/2 client connection. Each stream is served like an HTTP/1.1 connection.

A browser allows six connections per host with HTTP/1.1, and thus six streams. With HTTP/2, streams
share one connection. The request of a stream is passed to a `ClientConnection` of its own, so
admission, limits, heartbeats, cancellation and drain are those of HTTP/1.1. The frames of a body
are built here, because the state machine of h2 would take longer than all other work per token.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import deque
from math import inf
from time import monotonic
from typing import Any, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError, StreamClosedError
from h2.settings import SettingCodes, Settings
from hyperframe.frame import Frame, GoAwayFrame

from undam.gateway.http.response_splitter import ResponseSplitter
from undam.gateway.interfaces import EndReason, RequestRecord
from undam.gateway.policy.request_info import malformed_request_info
from undam.gateway.relay.client_connection import ClientConnection
from undam.gateway.relay.gateway_context import GatewayContext
from undam.http1.chunked import LAST_CHUNK, encode_chunk
from undam.http1.sockets import detect_dead_peer

MAX_STREAMS = 100
"""Maximum number of concurrent streams of one connection."""

_WINDOW_BYTES = 1 << 20
_MAX_HEADER_LIST_BYTES = 32 << 10
# Limit on cancelled streams. A client that cancels many streams at once makes the server work
# without reading any response (CVE-2023-44487). Each response that ends allows one more
# cancellation.
_MAX_RESETS = 200
# Limit on unsent bytes. Stream data is not sent while the client reads nothing, so only answers to
# control frames, such as PING, can accumulate above it (CVE-2019-9512, CVE-2019-9515).
_MAX_UNSENT_BYTES = 1 << 20
_UNSAFE = re.compile(rb"[\r\n\x00]")
_QUOTED = re.compile(r":? b['\"]")
_LOW_WATER_SHARE = 4


class _ServerConnection(H2Connection):
    """State of an HTTP/2 connection that remains usable after an orderly GOAWAY of the client.

    The client sends GOAWAY when it will open no further streams, for instance Node.js in `close()`.
    Its open streams continue (RFC 9113, 6.8), whereas h2 would refuse to send anything more.
    """

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        if frame.error_code != ErrorCodes.NO_ERROR:
            return super()._receive_goaway_frame(frame)
        event = ConnectionTerminated()
        event.error_code = ErrorCodes.NO_ERROR
        return [], [event]


class _Stream:
    """Transport for one stream, as `ClientConnection` expects it."""

    def __init__(self, session: Http2Session, number: int, *, without_body: bool) -> None:
        self.number = number
        self.client: ClientConnection | None = None
        self.chunked = False
        self.splitter = ResponseSplitter(without_body=without_body)
        self.unsent: deque[bytes] = deque()
        self.unsent_bytes = 0
        self.closing = False
        self.reading_paused = False
        self.unread: list[tuple[bytes, int]] = []
        self.request_ended = False
        self._session = session
        self._high_water = 64 << 10
        self._writing_paused = False
        # Socket options cannot be set for a single stream.
        self.family = 0

    # Methods of `asyncio.Transport`.

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self if name == "socket" else self._session.get_extra_info(name, default)

    def setsockopt(self, *_: object) -> None: ...

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is not None:
            self._high_water = high

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading_paused = True

    def resume_reading(self) -> None:
        self.reading_paused = False
        self._session.deliver(self)

    def write(self, data: bytes) -> None:
        headers, body = self.splitter.receive_data(data)
        if body:
            self.unsent.append(body)
            self.unsent_bytes += len(body)
        self._session.respond(self, headers)
        if self.unsent_bytes > self._high_water and not self._writing_paused:
            self._writing_paused = True
            if self.client is not None:
                self.client.pause_writing()

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            self._session.respond(self, None)

    def abort(self) -> None:
        self.closing = True
        self._session.reset(self)

    def sent(self) -> None:
        """Resume writing if most of the buffered data has been sent."""
        if self._writing_paused and self.unsent_bytes <= self._high_water // _LOW_WATER_SHARE:
            self._writing_paused = False
            if self.client is not None:
                self.client.resume_writing()


class Http2Session(asyncio.Protocol):
    """Client connection that uses HTTP/2.

    Args:
        context: state shared by all connections of the loop.
        connections: the open connections; each stream adds itself to them.
    """

    def __init__(self, context: GatewayContext, connections: set[ClientConnection]) -> None:
        self.closed = False
        self.next_deadline = inf
        self._context = context
        self._connections = connections
        self._h2 = _ServerConnection(H2Configuration(client_side=False, header_encoding=None))
        self._streams: dict[int, _Stream] = {}
        self._idle_since = monotonic()
        self._blocked = False
        self._resets = 0
        self._draining = False
        self._transport = cast("asyncio.Transport", None)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return information about the connection."""
        return self._transport.get_extra_info(name, default)

    # Methods that the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport = cast("asyncio.Transport", transport)
        detect_dead_peer(transport, None)
        # `Settings.update` would not apply these values until the client has acknowledged other
        # settings.
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: MAX_STREAMS,
                SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW_BYTES,
                SettingCodes.MAX_HEADER_LIST_SIZE: _MAX_HEADER_LIST_BYTES,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(_WINDOW_BYTES)
        self._flush()
        self._context.sessions.add(self)
        self._context.timer.schedule(self, monotonic() + self._context.limits.request_timeout_s)

    def data_received(self, data: bytes) -> None:
        try:
            for event in self._h2.receive_data(data):
                self._handle(event)
        except ProtocolError as error:
            # h2 quotes the header after the reason. It may contain a key.
            self._report_malformed(_QUOTED.split(str(error), maxsplit=1)[0])
            self._flush()
            self._end()
            return
        self._flush()

    def eof_received(self) -> None:
        """Return a false value, so that the transport closes itself."""

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._context.sessions.discard(self)
        self._context.timer.cancel(self)
        for stream in list(self._streams.values()):
            self._remove(stream)

    def pause_writing(self) -> None:
        self._blocked = True

    def resume_writing(self) -> None:
        self._blocked = False
        self._send_unsent()

    # Handlers for the events of the HTTP/2 connection.

    def _handle(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, DataReceived):
            stream = self._streams.get(event.stream_id or 0)
            size = event.flow_controlled_length or 0
            if stream is None:
                self._h2.acknowledge_received_data(size, event.stream_id or 0)
            elif size:
                stream.unread.append((event.data or b"", size))
                self.deliver(stream)
        elif isinstance(event, StreamEnded):
            stream = self._streams.get(event.stream_id or 0)
            if stream is not None:
                stream.request_ended = True
                self.deliver(stream)
        elif isinstance(event, StreamReset):
            self._cancel(event.stream_id or 0)
        elif isinstance(event, WindowUpdated):
            self._send_unsent()
        elif isinstance(event, ConnectionTerminated):
            if event.error_code == ErrorCodes.NO_ERROR:
                self.drain()
            else:
                self._end()

    def _cancel(self, number: int) -> None:
        """Cancel the request of a stream that the client has reset."""
        stream = self._streams.get(number)
        if stream is not None:
            self._resets += 1
            self._remove(stream)
        if self._resets > _MAX_RESETS:
            self._h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM)
            self._report_malformed("the client cancelled too many streams")
            self._flush()
            self._transport.abort()

    def _begin(self, event: RequestReceived) -> None:
        number = event.stream_id or 0
        if self._draining:
            self._h2.reset_stream(number, ErrorCodes.REFUSED_STREAM)
            return
        headers = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        head, chunked = _request_head(headers, ended=event.stream_ended is not None)
        stream = _Stream(self, number, without_body=head.startswith(b"HEAD "))
        stream.chunked = chunked
        self._streams[number] = stream
        if not head:
            self._report_malformed("the headers are malformed")
            self.reset(stream, ErrorCodes.PROTOCOL_ERROR)
            return
        stream.client = client = ClientConnection(self._context, self._connections)
        client.connection_made(cast("asyncio.BaseTransport", stream))
        client.data_received(head)

    def deliver(self, stream: _Stream) -> None:
        """Pass the received part of a request body to the stream's client connection."""
        client = stream.client
        while stream.unread and not stream.reading_paused:
            data, size = stream.unread.pop(0)
            if data and client is not None:
                client.data_received(encode_chunk(data) if stream.chunked else data)
            if size and stream.number in self._streams:
                self._h2.acknowledge_received_data(size, stream.number)
        if stream.request_ended and not stream.unread and stream.chunked and client is not None:
            stream.chunked = False
            client.data_received(LAST_CHUNK)
        self._flush()

    # Responses.

    def respond(self, stream: _Stream, headers: list[tuple[bytes, bytes]] | None) -> None:
        """Send headers, and as much of the body as the client's flow control allows."""
        if self.closed or stream.number not in self._streams:
            return
        if headers is not None:
            ended = stream.splitter.ended and not stream.unsent
            self._h2.send_headers(stream.number, headers, end_stream=ended)
            self._flush()
            if ended:
                self._finish(stream)
                return
        self._send_body(stream)

    def _send_body(self, stream: _Stream) -> None:
        frames: list[bytes] = []
        unsent = stream.unsent
        state = self._h2.streams.get(stream.number)
        while unsent and not self._blocked and state is not None:
            window = min(
                self._h2.outbound_flow_control_window,
                state.outbound_flow_control_window,
                self._h2.max_outbound_frame_size,
            )
            if window <= 0:
                break
            piece = unsent[0]
            if len(piece) <= window:
                unsent.popleft()
            else:
                piece, unsent[0] = piece[:window], piece[window:]
            size = len(piece)
            self._h2.outbound_flow_control_window -= size
            state.outbound_flow_control_window -= size
            stream.unsent_bytes -= size
            # Frame header: length (24 bits), type DATA, no flags, stream (RFC 9113, 4.1).
            frames += size.to_bytes(3, "big"), b"\0\0", stream.number.to_bytes(4, "big"), piece
        if frames:
            self._transport.write(b"".join(frames))
            stream.sent()
        if not stream.unsent:
            if stream.splitter.ended:
                self._h2.end_stream(stream.number)
                self._finish(stream)
            elif stream.closing:
                # The response was cut off, so the client must not treat it as complete.
                self.reset(stream)

    def _send_unsent(self) -> None:
        for stream in list(self._streams.values()):
            if stream.unsent:
                self._send_body(stream)

    def _finish(self, stream: _Stream) -> None:
        """End a stream whose response is complete."""
        self._resets = max(0, self._resets - 1)
        if not stream.request_ended and stream.number in self._streams:
            self._h2.reset_stream(stream.number, ErrorCodes.NO_ERROR)
        self._flush()
        del self._streams[stream.number]
        self._after_stream()
        if stream.client is not None:
            # The relay has written the end of its response, but is still running.
            self._context.loop.call_soon(stream.client.connection_lost, None)

    def reset(self, stream: _Stream, code: ErrorCodes = ErrorCodes.INTERNAL_ERROR) -> None:
        """Reset a stream whose response is incomplete."""
        if stream.number in self._streams and not self.closed:
            # The client may have reset the stream in data that was not handled yet.
            with contextlib.suppress(StreamClosedError):
                self._h2.reset_stream(stream.number, code)
            self._flush()
        self._remove(stream)

    def _remove(self, stream: _Stream) -> None:
        if self._streams.pop(stream.number, None) is None:
            return
        stream.closing = True
        self._after_stream()
        if stream.client is not None:
            self._context.loop.call_soon(stream.client.connection_lost, None)

    def _after_stream(self) -> None:
        if not self._streams:
            self._idle_since = monotonic()
            limit_s = self._context.limits.keep_alive_s
            self._context.timer.schedule(self, self._idle_since + limit_s)
            if self._draining or self._context.draining:
                self.drain()

    def _flush(self) -> None:
        data = self._h2.data_to_send()
        if data and not self.closed:
            self._transport.write(data)
            if self._blocked and self._transport.get_write_buffer_size() > _MAX_UNSENT_BYTES:
                self._transport.abort()

    def _report_malformed(self, detail: str) -> None:
        """Report data that is not a valid request; no response was sent."""
        peer = self.get_extra_info("peername")
        client = str(peer[0]) if isinstance(peer, tuple) else ""
        now = monotonic()
        info = malformed_request_info(None, b"", client=client)
        record = RequestRecord(info, now, status=400, ended_at=now, detail=detail)
        record.end_reason = EndReason.BAD_REQUEST
        self._context.observer.request_started(record)
        self._context.observer.request_ended(record)

    def _end(self) -> None:
        """Close the connection after an error, and cancel its requests."""
        for stream in list(self._streams.values()):
            self._remove(stream)
        self._transport.close()

    # Methods for deadlines and for the end of the connection.

    def on_deadline(self, now: float) -> float:
        """Close the connection if it has been idle for too long; return the next deadline."""
        if self._streams:
            return inf
        deadline = self._idle_since + self._context.limits.keep_alive_s
        if now < deadline:
            return deadline
        self.drain()
        return inf

    def drain(self) -> None:
        """Accept no further streams, and close the connection when none is open.

        GOAWAY is sent only then, because some clients give up their open streams when they get it.
        """
        self._draining = True
        if not (self._streams or self.closed):
            self._h2.close_connection()
            self._flush()
            self._transport.close()

    def close(self) -> None:
        """Close the connection; data already written is still sent if possible."""
        self._transport.close()


class TlsConnection(asyncio.Protocol):
    """New TLS connection, before it is known whether the client uses HTTP/2 or HTTP/1.1."""

    def __init__(self, context: GatewayContext, connections: set[ClientConnection]) -> None:
        self._context = context
        self._connections = connections

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        tls = transport.get_extra_info("ssl_object")
        chosen = tls.selected_alpn_protocol() if tls is not None else None
        kind = Http2Session if chosen == "h2" else ClientConnection
        protocol = kind(self._context, self._connections)
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)


def _request_head(headers: list[tuple[bytes, bytes]], *, ended: bool) -> tuple[bytes, bool]:
    """Return an HTTP/1.1 request head, and whether the body is chunked.

    The head is empty if a header cannot be represented in HTTP/1.1 without changing its meaning.
    """
    if any(_UNSAFE.search(name) or _UNSAFE.search(value) for name, value in headers):
        return b"", False
    pseudo = {name: value for name, value in headers if name.startswith(b":")}
    fields = [pair for pair in headers if not pair[0].startswith(b":")]
    names = {name for name, _ in fields}
    if ended and any(name == b"content-length" and value != b"0" for name, value in fields):
        return b"", False
    method, path = pseudo.get(b":method", b""), pseudo.get(b":path", b"")
    if b" " in method + path or not path or names & {b"transfer-encoding", b"connection"}:
        return b"", False
    if b":authority" in pseudo:
        fields = [pair for pair in fields if pair[0] != b"host"]
        fields.insert(0, (b"host", pseudo[b":authority"]))
    cookies = [value for name, value in fields if name == b"cookie"]
    if len(cookies) > 1:  # RFC 9113, 8.2.3
        fields = [pair for pair in fields if pair[0] != b"cookie"]
        fields.append((b"cookie", b"; ".join(cookies)))
    chunked = not ended and b"content-length" not in names
    if chunked:
        fields.append((b"transfer-encoding", b"chunked"))
    lines = b"".join(b"%b: %b\r\n" % pair for pair in fields)
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, path, lines), chunked
