"""A server that only writes prepared bytes: streams as fast as asked for, or one-token answers.

``python -m bench.load_origin RATE EVENTS``; its first line of output is the port. A path that
begins with /one gets a whole answer of one token at once; any other one is a stream of EVENTS
events, and all streams together carry RATE events a second, each event a chunk and a segment of
its own, until the streams are over.
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
_LOOK_EVERY = 64


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
    """Serve until standard input closes."""
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
    ring: list[tuple[socket.socket, list[int]]] = []
    at, begun, sent = 0, 0.0, 0
    while True:
        for fd, _ in epoll.poll(0 if ring else 1):
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
                if not ring:
                    begun, sent = time.monotonic(), 0
                ring.append((sock, [0]))
        due = (time.monotonic() - begun) * rate
        for _ in range(_LOOK_EVERY):
            if not ring or sent >= due:
                break
            at = at % len(ring)
            sock, count = ring[at]
            try:
                if count[0] == events:
                    sock.send(_END)
                    del ring[at]
                    continue
                sock.send(chunks[count[0] % len(chunks)])
                count[0] += 1
                sent += 1
            except BlockingIOError:
                due += 1  # That reader is behind; the others are not to wait for it.
            except OSError:
                del ring[at]
                continue
            at += 1


if __name__ == "__main__":
    main(float(sys.argv[1]), int(sys.argv[2]))
