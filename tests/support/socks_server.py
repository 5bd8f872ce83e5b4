"""A SOCKS5 proxy (RFC 1928) that relays bytes or sends scripted replies."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

_TIMEOUT_S = 20.0


@dataclass
class SocksServer:
    """Running SOCKS5 proxy, with the targets that clients have requested."""

    port: int
    targets: list[tuple[str, int]] = field(default_factory=list)
    credentials: list[bytes] = field(default_factory=list)


@dataclass(frozen=True)
class SocksBehaviour:
    """Scripted behaviour of a SOCKS5 proxy.

    Args:
        method: authentication method that it selects.
        auth_status: result of the authentication with a password.
        reply: reply code to a CONNECT.
        bound: address type and address in the reply.
        greeting: bytes that replace the whole conversation.
        hold_s: seconds for which the bytes of the target are collected before they are relayed.
        piecemeal: send every reply one byte at a time.
    """

    method: int = 0
    auth_status: int = 0
    reply: int = 0
    bound: bytes = b"\x01\x7f\x00\x00\x01"
    greeting: bytes | None = None
    hold_s: float = 0.0
    piecemeal: bool = False


@contextlib.contextmanager
def socks_server(behaviour: SocksBehaviour | None = None) -> Iterator[SocksServer]:
    """Run a SOCKS5 proxy on a free port of 127.0.0.1."""
    does = behaviour or SocksBehaviour()
    listener = socket.create_server(("127.0.0.1", 0))
    server = SocksServer(listener.getsockname()[1])
    threads: list[threading.Thread] = []

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            client.settimeout(_TIMEOUT_S)
            threads.append(
                threading.Thread(target=_serve, args=(client, does, server), daemon=True)
            )
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for thread in [accepting, *threads]:
            thread.join(_TIMEOUT_S)


def _serve(client: socket.socket, does: SocksBehaviour, server: SocksServer) -> None:
    with client, contextlib.suppress(OSError, EOFError):
        count = _exactly(client, 2)[1]
        _exactly(client, count)
        if does.greeting is not None:
            client.sendall(does.greeting)
            return
        _send(client, bytes([5, does.method]), does)
        if does.method == 2:
            name = _exactly(client, _exactly(client, 2)[1])
            password = _exactly(client, _exactly(client, 1)[0])
            server.credentials.append(name + b":" + password)
            _send(client, bytes([1, does.auth_status]), does)
        elif does.method != 0:
            return
        target = _target(client)
        server.targets.append(target)
        _send(client, bytes([5, does.reply, 0]) + does.bound + b"\x00\x50", does)
        if does.reply == 0:
            with socket.create_connection(("127.0.0.1", target[1]), _TIMEOUT_S) as upstream:
                _relay(client, upstream, does.hold_s)


def _target(client: socket.socket) -> tuple[str, int]:
    kind = _exactly(client, 4)[3]
    if kind == 3:
        host = _exactly(client, _exactly(client, 1)[0]).decode()
    elif kind == 1:
        host = socket.inet_ntop(socket.AF_INET, _exactly(client, 4))
    else:
        host = socket.inet_ntop(socket.AF_INET6, _exactly(client, 16))
    return host, int.from_bytes(_exactly(client, 2), "big")


def _relay(client: socket.socket, upstream: socket.socket, hold_s: float) -> None:
    def forward() -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=forward, daemon=True)
    thread.start()
    upstream.settimeout(_TIMEOUT_S)
    held, until = b"", time.monotonic() + hold_s
    while data := upstream.recv(65536):
        held += data
        if time.monotonic() >= until:
            client.sendall(held)
            held = b""
    client.sendall(held)
    client.shutdown(socket.SHUT_WR)


def _send(client: socket.socket, data: bytes, does: SocksBehaviour) -> None:
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    pieces = [data[i : i + 1] for i in range(len(data))] if does.piecemeal else [data]
    for piece in pieces:
        client.sendall(piece)
        if does.piecemeal:
            time.sleep(0.002)


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
