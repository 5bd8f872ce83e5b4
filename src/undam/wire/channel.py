"""A connected socket as an awaitable sequence of stamped reads, in the clear or through TLS.

The event loop is used for readiness only. Reads are taken as soon as they are there, whether or
not anybody waits for them, up to a bound; then the peer has to wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque

from undam.errors import NetworkError
from undam.http1.sockets import reset_on_close
from undam.wire import stamp
from undam.wire.stamp import Read
from undam.wire.tls import TlsPump

# Unread bytes at which reading stops, and at which it goes on.
_HIGH_BYTES = 1 << 20
_LOW_BYTES = 1 << 18
# What a read costs in memory beside its bytes, so that tiny reads are bounded too.
_READ_OVERHEAD_BYTES = 256
# Reads in one turn of the loop, so that one fast peer does not starve the others.
_READS_PER_TURN = 16


class Channel:
    """The bytes of one connection. Closing it is the owner's duty.

    Args:
        sock: connected and non-blocking; owned by the channel from now on.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()
        self._reads: deque[Read] = deque()
        self._held_bytes = 0
        self._reading = False
        self._fault: OSError | None = None
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None
        self._pump: TlsPump | None = None
        self._sent_all = True
        self._closed_ns = 0
        self.orderly = True
        self._resume()

    @property
    def tls(self) -> str | None:
        """The version of TLS in use."""
        return self._pump.version if self._pump is not None else None

    async def read(self) -> Read:
        """The next read with any bytes in it; one without is the end of the stream.

        At the end ``orderly`` tells whether the peer closed as its protocol asks: a TLS connection
        without close_notify is not. May be cancelled without loss.

        Raises:
            OSError: the connection broke.
            NetworkError: TLS broke, phase "tls".
        """
        while True:
            if self._pump is not None and self._pump.fault is not None:
                raise self._pump.fault
            if self._pump is not None and self._pump.closed:
                return Read(b"", self._closed_ns, 0, False)
            read = await self._raw_read()
            if self._pump is None:
                return read
            if not read.data:
                self.orderly = False
                return read
            plain = self._pump.decrypt(read.data)
            self._closed_ns = read.at_ns
            # The answer to a key update; if it can't be sent, a later read says why.
            with contextlib.suppress(OSError):
                await self._flush(self._pump)
            if plain:
                return Read(plain, read.at_ns, read.late_ns, read.stamped)

    async def send(self, data: bytes) -> None:
        """Hand all of ``data`` to the kernel.

        Raises:
            OSError: the connection broke.
        """
        self._sent_all = False
        await self._loop.sock_sendall(
            self._sock, data if self._pump is None else self._pump.encrypt(data)
        )
        self._sent_all = True

    async def start_tls(self, pump: TlsPump) -> None:
        """Do the handshake; from then on the channel speaks through ``pump``.

        Raises:
            OSError: the connection broke.
            EOFError: the peer closed in the middle.
            NetworkError: TLS failed, phase "tls".
        """
        done = pump.shake_hands(b"")
        await self._flush(pump)
        while not done:
            read = await self._raw_read()
            if not read.data:
                raise EOFError
            try:
                done = pump.shake_hands(read.data)
            except NetworkError:
                # The alert tells the server why; it may have hung up already.
                with contextlib.suppress(OSError):
                    await self._flush(pump)
                raise
            await self._flush(pump)
        self._pump = pump

    def fail(self, fault: OSError) -> None:
        """Make ``read`` raise ``fault`` once what has arrived before is taken."""
        self._fault = self._fault or fault
        self._pause()
        self._wake()

    def close(self, *, abort: bool = False) -> None:
        """Close at once; ``abort`` resets the connection, so that the peer notices."""
        self._pause()
        self._wake()
        with contextlib.suppress(OSError):
            if abort:
                reset_on_close(self._sock)
            elif self._pump is not None and self._sent_all and self._fault is None:
                self._sock.send(self._pump.goodbye())
        self._sock.close()

    async def _flush(self, pump: TlsPump) -> None:
        data = pump.to_send()
        if data:
            await self._loop.sock_sendall(self._sock, data)

    async def _raw_read(self) -> Read:
        while not self._reads:
            if self._fault is not None:
                raise self._fault
            if self._sock.fileno() < 0:
                raise ConnectionAbortedError("the stream was closed here")
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        read = self._reads.popleft()
        self._held_bytes -= len(read.data) + _READ_OVERHEAD_BYTES
        if not self._reading and self._held_bytes < _LOW_BYTES:
            self._resume()
        return read

    def _on_readable(self) -> None:
        try:
            for _ in range(_READS_PER_TURN):
                read = stamp.read(self._sock)
                self._reads.append(read)
                self._held_bytes += len(read.data) + _READ_OVERHEAD_BYTES
                if not read.data:
                    self._ended = True
                if self._ended or self._held_bytes >= _HIGH_BYTES:
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
