"""Scripted servers on loopback; each test defines what the server does with a connection."""

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

from support.threaded_server import read_request
from undam.record import Ending
from undam.timing import Arrival
from undam.wire import ClientConfig, Request, Stream, open_stream

T = TypeVar("T")
Script = Callable[[socket.socket], None]

TIMEOUT_S = 20


@dataclass
class RunningServer:
    """Listening scripted server; ``heads`` contains the requests that its scripts have read."""

    port: int
    heads: list[bytes] = field(default_factory=list)
    faults: list[BaseException] = field(default_factory=list)

    def url(self, path: str = "/", scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


class Servers:
    """Factory for scripted servers, which stop at the end of the test."""

    def __init__(self) -> None:
        self._threads: list[threading.Thread] = []
        self._listeners: list[socket.socket] = []

    def start(self, script: Script, tls: ssl.SSLContext | None = None) -> RunningServer:
        listener = socket.create_server(("127.0.0.1", 0))
        server = RunningServer(listener.getsockname()[1])
        self._listeners.append(listener)
        self._run(self._accept, listener, server, script, tls)
        return server

    def answer(self, reply: bytes, tls: ssl.SSLContext | None = None) -> RunningServer:
        """Start a server that reads a request including its body and sends one reply."""

        def script(conn: socket.socket) -> None:
            server.heads.append(read_request(conn))
            conn.sendall(reply)

        server = self.start(script, tls)
        return server

    def stop(self) -> None:
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for thread in self._threads:
            thread.join(TIMEOUT_S)
            assert not thread.is_alive(), "a scripted server did not end"

    def _run(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(
        self,
        listener: socket.socket,
        server: RunningServer,
        script: Script,
        tls: ssl.SSLContext | None,
    ) -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            self._run(self._serve, conn, server, script, tls)

    def _serve(
        self, conn: socket.socket, server: RunningServer, script: Script, tls: ssl.SSLContext | None
    ) -> None:
        conn.settimeout(TIMEOUT_S)
        try:
            with conn:
                if tls is None:
                    script(conn)
                    return
                with tls.wrap_socket(conn, server_side=True) as secure:
                    script(secure)
                    with contextlib.suppress(OSError, ValueError):
                        # If the script has not closed the connection, send close_notify and wait
                        # for the client's close_notify.
                        secure.unwrap().close()
        except OSError as error:
            server.faults.append(error)


@dataclass
class Received:
    """Everything received from a stream that was read to its end."""

    stream: Stream
    arrivals: list[Arrival]

    @property
    def data(self) -> bytes:
        return b"".join(arrival.data for arrival in self.arrivals)

    @property
    def ending(self) -> Ending | None:
        return self.stream.ending


class Client:
    """HTTP client for tests; each call runs its own event loop."""

    def get(self, request: Request | str, **config: Any) -> Received:
        """Open a stream and read it to its end."""

        async def run() -> Received:
            sent = Request(url=request) if isinstance(request, str) else request
            async with await open_stream(sent, ClientConfig(**config)) as stream:
                arrivals = [arrival async for arrival in stream]
            return Received(stream, arrivals)

        return self.run(run())

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            return await asyncio.wait_for(main, TIMEOUT_S)

        return asyncio.run(bounded())


@dataclass(frozen=True)
class Authority:
    """Certificate authority, with certificates for a server and a client."""

    cacert: str
    client_cert: str
    server: ssl.SSLContext
    strict_server: ssl.SSLContext


@pytest.fixture
def servers() -> Iterator[Servers]:
    running = Servers()
    yield running
    running.stop()
    # Collecting an unclosed socket raises a ResourceWarning here, and warnings are errors.
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
    for verify_mode in (ssl.CERT_NONE, ssl.CERT_REQUIRED):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ca.issue_cert("127.0.0.1", "localhost", "api.undam.test").configure_cert(context)
        ca.configure_trust(context)
        context.verify_mode = verify_mode
        contexts.append(context)
    return Authority(str(folder / "ca.pem"), str(folder / "client.pem"), *contexts)
