"""Flow control for request bodies: the server's windows for a connection and its streams."""

from __future__ import annotations

from undam.http2.client_stream import ClientStream
from undam.http2.frames import DATA, END_STREAM, MAX_FRAME_BYTES, encode_frame, violation

DEFAULT_WINDOW_BYTES = 65535
MAX_WINDOW_BYTES = (1 << 31) - 1
_LARGEST_FRAME_BYTES = (1 << 24) - 1


class SendWindows:
    """Unsent parts of request bodies, and the flow-control windows that limit sending.

    The window of a stream is the sum of the initial window and its credit. A change of the initial
    window therefore takes the same time for any number of streams.

    Attributes:
        max_frame_bytes: largest payload of a frame that the server accepts.
    """

    def __init__(self) -> None:
        self.max_frame_bytes = MAX_FRAME_BYTES
        self._connection_bytes = DEFAULT_WINDOW_BYTES
        self._initial_bytes = DEFAULT_WINDOW_BYTES
        self._unsent: dict[int, ClientStream] = {}

    @property
    def is_blocked(self) -> bool:
        """Return whether a body waits for a flow-control window."""
        return bool(self._unsent)

    def set_initial(self, size: int) -> None:
        """Apply SETTINGS_INITIAL_WINDOW_SIZE, which also affects open streams.

        Raises:
            RemoteProtocolError: the size is invalid.
        """
        if size > MAX_WINDOW_BYTES:
            raise violation(f"SETTINGS_INITIAL_WINDOW_SIZE is {size}")
        self._initial_bytes = size

    def set_max_frame(self, size: int) -> None:
        """Apply SETTINGS_MAX_FRAME_SIZE.

        Raises:
            RemoteProtocolError: the size is invalid.
        """
        if not MAX_FRAME_BYTES <= size <= _LARGEST_FRAME_BYTES:
            raise violation(f"SETTINGS_MAX_FRAME_SIZE is {size}")
        self.max_frame_bytes = size

    def open_connection(self, increment: int) -> None:
        """Apply a WINDOW_UPDATE frame for the connection.

        Raises:
            RemoteProtocolError: the window is too large.
        """
        self._connection_bytes += increment
        if self._connection_bytes > MAX_WINDOW_BYTES:
            raise violation("the window of the connection is too large")

    def open_stream(self, stream: ClientStream, increment: int) -> bool:
        """Apply a WINDOW_UPDATE frame for a stream; return whether the window size is valid."""
        stream.credit_bytes += increment
        return self._initial_bytes + stream.credit_bytes <= MAX_WINDOW_BYTES

    def discard(self, stream: ClientStream) -> bool:
        """Discard the rest of a body; return whether any of it was unsent."""
        return self._unsent.pop(stream.stream_id, None) is not None

    def send(self, stream: ClientStream) -> bytes:
        """Return the DATA frames of one stream that the windows allow now.

        Raises:
            RemoteProtocolError: a change of the initial window made the window too large.
        """
        body, at = stream.body, stream.sent_bytes
        window = self._initial_bytes + stream.credit_bytes
        if window > MAX_WINDOW_BYTES:
            raise violation("SETTINGS_INITIAL_WINDOW_SIZE makes the window of a stream too large")
        end = min(len(body), at + max(0, min(window, self._connection_bytes)))
        frames = []
        for start in range(at, end, self.max_frame_bytes):
            stop = min(end, start + self.max_frame_bytes)
            flags = END_STREAM if stop == len(body) else 0
            frames.append(encode_frame(DATA, flags, stream.stream_id, body[start:stop]))
        stream.sent_bytes = end
        stream.credit_bytes -= end - at
        self._connection_bytes -= end - at
        if end < len(body):
            self._unsent[stream.stream_id] = stream
        else:
            self._unsent.pop(stream.stream_id, None)
        return b"".join(frames)

    def send_all(self) -> bytes:
        """Return the DATA frames of all streams that the windows allow now.

        Raises:
            RemoteProtocolError: a change of the initial window made a window too large.
        """
        frames = []
        for stream in list(self._unsent.values()):
            if self._connection_bytes <= 0:
                break
            frames.append(self.send(stream))
        return b"".join(frames)
