"""Connection from a worker to the target, optionally with TLS; one request at a time.

No call blocks. Each does what is possible now and updates ``wants_write``, which determines the
socket events that the caller waits for.
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
from undam.loadtest.analysis.response_analyzer import RawRead
from undam.loadtest.worker.active_request import ActiveRequest
from undam.record.request_result import LOCAL_LIMIT
from undam.wire import timestamps
from undam.wire.timestamps import READ_BYTES

if TYPE_CHECKING:
    from undam.wire.tls import TlsEngine

Address = tuple[int, tuple[Any, ...]]
Fault = tuple[str, str]
TimedText = tuple[RawRead, bool, Fault | None]
"""A read after decryption, whether it has a kernel timestamp, and the fault that follows it."""

_NS_PER_S = 1_000_000_000
_TIMESPEC = struct.Struct("@ll")

_KINDS = {
    errno.ECONNREFUSED: ("refused", "connection refused"),
    errno.ECONNRESET: ("reset", "connection reset"),
    errno.EPIPE: ("reset", "connection reset"),
    errno.ECONNABORTED: ("reset", "connection aborted"),
    errno.ETIMEDOUT: ("timeout", "connection attempt timed out"),
    errno.EHOSTUNREACH: ("unreachable", "no route to host"),
    errno.ENETUNREACH: ("unreachable", "network is unreachable"),
    errno.EMFILE: (LOCAL_LIMIT, "this process is out of file descriptors (ulimit -n)"),
    errno.ENFILE: (LOCAL_LIMIT, "this system is out of file descriptors"),
    errno.EADDRNOTAVAIL: (LOCAL_LIMIT, "this machine has no free local port for the target"),
    errno.ENOBUFS: (LOCAL_LIMIT, "this machine has no memory left for sockets"),
    errno.ENOMEM: (LOCAL_LIMIT, "this machine has no memory left for sockets"),
}


def fault_from(error: OSError) -> Fault:
    """Convert a socket error to a fault kind and a message."""
    known = _KINDS.get(error.errno or 0)
    if known is not None:
        return known
    message = os.strerror(error.errno).lower() if error.errno else str(error)
    return ("network", message or type(error).__name__)


class ConnectionState(Enum):
    """State of a ``WorkerConnection``."""

    CONNECTING = "connecting"
    HANDSHAKING = "handshaking"
    IDLE = "idle"
    SENDING = "sending"
    READING = "reading"
    CLOSED = "closed"


class WorkerConnection:
    """Nonblocking connection to the target, which starts to connect when it is created.

    Attributes:
        active: the request that it carries; ``None`` while it is idle.
        address: index of the target address.
        created_in: iteration of the event loop in which it was created.
        drained_ns: when its receive buffer was last known to be empty, if the latest read may have
            left data in it; otherwise 0.
        read_bytes: maximum number of bytes of the next read.
        wants_write: whether to wait for the socket to become writable.

    Args:
        tls: TLS engine; ``None`` for plain HTTP.

    Raises:
        OSError: the socket cannot connect.
    """

    __slots__ = (
        "_full_read_ns",
        "_out",
        "_recvmsg",
        "_tls",
        "active",
        "address",
        "created_in",
        "drained_ns",
        "fd",
        "read_bytes",
        "sock",
        "state",
        "wants_write",
    )  # fmt: skip

    def __init__(self, address: Address, tls: TlsEngine | None) -> None:
        family, sockaddr = address
        self.active: ActiveRequest | None = None
        self.address = 0
        self.created_in = 0
        self.drained_ns = 0
        self.read_bytes = READ_BYTES
        self._full_read_ns = 0
        self.state = ConnectionState.CONNECTING
        self.wants_write = True
        self._out = b""
        self._tls = tls
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self.sock.setblocking(False)
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
        """Send the request ``active`` now, or as soon as the connection is established.

        Raises:
            OSError: the connection is broken.
        """
        self.active = active
        active.pooled = self.state is ConnectionState.IDLE
        if self.state is ConnectionState.IDLE:
            self._begin()

    def advance(self) -> None:
        """Continue connecting, the TLS handshake or sending after the socket has become ready.

        Raises:
            OSError: the connection is broken or could not be established.
            NetworkError: TLS failed.
        """
        if self.state is ConnectionState.CONNECTING:
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            if self._tls is None:
                self._connected()
            else:
                self.state = ConnectionState.HANDSHAKING
                self._tls.handshake(b"")
                self._out = self._tls.to_send()
                self._flush()
        elif self.state is ConnectionState.HANDSHAKING:
            self._handshake()
        elif self.state is ConnectionState.SENDING:
            self._flush()

    def read(self, drained_ns: int) -> TimedText:
        """Read once; the bytes are empty at the end of the connection.

        Args:
            drained_ns: start of the latest poll.

        Raises:
            BlockingIOError: there is nothing to read, or only a part of a TLS record.
            OSError: the connection is broken.
        """
        most = self.read_bytes
        data, ancillary, _, _ = self._recvmsg(most, _ANCILLARY_BYTES)
        at_ns = now_ns = time.time_ns()
        if ancillary:
            seconds, nanoseconds = _unpack(ancillary[0][2])
            at_ns = seconds * _NS_PER_S + nanoseconds
        # After a full read, the socket may contain more data, unless a later poll found none.
        if self.drained_ns and drained_ns <= self._full_read_ns:
            drained_ns = self.drained_ns
        self.drained_ns, self._full_read_ns = (drained_ns, now_ns) if len(data) == most else (0, 0)
        fault = None
        if self._tls is not None:
            size = len(data)
            data, fault = self.decrypt(data)
            if size and not data and fault is None and not self._tls.closed:
                raise BlockingIOError
        read = (at_ns, max(0, at_ns - drained_ns), max(0, now_ns - at_ns), data)
        return read, bool(ancillary), fault

    def decrypt(self, data: bytes) -> tuple[bytes, Fault | None]:
        """Decrypt ``data`` (empty at EOF); return the plaintext, and a fault or ``None``."""
        tls = self._tls
        if tls is None:
            return data, None
        if not data:
            message = "the TLS connection ended without close_notify"
            return b"", None if tls.closed else ("truncated", message)
        text = tls.decrypt(data)
        if tls.fault is not None:
            return text, ("tls", str(tls.fault))
        # Reply to a TLS key update. If the reply cannot be sent, a later read reports the reason.
        reply = tls.to_send()
        if reply:
            with contextlib.suppress(OSError):
                self.sock.send(reply)
        return text, None

    def read_while_idle(self) -> bool:
        """Read data that arrived without a request; return whether the connection is still usable.

        A TLS 1.3 server sends session tickets after the handshake, and may update its keys at any
        time. Text without a request is invalid.
        """
        if self._tls is None:
            return False
        try:
            data = self.sock.recv(READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return True
        except OSError:
            return False
        text, fault = self.decrypt(data)
        return bool(data) and not text and fault is None and not self._tls.closed

    @property
    def requests(self) -> list[ActiveRequest]:
        """Return the requests that this connection carries."""
        return [] if self.active is None else [self.active]

    @property
    def received_close_notify(self) -> bool:
        """Return whether the server has closed the TLS connection cleanly."""
        return self._tls is not None and self._tls.closed

    def close(self, *, abort: bool = False) -> None:
        """Close at once; ``abort`` sends a reset, so that the server stops generating."""
        if self.state is ConnectionState.CLOSED:
            return
        with contextlib.suppress(OSError):
            if abort:
                reset_on_close(self.sock)
            elif self._tls is not None and not self._out:
                self.sock.send(self._tls.close_notify())
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
        self._out = request if self._tls is None else self._tls.encrypt(request)
        self.state = ConnectionState.SENDING
        self._flush()

    def _flush(self) -> None:
        """Send buffered bytes, and record when the last byte of a request was sent."""
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
        tls = self._tls
        assert tls is not None
        self._flush()
        while self.state is ConnectionState.HANDSHAKING:
            try:
                data = self.sock.recv(READ_BYTES)
            except BlockingIOError:
                return
            if not data:
                raise NetworkError(
                    "the server closed the connection during the TLS handshake", phase="tls"
                )
            try:
                done = tls.handshake(data)
            finally:
                self._out += tls.to_send()
                with contextlib.suppress(OSError):
                    self._flush()
            if done:
                self._connected()


_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_unpack = _TIMESPEC.unpack
