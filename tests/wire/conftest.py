"""Scripted servers on loopback: a test writes what the far end does with each connection."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest
import trustme

from undam.record import Ending
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream

T = TypeVar("T")
Script = Callable[[socket.socket], None]

PATIENCE_S = 20


@dataclass
class Far:
    """A listening scripted server; ``heads`` are the request heads its scripts have read."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


class Servers:
    """Starts scripted servers; all are gone when the test is over."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._listeners: list[socket.socket] = []

    def start(self, script: Script, tls: ssl.SSLContext | None = None) -> Far:
        listener = socket.create_server(("127.0.0.1", 0))
        far = Far(listener.getsockname()[1])
        self._listeners.append(listener)
        self._run(self._accept, listener, far, script, tls)
        return far

    def answer(self, reply: bytes, tls: ssl.SSLContext | None = None) -> Far:
        """A server that reads a request, with its body, and gives one reply."""

        def script(conn: socket.socket) -> None:
            far.heads.append(read_request(conn))
            conn.sendall(reply)

        far = self.start(script, tls)
        return far

    def stop(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "a scripted server hangs"

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(
        self, listener: socket.socket, far: Far, script: Script, tls: ssl.SSLContext | None
    ) -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            self._run(self._serve, conn, far, script, tls)

    def _serve(
        self, conn: socket.socket, far: Far, script: Script, tls: ssl.SSLContext | None
    ) -> None:
        conn.settimeout(PATIENCE_S)
        try:
            with conn:
                if tls is None:
                    script(conn)
                    return
                with tls.wrap_socket(conn, server_side=True) as secure:
                    script(secure)
                    with contextlib.suppress(OSError, ValueError):
                        # Sends close_notify, and waits for the client's; unless the script closed.
                        secure.unwrap().close()
        except OSError as error:
            far.faults.append(error)


def read_request(conn: socket.socket) -> bytes:
    """One request, head and body of a stated length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = conn.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            while len(body) < int(value):
                body += conn.recv(65536)
    return head + b"\r\n\r\n" + body


@dataclass
class Got:
    """A stream read to its end."""

    stream: Stream
    arrivals: list[Arrival]

    @property
    def data(self) -> bytes:
        return b"".join(arrival.data for arrival in self.arrivals)

    @property
    def ending(self) -> Ending | None:
        return self.stream.ending


class Client:
    """What tests call; each call runs an event loop of its own."""

    def get(self, request: Request | str, **config: Any) -> Got:
        """Open a stream and read it to its end."""

        async def run() -> Got:
            asked = Request(url=request) if isinstance(request, str) else request
            async with await open_stream(asked, ClientConfig(**config)) as stream:
                arrivals = [arrival async for arrival in stream]
            return Got(stream, arrivals)

        return self.run(run())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(main, PATIENCE_S)

        return asyncio.run(bounded())


@dataclass(frozen=True)
class Authority:
    """A certificate authority with a server and a client that it vouches for."""

    cacert: str
    client_cert: str
    server: ssl.SSLContext
    strict_server: ssl.SSLContext


@pytest.fixture
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    running.stop()
    # A socket that was forgotten shows as a ResourceWarning here, and warnings are errors.
    gc.collect()


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    folder: Path = tmp_path_factory.mktemp("tls")
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    identity = ca.issue_cert("client@undam.test")
    identity.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    contexts = []
    for wanted in (ssl.CERT_NONE, ssl.CERT_REQUIRED):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "localhost", "api.undam.test").configure_cert(context)
        ca.configure_trust(context)
        context.verify_mode = wanted
        contexts.append(context)
    return Authority(str(folder / "ca.pem"), str(folder / "client.pem"), *contexts)
