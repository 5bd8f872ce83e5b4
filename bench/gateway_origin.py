"""Minimal model server with one epoll loop: `python -m bench.gateway_origin PORTS`.

Every POST gets a chat completion: head and role at once, the first content after 20 ms, and then
one event every ``gap_ms`` up to ``max_tokens``, both from the body. The content of an event is its
send time, CLOCK_REALTIME in ns. The server listens on PORTS ports, prints one per line, and exits
when standard input closes.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import re
import select
import socket
import sys
import time

from bench.gateway_events import DONE, EVENT, HEAD, TTFT_S

_LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
# The parameters are near the start of the body; the messages that follow may be long.
_PARAMETER_BYTES = 2000
_PARAMETER = re.compile(rb'"(max_tokens|gap_ms)": *(\d+)')


class _Stream:
    __slots__ = ("gap_s", "left", "needed", "received", "serial", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = bytearray()
        self.needed = 0
        """Length of the request with its body; 0 before the head is complete."""
        self.left = 0
        self.gap_s = 0.0
        self.serial = 0
        """Number of the request; events that are due for an earlier request are dropped."""


class Origin:
    """Model server that stores streams by file descriptor and due times in a heap."""

    def __init__(self, ports: int) -> None:
        self._epoll = select.epoll()
        self._listeners = {}
        self._streams: dict[int, _Stream] = {}
        self._due: list[tuple[float, int, int]] = []
        for _ in range(ports):
            listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
            listener.setblocking(False)
            self._listeners[listener.fileno()] = listener
            self._epoll.register(listener, select.EPOLLIN)
            print(listener.getsockname()[1], flush=True)
        self._epoll.register(sys.stdin, select.EPOLLIN)

    def serve(self) -> None:
        """Serve until standard input is closed."""
        while True:
            wait_s = self._send_due()
            # The epoll timeout has a resolution of only 1 ms.
            select.select([self._epoll], [], [], wait_s)
            for number, _ in self._epoll.poll(0):
                if number == sys.stdin.fileno():
                    return
                if number in self._listeners:
                    self._accept(self._listeners[number])
                else:
                    self._receive(number)

    def _send_due(self) -> float:
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            at, number, serial = heapq.heappop(self._due)
            stream = self._streams.get(number)
            if stream is None or stream.serial != serial:
                continue
            data = EVENT % time.time_ns() if stream.left else DONE
            try:
                stream.sock.send(data)
            except BlockingIOError:
                pass  # The client is slow, so the event is dropped.
            except OSError:
                self._close(number)
                continue
            if stream.left:
                stream.left -= 1
                heapq.heappush(self._due, (at + stream.gap_s, number, serial))
            now = time.monotonic()
        return max(0.0, self._due[0][0] - now) if self._due else 1.0

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                sock, _ = listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._streams[sock.fileno()] = _Stream(sock)
                self._epoll.register(sock, select.EPOLLIN)

    def _receive(self, number: int) -> None:
        stream = self._streams[number]
        try:
            data = stream.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            self._close(number)
            return
        stream.received += data
        if not stream.needed:
            head, end, _ = stream.received.partition(b"\r\n\r\n")
            if not end:
                return
            length = _LENGTH.search(head)
            stream.needed = len(head) + len(end) + int(length[1] if length else 0)
        if len(stream.received) >= stream.needed:
            parameters = dict(_PARAMETER.findall(stream.received[:_PARAMETER_BYTES]))
            stream.received, stream.needed = bytearray(), 0
            stream.left = int(parameters.get(b"max_tokens", 100))
            stream.gap_s = int(parameters.get(b"gap_ms", 20)) / 1000
            stream.serial += 1
            heapq.heappush(self._due, (time.monotonic() + TTFT_S, number, stream.serial))
            stream.sock.send(HEAD)

    def _close(self, number: int) -> None:
        stream = self._streams.pop(number)
        self._epoll.unregister(number)
        stream.sock.close()


if __name__ == "__main__":
    gc.disable()
    Origin(int(sys.argv[1]) if len(sys.argv) > 1 else 1).serve()
