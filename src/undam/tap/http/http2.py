"""HTTP/2 in reassembled TCP data: streamed responses with the times of their bytes.

Header compression has a state that begins with the connection, so a connection is decoded only if
its beginning was captured. After missing bytes, decoding continues if all of them belong to one
DATA frame. Otherwise the connection is given up, because any frame could follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import hpack

from undam.errors import RemoteProtocolError
from undam.http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
)
from undam.record import Ending, Head
from undam.tap.capture.segments import Endpoint
from undam.tap.http.http2_frames import FrameDivider, FramePart
from undam.tap.http.streams import (
    BodyDigest,
    CapturedRequest,
    CapturedStream,
    StreamBuilder,
    may_stream,
)
from undam.tap.reassembly import Piece

_MAX_BLOCK_BYTES = 256 << 10
_MAX_TABLE_BYTES = 1 << 20
# Servers allow only a few hundred concurrent streams.
_MAX_STREAMS = 4096
_DEFAULT_WINDOW = 65535
_HEADER_TABLE_SIZE, _INITIAL_WINDOW_SIZE = 1, 4

_Fields = list[tuple[str, str]]


@dataclass(slots=True)
class _Direction:
    """State of one direction: frames and header compression."""

    frames: FrameDivider = field(default_factory=FrameDivider)
    decoder: hpack.Decoder = field(default_factory=hpack.Decoder)
    block: bytearray = field(default_factory=bytearray)
    block_of: int = 0
    block_flags: int = 0
    preface_left: int = 0


@dataclass(slots=True)
class _OpenStream:
    """Request and response on an HTTP/2 stream.

    Args:
        window: bytes that the server may still send.
        parts: content of the response since the last arrival.
    """

    request: CapturedRequest
    window: int
    digest: BodyDigest = field(default_factory=BodyDigest)
    builder: StreamBuilder | None = None
    parts: list[bytes] = field(default_factory=list)
    zero_windows: int = 0


class Http2Tracker:
    """Parser for one HTTP/2 connection.

    Attributes:
        finished: streams that ended. The caller empties the list.
        passed_over: responses that are not streams.
        is_broken: whether decoding was given up.
    """

    def __init__(self, client: Endpoint, server: Endpoint) -> None:
        self.finished: list[CapturedStream] = []
        self.passed_over = 0
        self.is_broken = False
        self._client, self._server = client, server
        self._directions = {True: _Direction(preface_left=len(PREFACE)), False: _Direction()}
        for one in self._directions.values():
            one.decoder.max_allowed_table_size = _MAX_TABLE_BYTES
        self._streams: dict[int, _OpenStream] = {}
        self._window = _DEFAULT_WINDOW
        self._initial_window = _DEFAULT_WINDOW
        self._at_ns = 0

    @property
    def open_streams(self) -> list[CapturedStream]:
        """The streams that are still open."""
        return [one.builder.stream for one in self._streams.values() if one.builder is not None]

    def receive_piece(self, piece: Piece, *, from_client: bool) -> None:
        """Parse one piece of the data that either side sent."""
        if self.is_broken:
            return
        self._at_ns = piece.at_ns
        direction = self._directions[from_client]
        try:
            if piece.lost:
                self._receive_loss(direction, piece.lost, from_client=from_client)
            data = piece.data
            if direction.preface_left:
                skipped = min(direction.preface_left, len(data))
                direction.preface_left -= skipped
                data = data[skipped:]
            for part in direction.frames.receive_data(data):
                self._receive_part(part, from_client=from_client)
        except (RemoteProtocolError, hpack.HPACKError, IndexError, ValueError):
            self._give_up()
            return
        self._add_arrivals()

    def finish(self, at_ns: int, *, by: str, from_server: bool) -> None:
        """End all open streams, because the connection or the capture has ended."""
        for stream in self._streams.values():
            if stream.builder is not None:
                stream.builder.end(at_ns, by=by, from_server=from_server, ends_by_close=False)
                stream.builder.stream.zero_windows += stream.zero_windows
                self.finished.append(stream.builder.stream)
        self._streams.clear()

    def _give_up(self) -> None:
        """Stop decoding. Events so far are kept; the rest of each stream counts as missing."""
        self.is_broken = True
        for stream in self._streams.values():
            if stream.builder is not None:
                stream.builder.stream.problem = "HTTP/2 frames after missing bytes"
        self.finish(self._at_ns, by="capture", from_server=False)

    def _receive_loss(self, direction: _Direction, count: int, *, from_client: bool) -> None:
        part = direction.frames.skip(count)
        if part is None:
            raise RemoteProtocolError("missing bytes outside of a DATA frame")
        stream = self._streams.get(part.stream_id)
        if stream is not None and from_client:
            stream.request.body_hash = None
        elif stream is not None and stream.builder is not None:
            stream.builder.add_loss(count)
        self._receive_part(part, from_client=from_client)

    def _receive_part(self, part: FramePart, *, from_client: bool) -> None:
        kind = part.kind
        if kind == DATA:
            if from_client:
                self._receive_request_data(part)
            else:
                self._receive_response_data(part)
        elif kind in (HEADERS, CONTINUATION, PUSH_PROMISE):
            self._receive_block(part, from_client=from_client)
        elif kind == RST_STREAM:
            self._receive_reset(part.stream_id, from_client=from_client)
        elif kind == SETTINGS and from_client and not part.flags & ACK:
            self._receive_settings(part.payload)
        elif kind == WINDOW_UPDATE and from_client:
            increment = int.from_bytes(part.payload[:4], "big") & 0x7FFFFFFF
            stream = self._streams.get(part.stream_id)
            if not part.stream_id:
                self._window += increment
            elif stream is not None:
                stream.window += increment

    def _receive_settings(self, payload: bytes) -> None:
        """Apply the client's new initial window size to all open streams (RFC 9113, 6.9.2)."""
        for at in range(0, len(payload) - 5, 6):
            if int.from_bytes(payload[at : at + 2], "big") == _INITIAL_WINDOW_SIZE:
                size = int.from_bytes(payload[at + 2 : at + 6], "big")
                for stream in self._streams.values():
                    stream.window += size - self._initial_window
                self._initial_window = size

    def _receive_block(self, part: FramePart, *, from_client: bool) -> None:
        """Collect a header block, which may span several frames, and decode it when complete."""
        direction = self._directions[from_client]
        payload = part.payload
        if part.kind != CONTINUATION:
            if part.flags & PADDED:
                payload = payload[1 : len(payload) - payload[0]]
            if part.kind == HEADERS and part.flags & PRIORITY:
                payload = payload[5:]
            elif part.kind == PUSH_PROMISE:
                payload = payload[4:]
            direction.block.clear()
            direction.block_of = part.stream_id if part.kind == HEADERS else 0
            direction.block_flags = part.flags
        direction.block += payload
        if len(direction.block) > _MAX_BLOCK_BYTES:
            raise RemoteProtocolError("a header block is too large")
        if not part.flags & END_HEADERS:
            return
        # Every header block changes the compression state, so even unused blocks must be decoded.
        raw = direction.decoder.decode(bytes(direction.block), raw=True)
        fields = [(bytes(name).decode("latin-1"), bytes(value).decode("latin-1"))
                  for name, value in raw]  # fmt: skip
        ended = bool(direction.block_flags & END_STREAM)
        if from_client:
            self._receive_request(direction.block_of, fields, ended)
        else:
            self._receive_response(direction.block_of, fields, ended)

    def _receive_request(self, stream_id: int, fields: _Fields, ended: bool) -> None:
        if stream_id in self._streams:
            if ended:
                self._end_request(self._streams[stream_id])  # Trailers.
            return
        if not stream_id or len(self._streams) >= _MAX_STREAMS:
            return
        request = CapturedRequest(start_ns=self._at_ns, sent_ns=self._at_ns)
        for name, value in fields:
            if name == ":method":
                request.method = value
            elif name == ":path":
                request.add_target(value)
            else:
                request.add_header("host" if name == ":authority" else name, value)
        stream = self._streams[stream_id] = _OpenStream(request, self._initial_window)
        if ended:
            self._end_request(stream)

    def _end_request(self, stream: _OpenStream) -> None:
        stream.request.sent_ns = self._at_ns
        stream.request.body_hash = stream.digest.value()

    def _receive_request_data(self, part: FramePart) -> None:
        stream = self._streams.get(part.stream_id)
        if stream is not None:
            stream.digest.add(part.payload)
            stream.request.sent_ns = self._at_ns
            if part.is_last and part.flags & END_STREAM:
                self._end_request(stream)

    def _receive_response(self, stream_id: int, fields: _Fields, ended: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.builder is None:
            status = int(dict(fields).get(":status", "0") or 0)
            if status // 100 == 1:
                return
            headers = tuple(one for one in fields if not one[0].startswith(":"))
            head = Head(status, "2", headers)
            if not may_stream(head):
                self.passed_over += 1
                del self._streams[stream_id]
                return
            stream.builder = StreamBuilder(
                CapturedStream(self._client, self._server, stream.request, head, self._at_ns)
            )
        if ended:
            self._end(stream_id, Ending.COMPLETE)

    def _receive_response_data(self, part: FramePart) -> None:
        ends = part.is_last and bool(part.flags & END_STREAM)
        self._use_window(part, ends=ends)
        stream = self._streams.get(part.stream_id)
        if stream is None:
            return
        if part.payload:
            stream.parts.append(part.payload)
        if ends:
            self._end(part.stream_id, Ending.COMPLETE)

    def _use_window(self, part: FramePart, *, ends: bool) -> None:
        """Count each time that the client's window is used up before the response ends."""
        before, self._window = self._window, self._window - part.consumed
        stream = self._streams.get(part.stream_id)
        if before > 0 >= self._window:
            for one in self._streams.values():
                one.zero_windows += not (one is stream and ends)
        if stream is not None:
            before, stream.window = stream.window, stream.window - part.consumed
            stream.zero_windows += before > 0 >= stream.window and not ends

    def _receive_reset(self, stream_id: int, *, from_client: bool) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        if stream.builder is None:
            del self._streams[stream_id]
        elif from_client:
            stream.builder.stream.left_ns = self._at_ns
            self._end(stream_id, Ending.TIMEOUT)
        else:
            self._end(stream_id, Ending.RESET)

    def _end(self, stream_id: int, ending: Ending) -> None:
        stream = self._streams.pop(stream_id)
        self._flush((stream,))
        assert stream.builder is not None
        found = stream.builder.stream
        found.zero_windows += stream.zero_windows
        found.ending, found.ended_ns = ending, self._at_ns
        self.finished.append(found)

    def _add_arrivals(self) -> None:
        self._flush([one for one in self._streams.values() if one.parts])

    def _flush(self, streams: Iterable[_OpenStream]) -> None:
        for stream in streams:
            if stream.parts and stream.builder is not None:
                stream.builder.add_arrival(self._at_ns, b"".join(stream.parts))
            stream.parts.clear()
