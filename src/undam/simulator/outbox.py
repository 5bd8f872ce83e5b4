"""The sending side of a connection: what the kernel does not take is kept, and nothing is lost.

The truth of an event is stamped right before the send that carried its last byte.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import Sequence

from undam.simulator.ground_truth import GroundTruthLog
from undam.simulator.stream import Mark


class SendBuffer:
    """Sends at once if it can; otherwise in order, when `flush` is called.

    Every method that sends raises OSError when the peer is gone.
    """

    __slots__ = ("_exchange_id", "_ground_truth", "_held", "_marks", "_sent", "_sock")

    def __init__(self, sock: socket.socket, truth: GroundTruthLog) -> None:
        self._sock = sock
        self._ground_truth = truth
        self._held = bytearray()
        # Events not yet wholly sent, with the position in all of the stream's bytes of their end.
        self._marks: deque[Mark] = deque()
        self._sent = 0
        self._exchange_id = b""

    @property
    def held(self) -> int:
        """Bytes that wait for the peer to read."""
        return len(self._held)

    def begin(self, exchange_id: str) -> None:
        """Note whose events come next."""
        self._exchange_id = exchange_id.encode()

    def send(self, data: bytes, marks: Sequence[Mark] = ()) -> None:
        """Send ``data``, in which lie the events ``marks``."""
        if self._held:
            self._keep(data, marks)
            return
        left_ns = time.time_ns()
        try:
            size = self._sock.send(data)
        except BlockingIOError:
            size = 0
        if size == len(data):
            for _, seq, due_ns, event_size in marks:
                self._ground_truth.event(self._exchange_id, seq, due_ns, left_ns, event_size)
            return
        self._keep(data, marks)
        self._took(size, left_ns)

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it."""
        left_ns = time.time_ns()
        try:
            size = self._sock.send(self._held)
        except BlockingIOError:
            return
        self._took(size, left_ns)

    def _keep(self, data: bytes, marks: Sequence[Mark]) -> None:
        base = self._sent + len(self._held)
        self._marks.extend((base + mark[0], *mark[1:]) for mark in marks)
        self._held += data

    def _took(self, size: int, left_ns: int) -> None:
        del self._held[:size]
        self._sent += size
        while self._marks and self._marks[0][0] <= self._sent:
            _, seq, due_ns, event_size = self._marks.popleft()
            self._ground_truth.event(self._exchange_id, seq, due_ns, left_ns, event_size)
