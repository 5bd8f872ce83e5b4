"""Client side of an HTTP/2 connection, without I/O: bytes in, events and bytes out.

h2 handles headers, settings and the states of streams. DATA frames and the windows for them are
handled here, and h2 only receives an empty one at the end of a stream. A body with a Content-Length
is passed to h2 as a whole, because h2 compares the lengths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from undam.errors import RemoteProtocolError
from undam.http2.frames import (
    DATA,
    END_STREAM,
    GOAWAY,
    SETTINGS,
    Frame,
    Http2FrameReader,
    encode_frame,
    encode_window_update,
    error_name,
)

# The windows are larger than any answer, so that the server never waits for this client.
WINDOW_BYTES = 1 << 24
_DEFAULT_WINDOW_BYTES = 65535
_REFILL_BYTES = WINDOW_BYTES // 2

Fields = Sequence[tuple[str, str]] | Sequence[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class HeadersReceived:
    """A response head, an interim head, or trailers."""

    stream_id: int
    fields: tuple[tuple[str, str], ...]
    ended: bool
    kind: str


@dataclass(frozen=True, slots=True)
class DataReceived:
    """Content of DATA frames; ``ended`` marks the end of the stream."""

    stream_id: int
    data: bytes
    ended: bool
    largest_frame_bytes: int


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The server sent RST_STREAM."""

    stream_id: int
    code: str


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The server will not accept new streams, and ignores those after ``last_stream_id``."""

    last_stream_id: int
    code: str


ClientEvent = HeadersReceived | DataReceived | StreamReset | GoAwayReceived


class Http2Connection:
    """Client side of one connection.

    Attributes:
        max_streams: number of streams that the server allows at a time; ``None`` before its
            settings were received.
    """

    def __init__(self) -> None:
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="latin-1",
            # Header fields that RFC 9113 forbids are reported as findings, so h2 must accept them.
            validate_inbound_headers=False,
            normalize_inbound_headers=False,
            # `wire.request` has checked the fields; the checks of h2 would double the time.
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        self._h2.local_settings = h2.settings.Settings(
            client=True,
            initial_values={
                codes.ENABLE_PUSH: 0,
                codes.INITIAL_WINDOW_SIZE: WINDOW_BYTES,
                codes.MAX_CONCURRENT_STREAMS: 100,
            },
        )
        self._h2.initiate_connection()
        self._h2.increment_flow_control_window(WINDOW_BYTES - _DEFAULT_WINDOW_BYTES)
        self._frames = Http2FrameReader()
        self._out = bytearray()
        self._with_length: set[int] = set()
        self._used: dict[int, int] = {0: 0}
        self._cancelled: set[int] = set()
        self.max_streams: int | None = None
        self._unsent: dict[int, bytes] = {}

    @property
    def is_blocked(self) -> bool:
        """Return whether a request body waits for the server's window."""
        return bool(self._unsent)

    @property
    def missing_bytes(self) -> int:
        """Return the number of bytes to the end of the next frame, as far as it is known."""
        return self._frames.missing_bytes

    def request(self, fields: Fields, body: bytes) -> int:
        """Queue a request; return the number of its stream."""
        stream_id = self._h2.get_next_available_stream_id()
        self._h2.send_headers(stream_id, fields, end_stream=not body)
        self._used[stream_id] = 0
        if body:
            self._unsent[stream_id] = body
        self._send_bodies()
        return stream_id

    def cancel(self, stream_id: int) -> None:
        """Queue an RST_STREAM frame; everything that still arrives on the stream is ignored."""
        self._h2.reset_stream(stream_id, h2.errors.ErrorCodes.CANCEL)
        self._used.pop(stream_id, None)
        self._unsent.pop(stream_id, None)
        self._with_length.discard(stream_id)
        self._cancelled.add(stream_id)

    def to_send(self) -> bytes:
        """Return the bytes to send now, which may be empty."""
        self._out += self._h2.data_to_send()
        data, self._out = bytes(self._out), bytearray()
        return data

    def receive_data(self, data: bytes) -> list[ClientEvent]:
        """Return the events in ``data``.

        Raises:
            RemoteProtocolError: the data is not valid HTTP/2.
        """
        found: list[ClientEvent] = []
        try:
            for frame in self._frames.receive_data(data):
                if frame.kind == GOAWAY:
                    # After a GOAWAY frame, h2 would reject the rest of the open streams.
                    found.append(_goaway(frame.payload))
                elif frame.kind == DATA:
                    found.append(self._receive_frame(frame))
                else:
                    for event in self._h2.receive_data(frame.encode()):
                        found += _converted(event)
                    self._with_length |= _with_length(found)
                    if frame.kind == SETTINGS:
                        self.max_streams = self._h2.remote_settings.max_concurrent_streams
            self._send_bodies()
        except h2.exceptions.ProtocolError as error:
            raise RemoteProtocolError(f"the server violated HTTP/2: {error}") from None
        return found

    def _receive_frame(self, frame: Frame) -> DataReceived:
        stream_id, size = frame.stream_id, len(frame.payload)
        ended = bool(frame.flags & END_STREAM)
        if stream_id in self._cancelled:
            self._refill(0, size)
        elif stream_id in self._with_length:
            self._h2.receive_data(frame.encode())
            self._h2.acknowledge_received_data(size, stream_id)
        else:
            self._receive_content(stream_id, size)
            if ended:
                self._h2.receive_data(encode_frame(DATA, END_STREAM, stream_id))
        if ended:
            self._cancelled.discard(stream_id)
            self._with_length.discard(stream_id)
            self._used.pop(stream_id, None)
        return DataReceived(stream_id, frame.data(), ended, size)

    def _receive_content(self, stream_id: int, size: int) -> None:
        """Count received bytes, and open the windows again when half is used."""
        if stream_id not in self._used:
            raise RemoteProtocolError("the server sent data on a stream that is not open")
        self._refill(0, size)
        self._refill(stream_id, size)

    def _refill(self, window: int, size: int) -> None:
        self._used[window] += size
        if self._used[window] >= _REFILL_BYTES:
            self._out += encode_window_update(window, self._used[window])
            self._used[window] = 0

    def _send_bodies(self) -> None:
        """Send as much of the request bodies as the server's windows allow."""
        for stream_id, body in list(self._unsent.items()):
            at = 0
            while at < len(body):
                window = self._h2.local_flow_control_window(stream_id)
                size = min(window, self._h2.max_outbound_frame_size, len(body) - at)
                if size <= 0:
                    break
                end = at + size
                self._h2.send_data(stream_id, body[at:end], end_stream=end == len(body))
                at = end
            if at < len(body):
                self._unsent[stream_id] = body[at:]
            else:
                del self._unsent[stream_id]


