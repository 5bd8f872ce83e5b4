"""Table of TCP connections that converts segments to finished streams, with bounded memory."""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass

from undam.tap.capture.segments import ACK, FIN, RST, SYN, Segment, endpoints, reverse
from undam.tap.estimates import OpaqueTurn, turns_of
from undam.tap.http.http1 import RequestTracker, ResponseTracker
from undam.tap.http.http2 import Http2Tracker
from undam.tap.http.http2_frames import looks_like_frames
from undam.tap.http.streams import CapturedStream
from undam.tap.reassembly import Direction, Piece
from undam.tap.tls import KeyLog, TlsReader

# A busy proxy has a few thousand connections. Above this limit, the oldest idle one is dropped.
_MAX_CONNECTIONS = 20_000
# Several CPUs or interfaces may deliver packets a few ms in the wrong order.
_CLOCK_STEP_NS = 1_000_000_000
_CLIENT_STARTS = (b"GET ", b"POST", b"PUT ", b"PATC", b"DELE", b"HEAD", b"OPTI", b"CONN", b"PRI ")
_HTTP2_PREFACE = b"PRI * HTTP/2.0"
# Header of an empty or short SETTINGS frame on stream 0, which is a server's first frame.
_HTTP2_SETTINGS = re.compile(rb"\x00\x00[\x00-\xff]\x04\x00\x00\x00\x00\x00", re.DOTALL)
_TLS_HANDSHAKE = b"\x16\x03"
_CLIENT_HELLO = re.compile(rb"\x16\x03[\x00-\x04]..\x01", re.DOTALL)


@dataclass(slots=True)
class TableStats:
    """Counters for a capture.

    Attributes:
        segments: TCP segments with payload, SYN, FIN or RST, and acknowledgements.
        gaps, lost_bytes: number and total size of gaps that were received but not captured.
        copies: packets that were captured twice, on two interfaces.
        http2: connections that use HTTP/2 and were not decoded, at least not to their end.
        tls: connections that use TLS without a key.
        dropped: connections that were dropped because too many were open.
        passed_over: HTTP responses that are not streams.
        clock_step_ns: longest time by which a packet of a connection was earlier than the packet
            before it, if packets in the wrong order do not explain it.
    """

    segments: int = 0
    gaps: int = 0
    lost_bytes: int = 0
    copies: int = 0
    retransmitted: int = 0
    http2: int = 0
    tls: int = 0
    dropped: int = 0
    passed_over: int = 0
    clock_step_ns: int = 0


class _Connection:
    """Both directions of a connection, and its HTTP parsers once client and server are known."""

    __slots__ = (
        "client_flow", "directions", "kind", "last_ns", "opposite", "requests", "responses",
        "server_flow", "tls",
    )  # fmt: skip

    def __init__(self, flow: bytes) -> None:
        back, forward, backward = reverse(flow), Direction(), Direction()
        self.directions = {flow: forward, back: backward}
        self.opposite = {flow: backward, back: forward}
        self.client_flow = b""
        self.server_flow = b""
        self.kind = ""
        self.last_ns = 0
        self.tls: TlsReader | None = None
        self.requests: RequestTracker | None = None
        self.responses: ResponseTracker | Http2Tracker | None = None

    def set_client(self, flow: bytes) -> None:
        """Set the flow in which the client sends its requests."""
        self.client_flow, self.server_flow = flow, reverse(flow)
        client, server = endpoints(flow)
        self.requests = RequestTracker()
        self.responses = ResponseTracker(client, server, self.requests)

    def use_http2(self) -> None:
        """Parse this connection as HTTP/2 from its beginning."""
        self.kind = "http2"
        self.responses = Http2Tracker(*endpoints(self.client_flow))

    def receive_piece(self, piece: Piece, *, from_client: bool) -> None:
        """Parse a piece of data with the parser for this connection's protocol."""
        if isinstance(self.responses, Http2Tracker):
            self.responses.receive_piece(piece, from_client=from_client)
        elif from_client and self.requests is not None:
            self.requests.receive_piece(piece)
        elif self.responses is not None:
            self.responses.receive_piece(piece)


