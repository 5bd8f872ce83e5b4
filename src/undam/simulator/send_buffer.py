"""Send buffer of a connection: stores what the kernel does not accept yet.

The recorded send time of an event is taken just before the ``send`` call with its last byte.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Sequence

from undam.simulator.ground_truth import GroundTruthLog
from undam.simulator.stream import EventEnd


class SendBuffer:
    """Buffer that sends data at once if possible, and the rest on `flush`.

    Methods that send raise OSError if the peer has disconnected.
    """

    __slots__ = ("_event_ends", "_exchange_id", "_ground_truth", "_sent", "_sock", "_unsent")

    def __init__(self, sock: socket.socket, truth: GroundTruthLog) -> None:
        self._sock = sock
        self._ground_truth = truth
        self._unsent = bytearray()
        # Events that are not fully sent, with their end positions in the whole stream.
        self._event_ends: deque[EventEnd] = deque()
        self._sent = 0
        self._exchange_id = b""

    @property
    def unsent(self) -> int:
        """Number of buffered bytes."""
        return len(self._unsent)

    def begin(self, exchange_id: str) -> None:
        """Start a new exchange; the next events belong to it."""
        self._exchange_id = exchange_id.encode()

    def send(self, data: bytes, event_ends: Sequence[EventEnd] = ()) -> None:
        """Send ``data``, which contains the events in ``event_ends``."""
        if self._unsent:
            self._buffer(data, event_ends)
            return
        left_ns = time.time_ns()
        try:
            size = self._sock.send(data)
        except BlockingIOError:
            size = 0
        if size == len(data):
            for _, seq, due_ns, event_size in event_ends:
                self._ground_truth.event(self._exchange_id, seq, due_ns, left_ns, event_size)
            return
        self._buffer(data, event_ends)
        self._record_sent(size, left_ns)

    def flush(self) -> None:
        """Send buffered bytes until the kernel accepts no more."""
        left_ns = time.time_ns()
        try:
            size = self._sock.send(self._unsent)
        except BlockingIOError:
            return
        self._record_sent(size, left_ns)

    def _buffer(self, data: bytes, event_ends: Sequence[EventEnd]) -> None:
        base = self._sent + len(self._unsent)
        self._event_ends.extend((base + end[0], *end[1:]) for end in event_ends)
        self._unsent += data

    def _record_sent(self, size: int, left_ns: int) -> None:
        del self._unsent[:size]
        self._sent += size
        while self._event_ends and self._event_ends[0][0] <= self._sent:
            _, seq, due_ns, event_size = self._event_ends.popleft()
            self._ground_truth.event(self._exchange_id, seq, due_ns, left_ns, event_size)