def _with_length(events: Sequence[ClientEvent]) -> set[int]:
    """Return the streams whose head contains a Content-Length."""
    return {
        event.stream_id
        for event in events
        if isinstance(event, HeadersReceived)
        and any(name.lower() == "content-length" for name, _ in event.fields)
    }


def _goaway(payload: bytes) -> GoAwayReceived:
    if len(payload) < 8:
        raise RemoteProtocolError("the server sent a GOAWAY frame that is too short")
    last_stream_id = int.from_bytes(payload[:4], "big") & 0x7FFFFFFF
    return GoAwayReceived(last_stream_id, error_name(int.from_bytes(payload[4:8], "big")))


def _converted(event: h2.events.Event) -> list[ClientEvent]:
    if isinstance(event, h2.events.StreamReset):
        return [StreamReset(event.stream_id, error_name(int(event.error_code)))]
    kinds = (
        (h2.events.InformationalResponseReceived, "interim"),
        (h2.events.ResponseReceived, "response"),
        (h2.events.TrailersReceived, "trailers"),
    )
    for known, kind in kinds:
        if isinstance(event, known):
            fields = tuple((str(name), str(value)) for name, value in event.headers)
            ended = getattr(event, "stream_ended", None) is not None
            return [HeadersReceived(event.stream_id, fields, ended, kind)]
    return []