class ConnectionTable:
    """All connections in a capture.

    Args:
        keys: secrets of TLS connections; ``None`` without a key log.

    Attributes:
        last_ns: time of the last segment.
    """

    def __init__(self, keys: KeyLog | None = None) -> None:
        self._keys = keys
        self._turns: list[OpaqueTurn] = []
        self.stats = TableStats()
        self.last_ns = 0
        self._by_flow: dict[bytes, _Connection] = {}
        self._open: OrderedDict[int, _Connection] = OrderedDict()
        self._finished: list[CapturedStream] = []

    def receive_segment(self, segment: Segment) -> bool:
        """Process one segment; return whether its connection is encrypted."""
        self.stats.segments += 1
        at_ns, flow, _, ack, flags, window, _, _, _ = segment
        self.last_ns = max(self.last_ns, at_ns)
        connection = self._by_flow.get(flow)
        if connection is not None and flags & (SYN | ACK) == SYN and connection.last_ns:
            known = connection.directions[flow]
            is_new = known.first_seq not in (None, segment.seq)
            if is_new or known.ended is not None or connection.responses is None:
                self._close(connection, at_ns)
                connection = None
        if connection is None:
            if flags & RST:
                return False
            connection = self._add(flow)
        if connection.last_ns - at_ns > _CLOCK_STEP_NS:
            self.stats.clock_step_ns = max(self.stats.clock_step_ns, connection.last_ns - at_ns)
        connection.last_ns = at_ns
        if not connection.client_flow:
            self._find_client(connection, segment)
        direction = connection.directions[flow]
        was_open = direction.ended is None
        pieces = direction.receive_segment(segment)
        if pieces:
            self._deliver(connection, flow, pieces)
        if flags & ACK:
            pieces = connection.opposite[flow].receive_ack(ack, window, at_ns)
            if pieces:
                self._deliver(connection, reverse(flow), pieces)
        if flags & (FIN | RST) or (was_open and direction.ended is not None):
            self._check_end(connection, flow, at_ns)
        return connection.tls is not None

    @property
    def has_finished(self) -> bool:
        """True if streams have ended since the last call of `take_finished`."""
        return bool(self._finished)

    def take_finished(self) -> list[CapturedStream]:
        """Return the streams that have ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def take_turns(self) -> list[OpaqueTurn]:
        """Return the TLS requests and responses that have ended since the last call."""
        turns, self._turns = self._turns, []
        return turns

    def open_streams(self) -> list[CapturedStream]:
        """Return the streams that are still open."""
        parsers = [one.responses for one in self._open.values() if one.responses is not None]
        return [stream for parser in parsers for stream in parser.open_streams]

    def finish(self) -> None:
        """End all connections, because the capture has ended."""
        for connection in list(self._open.values()):
            self._close(connection, self.last_ns)

    def _add(self, flow: bytes) -> _Connection:
        if len(self._open) >= _MAX_CONNECTIONS:
            self.stats.dropped += 1
            self._close(next(iter(self._open.values())), self.last_ns)
        connection = _Connection(flow)
        for one in connection.directions:
            self._by_flow[one] = connection
        self._open[id(connection)] = connection
        return connection

    def _find_client(self, connection: _Connection, segment: Segment) -> None:
        """Determine the client from the handshake or, without one, from the first payload."""
        payload = segment.payload
        if segment.flags & SYN:
            is_client = not segment.flags & ACK
        elif payload.startswith(_CLIENT_STARTS) or _CLIENT_HELLO.match(payload):
            is_client = True
        elif payload.startswith(b"HTTP/1.") or payload.find(b"\r\nHTTP/1.") >= 0:
            is_client = False
        elif payload:
            # If the capture begins in the middle of a message, the end with the smaller port is
            # taken as the server.
            source, destination = endpoints(segment.flow)
            is_client = source.port > destination.port
        else:
            return
        connection.set_client(segment.flow if is_client else reverse(segment.flow))

    def _deliver(self, connection: _Connection, flow: bytes, pieces: list[Piece]) -> None:
        if connection.kind == "other" or connection.responses is None:
            return
        from_client = flow == connection.client_flow
        if not connection.kind:
            connection.kind = self._kind(connection, pieces)
            if connection.kind == "other":
                return
        if connection.tls is not None:
            pieces = [
                plain
                for piece in pieces
                for plain in connection.tls.receive_piece(piece, from_client=from_client)
            ]
            if connection.kind == "tls" and pieces and _begins_http2(pieces[0].data):
                connection.use_http2()
        for piece in pieces:
            connection.receive_piece(piece, from_client=from_client)
        if connection.responses.finished:
            self._collect(connection)

    def _kind(self, connection: _Connection, pieces: list[Piece]) -> str:
        data = next((piece.data for piece in pieces if piece.data), b"")
        if _begins_http2(data):
            connection.use_http2()
            return "http2"
        if data.startswith(_TLS_HANDSHAKE):
            connection.tls = TlsReader(self._keys)
            return "tls"
        if looks_like_frames(data):
            self.stats.http2 += 1
            return "other"
        return "http1"

    def _collect(self, connection: _Connection) -> None:
        assert connection.responses is not None
        stats = connection.directions[connection.server_flow].stats
        for stream in connection.responses.finished:
            stream.retransmitted = stats.retransmitted
            stream.zero_windows += stats.zero_windows
            stream.encrypted = connection.tls is not None
            self._finished.append(stream)
        connection.responses.finished.clear()

    def _check_end(self, connection: _Connection, flow: bytes, at_ns: int) -> None:
        """End open streams if the connection's end completes them; drop closed connections."""
        direction = connection.directions[flow]
        if direction.ended is None:
            return
        responses = connection.responses
        is_over = all(one.ended is not None for one in connection.directions.values())
        if responses is not None and responses.open_streams:
            from_server = flow == connection.server_flow
            client = connection.directions[connection.client_flow]
            if client.ended is not None and from_server:
                # The client closed the connection first, and the server followed.
                responses.finish(client.ended_ns, by=client.ended, from_server=False)
            elif from_server or direction.ended == "rst":
                responses.finish(at_ns, by=direction.ended, from_server=from_server)
            # A client may stop sending and still read, so its FIN alone does not end the stream.
            self._collect(connection)
        if is_over:
            self._close(connection, at_ns)

    def _close(self, connection: _Connection, at_ns: int) -> None:
        for flow, direction in connection.directions.items():
            pieces = direction.finish()
            if pieces:
                self._deliver(connection, flow, pieces)
        if connection.responses is not None:
            connection.responses.finish(at_ns, by="capture", from_server=False)
            self._collect(connection)
            self.stats.passed_over += connection.responses.passed_over
            if isinstance(connection.responses, Http2Tracker):
                self.stats.http2 += connection.responses.is_broken
        if connection.tls is not None and not connection.tls.is_decrypted:
            self.stats.tls += 1
            self._turns += turns_of(*endpoints(connection.client_flow), connection.tls.sizes)
        for flow, direction in connection.directions.items():
            self.stats.gaps += direction.stats.gaps
            self.stats.lost_bytes += direction.stats.lost_bytes
            self.stats.copies += direction.stats.copies
            self.stats.retransmitted += direction.stats.retransmitted
            if self._by_flow.get(flow) is connection:
                del self._by_flow[flow]
        self._open.pop(id(connection), None)


def _begins_http2(data: bytes) -> bool:
    """Return whether ``data``, the first data in a direction, begins an HTTP/2 connection."""
    return data.startswith(_HTTP2_PREFACE) or _HTTP2_SETTINGS.match(data) is not None
