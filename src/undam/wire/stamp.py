"""Reads with the time at which the kernel received them. Sans-loop: any event loop can call it."""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

# include/uapi/asm-generic/socket.h; the same number names the option and the control message.
# Python knows no name for it.
_SO_TIMESTAMPNS = 35
_HAS_STAMPS = sys.platform == "linux"
_TIMESPEC = struct.Struct("@ll")
_ANCILLARY_BYTES = socket.CMSG_SPACE(_TIMESPEC.size)
_NS_PER_S = 1_000_000_000

# One read takes what a burst of a fast stream brings, and more shows as several reads.
READ_BYTES = 65536

# Turning stamps on takes the kernel up to 5 ms (it patches its own code, in the background).
_WARM_ROUNDS = 50
_WARM_PAUSE_S = 0.001


@dataclass(frozen=True, slots=True)
class Read:
    """What one read brought.

    Args:
        data: empty at the end of the stream.
        at_ns: CLOCK_REALTIME; the kernel's stamp where ``stamped``, else the time of the read.
        late_ns: how long the bytes waited in the kernel; 0 where not ``stamped``.
    """

    data: bytes
    at_ns: int
    late_ns: int
    stamped: bool


def enable(sock: socket.socket) -> bool:
    """Ask for stamps on a socket; to be called before it connects. False where there are none."""
    if not _HAS_STAMPS:
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except OSError:
        return False
    return True


def read(sock: socket.socket) -> Read:
    """Read once from a non-blocking socket.

    Segments that wait together come as one read with the stamp of the last.

    Raises:
        BlockingIOError: nothing waits.
        OSError: the connection is broken.
    """
    data, ancillary, _, _ = sock.recvmsg(READ_BYTES, _ANCILLARY_BYTES)
    now_ns = time.time_ns()
    for level, kind, value in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(value)
            at_ns = seconds * _NS_PER_S + nanoseconds
            return Read(data, at_ns, max(0, now_ns - at_ns), True)
    return Read(data, now_ns, 0, False)


class _Warmth:
    """Keeps stamping switched on in the kernel as long as this process lives.

    A packet that arrives while no socket of the host has stamping on carries no stamp, so the
    first stream would lose its first arrivals.
    """

    def __init__(self) -> None:
        self._fd: int | None = None

    def ensure(self) -> Iterator[None]:
        """Pause for a millisecond at each step, until done."""
        if self._fd is not None or not _HAS_STAMPS:
            return
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", 0)) as server:
            # No create_connection: it asks the resolver, and that may be what is broken.
            with socket.socket() as near:
                near.connect(server.getsockname())
                near.setblocking(False)
                enable(near)
                with server.accept()[0] as far:
                    yield from _until_stamped(near, far)
            if self._fd is None:
                # A bare descriptor: it is meant to stay open until the process ends.
                keep = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                enable(keep)
                self._fd = keep.detach()


def _until_stamped(near: socket.socket, far: socket.socket) -> Iterator[None]:
    for _ in range(_WARM_ROUNDS):
        far.send(b".")
        with contextlib.suppress(BlockingIOError):
            if read(near).stamped:
                return
        yield


_WARMTH = _Warmth()


async def warm() -> None:
    """Return once the kernel stamps what arrives, or cannot; the first call takes some ms."""
    # Not every user of stamps has an event loop, and loading asyncio is slow.
    import asyncio  # noqa: PLC0415

    for _ in _WARMTH.ensure():
        await asyncio.sleep(_WARM_PAUSE_S)


def warm_now() -> None:
    """`warm` for a program without an event loop."""
    for _ in _WARMTH.ensure():
        time.sleep(_WARM_PAUSE_S)
