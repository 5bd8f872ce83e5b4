"""Minimal server that answers every chat request immediately with one token.

``undam sim`` has a schedule and a ground-truth log, and sends about 6,000 responses per second on
one core, fewer than the tools can request. This server waits for the whole request and sends
prepared bytes. It prints the same first line as ``undam sim``.
"""

from __future__ import annotations

import contextlib
import json
import re
import select
import socket
import subprocess
import sys
from collections.abc import Iterator

from bench.load_peers_truth import pinned

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def _events() -> bytes:
    """Return the events of a response: role, token, finish reason and usage."""
    base = {"id": "x", "object": "chat.completion.chunk", "created": 0, "model": "undam-sim"}
    deltas: tuple[dict[str, str], ...] = ({"role": "assistant", "content": ""}, {"content": "w1"})
    choices: list[dict[str, object]] = [
        {"index": 0, "delta": delta, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    chunks: list[dict[str, object]] = [{**base, "choices": [choice]} for choice in choices]
    usage = {"prompt_tokens": 4, "completion_tokens": 1, "total_tokens": 5}
    chunks.append({**base, "choices": [], "usage": usage})
    return b"".join(b"data: %s\n\n" % json.dumps(chunk).encode() for chunk in chunks)


def _response() -> bytes:
    body = _events() + b"data: [DONE]\n\n"
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    )


_MODELS = b'{"object":"list","data":[{"id":"undam-sim","object":"model"}]}'
_MODELS_RESPONSE = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"
    % (
        len(_MODELS),
        _MODELS,
    )
)


def serve() -> None:
    """Serve until killed."""
    response = _response()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    listener.setblocking(False)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    epoll, socks, pending = select.epoll(), {}, {}
    epoll.register(listener.fileno(), select.EPOLLIN)
    while True:
        for fd, _ in epoll.poll():
            if fd == listener.fileno():
                with contextlib.suppress(BlockingIOError):
                    sock, _ = listener.accept()
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    socks[sock.fileno()] = sock
                    pending[sock.fileno()] = b""
                    epoll.register(sock.fileno(), select.EPOLLIN)
                continue
            try:
                data = socks[fd].recv(1 << 16)
                pending[fd] += data
                while size := _size(pending[fd]):
                    get, pending[fd] = pending[fd].startswith(b"GET"), pending[fd][size:]
                    socks[fd].sendall(_MODELS_RESPONSE if get else response)
            except OSError:
                data = b""
            if not data:
                epoll.unregister(fd)
                socks.pop(fd).close()
                del pending[fd]


def _size(data: bytes) -> int:
    """Return the length of the first request in the buffer, or 0 if the request is incomplete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return 0
    length = _LENGTH.search(data, 0, end)
    size = end + 4 + (int(length[1]) if length else 0)
    return size if len(data) >= size else 0


@contextlib.contextmanager
def flooding(core: int) -> Iterator[str]:
    """Run the server on this core and yield its URL."""
    command = [sys.executable, "-m", "bench.load_peers_flood"]
    with subprocess.Popen(pinned(core, command), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().decode().split()[-1]
        finally:
            process.kill()


if __name__ == "__main__":
    serve()
