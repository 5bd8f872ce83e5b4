"""Socket reads with receive timestamps from the kernel, for any event loop."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

# From include/uapi/asm-generic/socket.h, because Python has no constant for it. The number is used
# for the option and for the control message.
_SO_TIMESTAMPNS = 35
_SUPPORTED = sys.platform == "linux"
_TIMESPEC = struct.Struct("@ll")
# CMSG_SPACE does not exist on Windows; see `undam.poller.missing_features`.
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size) if hasattr(socket, "CMSG_SPACE") else 0
_NS_PER_S = 1_000_000_000

# Large enough for typical bursts in a fast stream; a larger burst takes several reads.
READ_BYTES = 65536

# The kernel takes up to 5 ms to enable timestamps, because it patches its code asynchronously.
_WARM_UP_ROUNDS = 50
_WARM_UP_PAUSE_S = 0.001


@dataclass(frozen=True, slots=True)
class TimestampedRead:
    """Data from one read, and its arrival time.

    Args:
        data: empty at the end of the stream.
        at_ns: CLOCK_REALTIME; the kernel timestamp if ``stamped``, otherwise the time of the read.
        late_ns: time for which the data was queued in the kernel; 0 if not ``stamped``.
        stamped: the kernel supplied a timestamp.
    """

    data: bytes
    at_ns: int
    late_ns: int
    stamped: bool


def enable(sock: socket.socket) -> bool:
    """Enable receive timestamps on a socket before it connects.

    Returns:
        False if the platform does not support them.
    """
    if not _SUPPORTED:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def read(sock: socket.socket) -> TimestampedRead:
    """Read once from a non-blocking socket.

    Segments that are queued together form one read, with the timestamp of the last segment.

    Raises:
        BlockingIOError: no data is available.
        OSError: the connection is broken.
    """
    data, ancillary, _, _ = sock.recvmsg(READ_BYTES, _ANCILLARY_BYTES)
    now_ns = time.time_ns()
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            at_ns = seconds * _NS_PER_S + nanoseconds
            return TimestampedRead(data, at_ns, max(0, now_ns - at_ns), True)
    return TimestampedRead(data, now_ns, 0, False)


class _WarmUp:
    """Process-wide object that keeps receive timestamps enabled in the kernel.

    The kernel stamps packets only while at least one socket of the host has the option set. Without
    this, the first reads of the first stream would have no timestamp.
    """

    def __init__(self) -> None:
        self._fd: int | None = None

    def ensure(self) -> Iterator[None]:
        """Enable timestamps; the caller must wait for one millisecond after each step."""
        if self._fd is not None or not _SUPPORTED:
            return
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 0)) as server:
            # create_connection would use the DNS resolver, which may be broken.
            with socket.socket() as client:
                client.connect(server.getsockname())
                client.setblocking(False)
                enable(client)
                with server.accept()[0] as peer:
                    yield from _until_stamped(client, peer)
            if self._fd is None:
                # The socket is detached and thus stays open until the process ends.
                keep = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                enable(keep)
                self._fd = keep.detach()


def _until_stamped(client: socket.socket, peer: socket.socket) -> Iterator[None]:
    for _ in range(_WARM_UP_ROUNDS):
        peer.send(b".")
        with contextlib.suppress(BlockingIOError):
            if read(client).stamped:
                return
        yield


_WARM_UP = _WarmUp()


async def warm_up() -> None:
    """Wait until the kernel timestamps received data. The first call takes a few milliseconds."""
    # asyncio is slow to import, and some users of this module have no event loop.
    import asyncio  # noqa: PLC0415

    for _ in _WARM_UP.ensure():
        await asyncio.sleep(_WARM_UP_PAUSE_S)


def warm_up_now() -> None:
    """Wait like `warm_up`, but without an event loop."""
    for _ in _WARM_UP.ensure():
        time.sleep(_WARM_UP_PAUSE_S)
