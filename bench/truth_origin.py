"""Minimal model server that writes a ground-truth log, for up to 1,000 streams.

``python -m bench.truth_origin TTFT_MS SIGMA GAP_MS TOKENS FILE`` prints its port as the first line.
The first token is sent after a lognormal time, and then one token per gap, each as a chunk and a
send of its own. A send takes about 8 us. `undam sim` has more features and takes 20 us, too long
for 1,000 streams of 50 events/s. The server never sleeps, because an idle virtual CPU takes 0.1 ms
to wake up, which would distort the measurement. When standard input closes, it writes the log to
FILE in the format of ``undam sim --truth``.
"""

from __future__ import annotations

import gc
import heapq
import json
import random
import select
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from undam.wire import timestamps

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_MAX_SENDS = 16
"""Maximum number of sends between two polls."""


def event(delta: dict[str, str], finish: str | None = None) -> bytes:
    """Return a chat completion chunk as a server-sent event."""
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    payload = json.dumps({
        "id": "chatcmpl-8f3a", "object": "chat.completion.chunk", "created": 1760000000,
        "model": "truth", "choices": [choice],
    })  # fmt: skip
    return f"data: {payload}\n\n".encode()


def chunk(delta: dict[str, str], finish: str | None = None) -> bytes:
    """Return a chat completion chunk, encoded as one HTTP chunk."""
    data = event(delta, finish)
    return b"%x\r\n%b\r\n" % (len(data), data)


_ROLE = chunk({"role": "assistant", "content": ""})
_TOKEN = chunk({"content": "token "})
_END = chunk({}, "stop") + b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@dataclass(slots=True)
class _Response:
    """Response in progress. ``token`` is the bytes of one event; ``end`` is the last bytes."""

    sock: socket.socket
    arrived_ns: int
    token: bytes
    end: bytes
    left_ns: list[int] = field(default_factory=list)


class Origin:
    """HTTP/1.1 model server; subclasses implement other versions."""

    def __init__(self, ttft_ms: float, sigma: float, gap_ms: float, tokens: int) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        timestamps.enable(self.listener)
        self.listener.setblocking(False)
        self.responses: list[_Response] = []
        self._ttft = (ttft_ms, sigma)
        self._gap_ns = round(gap_ms * 1e6)
        self._tokens = tokens
        self._random = random.Random(1)
        self._socks: dict[int, socket.socket] = {}
        self._due: list[tuple[int, int, _Response]] = []
        self._epoll = select.epoll()
        self._epoll.register(self.listener, select.EPOLLIN)
        self._epoll.register(0, select.EPOLLIN)

    def serve(self) -> None:
        """Serve until standard input is closed."""
        while True:
            self._send_due()
            for fd, _ in self._epoll.poll(0):
                if fd == 0:
                    return
                if fd == self.listener.fileno():
                    self._accept()
                else:
                    self._read(self._socks[fd])

    def _send_due(self) -> None:
        due, now = self._due, time.time_ns
        for _ in range(_MAX_SENDS):
            if not due or due[0][0] > now():
                return
            at_ns, number, response = due[0]
            left = response.left_ns
            try:
                if len(left) == self._tokens:
                    heapq.heappop(due)
                    response.sock.send(response.end)
                else:
                    left.append(now())
                    response.sock.send(response.token)
                    heapq.heapreplace(due, (at_ns + self._gap_ns, number, response))
            # The client disconnected or does not read, so its response remains truncated.
            except OSError:
                heapq.heappop(due)

    def _accept(self) -> None:
        try:
            while True:
                sock, _ = self.listener.accept()
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._socks[sock.fileno()] = sock
                self._epoll.register(sock, select.EPOLLIN)
        except BlockingIOError:
            pass

    def _read(self, sock: socket.socket) -> None:
        try:
            read = timestamps.read(sock)
        except OSError:
            read = None
        if read is None or not read.data:
            self._epoll.unregister(sock)
            self._socks.pop(sock.fileno()).close()
            return
        self.receive(sock, read.data, read.at_ns)

    def receive(self, sock: socket.socket, data: bytes, at_ns: int) -> None:
        """Process the bytes of one read."""
        # In these benchmarks, each request fits in one TCP segment.
        sock.send(_HEAD + _ROLE)
        self.start(sock, at_ns, _TOKEN, _END)

    def start(self, sock: socket.socket, at_ns: int, token: bytes, end: bytes) -> None:
        """Send ``token`` at each due time of one response, and then send ``end``."""
        median_ms, sigma = self._ttft
        ttft_ms = median_ms * self._random.lognormvariate(0, sigma)
        response = _Response(sock, at_ns, token, end)
        due_ns = at_ns + round(ttft_ms * 1e6)
        heapq.heappush(self._due, (due_ns, len(self.responses), response))
        self.responses.append(response)


def _lines(responses: list[_Response]) -> list[str]:
    lines = []
    for number, response in enumerate(responses):
        ident = str(number)
        lines.append({"kind": "request", "id": ident, "arrived_ns": response.arrived_ns})
        lines += [
            {"kind": "event", "id": ident, "seq": seq, "left_ns": left_ns}
            for seq, left_ns in enumerate(response.left_ns, 1)
        ]
    return [json.dumps(line) + "\n" for line in lines]


def main(arguments: Sequence[str], make: type[Origin] = Origin) -> None:
    """Serve until standard input is closed, then write the log."""
    ttft_ms, sigma, gap_ms, tokens, file = arguments
    gc.disable()
    timestamps.warm_up_now()
    origin = make(float(ttft_ms), float(sigma), float(gap_ms), int(tokens))
    print(origin.listener.getsockname()[1], flush=True)
    origin.serve()
    Path(file).write_text("".join(_lines(origin.responses)))


if __name__ == "__main__":
    main(sys.argv[1:])
