"""A model server of one epoll loop, as light as Python allows: `python -m bench.gateway_origin 1`.

Any POST is answered in the form of chat/completions: head and role at once, the first content 20 ms
later, then one event every ``gap_ms`` until ``max_tokens``, both from the body. The content of an
event is the moment just before it was handed to the kernel, CLOCK_REALTIME ns. It listens on so
many ports, prints them, one a line, and ends with its standard input.
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
_ASKED = re.compile(rb'"(max_tokens|gap_ms)": *(\d+)')


class _Stream:
    __slots__ = ("gap_s", "left", "received", "serial", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.received = b""
        self.left = 0
        self.gap_s = 0.0
        self.serial = 0
        """Of the request: what is due for an earlier one is dropped."""


class Origin:
    """Streams by their sockets, and a heap of when each is due."""

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
        """Until the standard input ends."""
        while True:
            wait_s = self._send_due()
            # epoll itself waits in whole milliseconds.
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
                pass  # an event less
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
        head, _, body = stream.received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if b"\r\n\r\n" in stream.received and len(body) >= int(length[1] if length else 0):
            stream.received = b""
            asked = dict(_ASKED.findall(body))
            stream.left = int(asked.get(b"max_tokens", 100))
            stream.gap_s = int(asked.get(b"gap_ms", 20)) / 1000
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
