"""A connected socket, with or without TLS, as an awaitable sequence of timestamped reads.

The event loop only reports readiness. Data is read as soon as it arrives, even if no task awaits
it. When the buffer is full, reading stops, and TCP flow control slows the peer down.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque

from undam.errors import NetworkError
from undam.http1.sockets import reset_on_close
from undam.wire import timestamps
from undam.wire.timestamps import TimestampedRead
from undam.wire.tls import TlsEngine

# Numbers of buffered bytes at which reading stops and resumes.
_HIGH_BYTES = 1 << 20
_LOW_BYTES = 1 << 18
# Memory overhead per buffered read. It is counted so that many tiny reads are bounded, too.
_READ_OVERHEAD_BYTES = 256
# Maximum number of reads per loop iteration, so that a fast peer does not starve the others.
_READS_PER_ITERATION = 16


class Channel:
    """Byte stream of one connection. The caller must close it.

    Args:
        sock: connected and non-blocking. The channel takes ownership.

    Attributes:
        clean: the peer closed as its protocol requires; with TLS, it must send close_notify. Valid
            at the end of the stream.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._reads: deque[TimestampedRead] = deque()
        self._buffered_bytes = 0
        self._reading = False
        self._fault: OSError | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._tls_engine: TlsEngine | None = None
        self._sent_all = True
        self._closed_ns = 0
        self.clean = True
        self._resume()

    @property
    def tls(self) -> str | None:
        """TLS version; ``None`` without TLS."""
        return self._tls_engine.version if self._tls_engine is not None else None

    @property
    def tls_issuer(self) -> str | None:
        """Issuer of the peer's certificate; ``None`` without TLS."""
        return self._tls_engine.issuer if self._tls_engine is not None else None

    @property
    def tls_expires_s(self) -> int | None:
        """Unix time at which the peer's certificate expires; ``None`` without TLS."""
        return self._tls_engine.expires_s if self._tls_engine is not None else None

    @property
    def protocol(self) -> str | None:
        """Protocol that the server selected by ALPN; ``None`` without TLS or ALPN."""
        return self._tls_engine.protocol if self._tls_engine is not None else None

    async def read(self) -> TimestampedRead:
        """Return the next read; an empty read marks the end of the stream.

        No data is lost if the call is cancelled.

        Raises:
            OSError: the connection broke.
            NetworkError: TLS failed, phase "tls".
        """
        while True:
            if self._tls_engine is not None and self._tls_engine.fault is not None:
                raise self._tls_engine.fault
            if self._tls_engine is not None and self._tls_engine.closed:
                return TimestampedRead(b"", self._closed_ns, 0, False)
            read = await self._raw_read()
            if self._tls_engine is None:
                return read
            if not read.data:
                self.clean = False
                return read
            plain = self._tls_engine.decrypt(read.data)
            self._closed_ns = read.at_ns
            # This data answers a TLS key update. If sending it fails, a later read raises the
            # error.
            with contextlib.suppress(OSError):
                await self._flush(self._tls_engine)
            if plain:
                return TimestampedRead(plain, read.at_ns, read.late_ns, read.stamped)

    async def send(self, data: bytes) -> None:
        """Send all of ``data``; return once the kernel has accepted it.

        Raises:
            OSError: the connection broke.
        """
        self._sent_all = False
        await self._loop.sock_sendall(
            self._sock, data if self._tls_engine is None else self._tls_engine.encrypt(data)
        )
        self._sent_all = True

    async def start_tls(self, tls_engine: TlsEngine) -> None:
        """Perform the TLS handshake; from then on, ``tls_engine`` encrypts all data.

        Raises:
            OSError: the connection broke.
            EOFError: the peer closed during the handshake.
            NetworkError: TLS failed, phase "tls".
        """
        done = tls_engine.handshake(b"")
        await self._flush(tls_engine)
        while not done:
            read = await self._raw_read()
            if not read.data:
                raise EOFError
            try:
                done = tls_engine.handshake(read.data)
            except NetworkError:
                # The TLS alert tells the server the reason. The server may have closed the
                # connection already.
                with contextlib.suppress(OSError):
                    await self._flush(tls_engine)
                raise
            await self._flush(tls_engine)
        self._tls_engine = tls_engine

    def fail(self, fault: OSError) -> None:
        """Make ``read`` raise ``fault`` once it has returned all buffered data.

        A send that waits for a peer which does not read ends, too.
        """
        self._fault = self._fault or fault
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)
        self._pause()
        self._wake()

    def close(self, *, abort: bool = False) -> None:
        """Close without waiting; ``abort`` resets the connection, so that the peer notices it."""
        self._pause()
        self._wake()
        with contextlib.suppress(OSError):
            if abort:
                reset_on_close(self._sock)
            elif self._tls_engine is not None and self._sent_all and self._fault is None:
                self._sock.send(self._tls_engine.close_notify())
        self._sock.close()

    async def _flush(self, tls_engine: TlsEngine) -> None:
        data = tls_engine.to_send()
        if data:
            await self._loop.sock_sendall(self._sock, data)

    async def _raw_read(self) -> TimestampedRead:
        while not self._reads:
            if self._fault is not None:
                raise self._fault
            if self._sock.fileno() < 0:
                raise ConnectionAbortedError("the stream was closed locally")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        read = self._reads.popleft()
        self._buffered_bytes -= len(read.data) + _READ_OVERHEAD_BYTES
        if not self._reading and self._buffered_bytes < _LOW_BYTES:
            self._resume()
        return read

    def _on_readable(self) -> None:
        try:
            for _ in range(_READS_PER_ITERATION):
                read = timestamps.read(self._sock)
                self._reads.append(read)
                self._buffered_bytes += len(read.data) + _READ_OVERHEAD_BYTES
                if not read.data:
                    self._ended = True
                if self._ended or self._buffered_bytes >= _HIGH_BYTES:
                    self._pause()
                    break
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._fault = error
            self._pause()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._loop.remove_reader(self._sock)

    def _resume(self) -> None:
        if not self._ended and self._fault is None and self._sock.fileno() >= 0:
            self._reading = True
            self._loop.add_reader(self._sock, self._on_readable)
