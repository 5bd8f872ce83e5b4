"""HTTP server with a script per connection: bytes to send, pauses, and how to disconnect."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n"
STREAM = HEAD + b"\r\n"
DONE = b"data: [DONE]\n\n"
RESET = "reset"

Step = bytes | float | str
Script = Sequence[Step]
"""Steps: bytes to send, a pause in seconds, or RESET to reset the connection."""


@dataclass
class ScriptedServer:
    """Server with one script per connection; further connections repeat the last script."""

    scripts: Sequence[Script]
    requests: list[bytes] = field(default_factory=list)
    disconnected_early: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1/chat/completions"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._over.is_set():
            return
        self._over.set()
        with socket.socket() as knock:
            knock.settimeout(1)
            knock.connect_ex(self._listener.getsockname())
        self._thread.join(10)
        self._listener.close()

    def _accept(self) -> None:
        number = 0
        while not self._over.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if self._over.is_set():
                    return
                connection.settimeout(20)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                request = _request(connection)
                if not request:  # Some clients open connections that they never use.
                    continue
                self.requests.append(request)
                script = self.scripts[min(number, len(self.scripts) - 1)]
                number += 1
                try:
                    self._play(connection, script)
                    self.disconnected_early.append(False)
                except OSError:
                    self.disconnected_early.append(True)

    def _play(self, connection: socket.socket, script: Script) -> None:
        for step in script:
            if isinstance(step, bytes):
                connection.sendall(step)
            elif isinstance(step, str):
                # With a linger time of 0 s, close() sends RST.
                linger = struct.pack("ii", 1, 0)
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            else:
                deadline = time.monotonic() + step
                while (left := deadline - time.monotonic()) > 0 and not self._over.is_set():
                    connection.settimeout(min(left, 0.05))
                    try:
                        if connection.recv(65536) == b"":
                            raise ConnectionError("the client disconnected")
                    except TimeoutError:
                        continue
                connection.settimeout(20)


def _request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            more = connection.recv(65536)
        except OSError:
            more = b""
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def chat_chunk(
    text: str = "", *, finish: str | None = None, ident: str = "", **more: object
) -> bytes:
    """Return a chat chunk, as an event that openai-python accepts."""
    delta = {"content": text} if text else {}
    payload = {
        "id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }  # fmt: skip
    name = f"id: {ident}\n" if ident else ""
    return f"{name}data: {json.dumps({**payload, **more})}\n\n".encode()
