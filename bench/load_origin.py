"""Server that sends precomputed bytes: streams at a fixed total rate, or one-token responses.

``python -m bench.load_origin RATE EVENTS`` prints its port as the first line. A path that begins
with /one gets a complete response with one token at once. Any other path gets a stream of EVENTS
events. All streams together have RATE events per second, each a chunk and a segment of its own.
"""

from __future__ import annotations

import contextlib
import gc
import json
import select
import socket
import sys
import time

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
_WORDS = ("the ", "a ", "stream ", "of ", "tokens ", "that ", "never ", "ends ")
_SENDS_PER_POLL = 64


def _chunk(text: str, finish: str | None = None) -> bytes:
    delta = {"content": text} if text else {}
    event = json.dumps({
        "id": "chatcmpl-8f3a", "object": "chat.completion.chunk", "created": 1760000000,
        "model": "prepared", "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    })  # fmt: skip
    return _framed(f"data: {event}\n\n".encode())


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


_END = _chunk("", "stop") + _framed(b"data: [DONE]\n\n") + b"0\r\n\r\n"


def main(rate: float, events: int) -> None:
    """Serve until standard input is closed."""
    gc.disable()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    print(listener.getsockname()[1], flush=True)
    with contextlib.suppress(BrokenPipeError):
        _serve(listener, rate, events)


def _serve(listener: socket.socket, rate: float, events: int) -> None:
    chunks = [_chunk(word) for word in _WORDS]
    one = _HEAD + _chunk("one ") + _END
    epoll = select.epoll()
    epoll.register(listener, select.EPOLLIN)
    epoll.register(0, select.EPOLLIN)
    socks: dict[int, socket.socket] = {}
    streams: list[tuple[socket.socket, list[int]]] = []
    at, start_s, sent = 0, 0.0, 0
    while True:
        for fd, _ in epoll.poll(0 if streams else 1):
            if fd == 0:
                return
            if fd == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    while True:
                        sock, _ = listener.accept()
                        sock.setblocking(False)
                        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                        socks[sock.fileno()] = sock
                        epoll.register(sock, select.EPOLLIN)
                continue
            sock = socks[fd]
            try:
                request = sock.recv(65536)
            except OSError:
                request = b""
            if not request:
                epoll.unregister(fd)
                socks.pop(fd).close()
            elif b" /one" in request:
                sock.send(one)
            else:
                sock.send(_HEAD)
                if not streams:
                    start_s, sent = time.monotonic(), 0
                streams.append((sock, [0]))
        due = (time.monotonic() - start_s) * rate
        for _ in range(_SENDS_PER_POLL):
            if not streams or sent >= due:
                break
            at = at % len(streams)
            sock, count = streams[at]
            try:
                if count[0] == events:
                    sock.send(_END)
                    del streams[at]
                    continue
                sock.send(chunks[count[0] % len(chunks)])
                count[0] += 1
                sent += 1
            except BlockingIOError:
                due += 1  # This client reads slowly, and the other clients must not wait for it.
            except OSError:
                del streams[at]
                continue
            at += 1


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
