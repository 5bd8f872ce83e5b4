"""One connection of a worker: to the target, through TLS perhaps, one request after another.

Nothing here waits: each call does what can be done now and tells what the socket must be ready
for next.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import time
from enum import Enum
from typing import TYPE_CHECKING, Any

from undam.errors import NetworkError
from undam.http1.sockets import reset_on_close
from undam.loadtest.worker.active_request import ActiveRequest
from undam.wire import timestamps
from undam.wire.timestamps import READ_BYTES

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

Address = tuple[int, tuple[Any, ...]]
Fault = tuple[str, str]

_NS_PER_S = 1_000_000_000
_TIMESPEC = struct.Struct("@ll")

_KINDS = {
    errno.ECONNREFUSED: ("refused", "connection refused"),
    errno.ECONNRESET: ("reset", "connection reset"),
    errno.EPIPE: ("reset", "connection reset"),
    errno.ECONNABORTED: ("reset", "connection aborted"),
    errno.ETIMEDOUT: ("timeout", "no answer to the connection"),
    errno.EHOSTUNREACH: ("unreachable", "no route to the host"),
    errno.ENETUNREACH: ("unreachable", "network is unreachable"),
    errno.EMFILE: ("local-limit", "this process has no file descriptor left (ulimit -n)"),
    errno.ENFILE: ("local-limit", "this system has no file descriptor left"),
    errno.EADDRNOTAVAIL: ("local-limit", "this machine has no port left for the target"),
    errno.ENOBUFS: ("local-limit", "this machine has no memory left for sockets"),
    errno.ENOMEM: ("local-limit", "this machine has no memory left for sockets"),
}


def fault_from(error: OSError) -> Fault:
    """An error of a socket as a kind and a message."""
    known = _KINDS.get(error.errno or 0)
    if known is not None:
        return known
    said = os.strerror(error.errno).lower() if error.errno else str(error)
    return ("network", said or type(error).__name__)


class ConnectionState(Enum):
    """What a connection is doing."""

    CONNECTING = "connecting"
    HANDSHAKING = "shaking hands"
    IDLE = "idle"
    SENDING = "sending"
    READING = "reading"
    CLOSED = "closed"


class WorkerConnection:
    """A socket to the target; it begins to connect when it is made.

    Attributes:
        address: index of the one it goes to.
        born: the turn of the loop in which it was made.
        clear_ns: when it was last seen empty, after a read that may have left something; else 0.
        pooled: it was idle before it got its exchange, so the server may have closed it by then.

    Args:
        pump: speaks TLS; ``None`` for a connection in the clear.

    Raises:
        OSError: it cannot connect.
    """

    __slots__ = (
        "_out",
        "_pump",
        "_recvmsg",
        "active",
        "address",
        "born",
        "clear_ns",
        "fd",
        "pooled",
        "sock",
        "state",
        "wants_write",
    )  # fmt: skip

    def __init__(self, address: Address, pump: TlsEngine | None) -> None:
        family, sockaddr = address
        self.active: ActiveRequest | None = None
        self.pooled = False
        self.address = 0
        self.born = 0
        self.clear_ns = 0
        self.state = ConnectionState.CONNECTING
        self.wants_write = True
        self._out = b""
        self._pump = pump
        self.sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            timestamps.enable(self.sock)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            code = self.sock.connect_ex(sockaddr)
            if code not in {0, errno.EINPROGRESS}:
                raise OSError(code, os.strerror(code))
        except BaseException:
            self.sock.close()
            raise
        self.fd = self.sock.fileno()
        self._recvmsg = self.sock.recvmsg

    def assign(self, active: ActiveRequest) -> None:
        """Send the request of ``active``, or as soon as the connection is there.

        Raises:
            OSError: the connection is broken.
        """
        self.active = active
        self.pooled = self.state is ConnectionState.IDLE
        if self.state is ConnectionState.IDLE:
            self._begin()

    def advance(self) -> None:
        """Go on after the socket became ready, until it must be waited for again.

        Raises:
            OSError: the connection is broken, or never came to be.
            NetworkError: TLS failed.
        """
        if self.state is ConnectionState.CONNECTING:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            if self._pump is None:
                self._connected()
            else:
                self.state = ConnectionState.HANDSHAKING
                self._pump.handshake(b"")
                self._out = self._pump.to_send()
                self._flush()
        elif self.state is ConnectionState.HANDSHAKING:
            self._handshake()
        elif self.state is ConnectionState.SENDING:
            self._flush()

    def read(self) -> tuple[bytes, int, int, bool]:
        """Read once: the bytes, when they came, when they were taken, and whether the kernel said
        when. No bytes at all are the end of the connection.

        Raises:
            BlockingIOError: nothing waits.
            OSError: the connection is broken.
        """
        data, ancillary, _, _ = self._recvmsg(READ_BYTES, _ANCILLARY_BYTES)
        now_ns = time.time_ns()
        if ancillary:
            seconds, nanoseconds = _unpack(ancillary[0][2])
            return data, seconds * _NS_PER_S + nanoseconds, now_ns, True
        return data, now_ns, now_ns, False

    def plain(self, data: bytes) -> tuple[bytes, Fault | None]:
        """What ``data`` says beneath TLS, and why no more can come; EOF is ``b""``."""
        pump = self._pump
        if pump is None:
            return data, None
        if not data:
            said = "the TLS connection ended without close_notify"
            return b"", None if pump.closed else ("truncated", said)
        text = pump.decrypt(data)
        if pump.fault is not None:
            return text, ("tls", str(pump.fault))
        # The answer to a key update; if it can't be sent, a later read says why.
        reply = pump.to_send()
        if reply:
            with contextlib.suppress(OSError):
                self.sock.send(reply)
        return text, None

    @property
    def uses_tls(self) -> bool:
        """Whether bytes must go through ``plain``."""
        return self._pump is not None

    @property
    def received_close_notify(self) -> bool:
        """The server has closed TLS in good order."""
        return self._pump is not None and self._pump.closed

    def close(self, *, abort: bool = False) -> None:
        """Close at once; ``abort`` resets, so that the server notices."""
        if self.state is ConnectionState.CLOSED:
            return
        with contextlib.suppress(OSError):
            if abort:
                reset_on_close(self.sock)
            elif self._pump is not None and not self._out:
                self.sock.send(self._pump.close_notify())
        self.state = ConnectionState.CLOSED
        self.active = None
        self.sock.close()

    def _connected(self) -> None:
        self.state = ConnectionState.IDLE
        self.wants_write = False
        if self.active is not None:
            self._begin()

    def _begin(self) -> None:
        assert self.active is not None
        request = self.active.request
        self._out = request if self._pump is None else self._pump.encrypt(request)
        self.state = ConnectionState.SENDING
        self._flush()

    def _flush(self) -> None:
        """Send what is left, and note when the kernel was handed the last byte of a request."""
        while self._out:
            now_ns = time.time_ns()
            try:
                sent = self.sock.send(self._out)
            except BlockingIOError:
                self.wants_write = True
                return
            self._out = self._out[sent:]
            if not self._out and self.active is not None and self.state is ConnectionState.SENDING:
                self.active.started_ns = now_ns
        self.wants_write = False
        if self.state is ConnectionState.SENDING:
            self.state = ConnectionState.READING

    def _handshake(self) -> None:
        pump = self._pump
        assert pump is not None
        self._flush()
        while self.state is ConnectionState.HANDSHAKING:
            try:
                data = self.sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                raise NetworkError(
                    "the server closed the connection in the TLS handshake", phase="tls"
                )
            try:
                done = pump.handshake(data)
            finally:
                self._out += pump.to_send()
                with contextlib.suppress(OSError):
                    self._flush()
            if done:
                self._connected()


_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_unpack = _TIMESPEC.unpack
