"""Socket options for streams: bounded write buffers, and a reset instead of an orderly close."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # The workers of a load test need no event loop, and asyncio loads slowly.
    import asyncio

# Linux and macOS. Elsewhere only the buffer of the transport is bounded.
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
# struct linger: on, 0 seconds.
_LINGER_ZERO = struct.pack("ii", 1, 0)


class _HasSocketOptions(Protocol):
    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...


def reset_on_close(sock: _HasSocketOptions) -> None:
    """Make ``close`` reset the connection, so that the peer notices at once.

    Data in the send buffer of the kernel is lost.

    Raises:
        OSError: the socket is closed already.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


def limit_unsent(transport: asyncio.WriteTransport, buffer_bytes: int) -> None:
    """Pause writing once at most ``buffer_bytes`` wait on this side of the connection.

    A quarter may wait in the transport and a quarter, unsent, in the kernel. Both check only before
    they accept the next write, which may be as large again. Data that was sent but not read by
    the client is in the client's own socket buffer and does not count.
    """
    quarter = max(1, buffer_bytes // 4)
    transport.set_write_buffer_limits(high=quarter)
    sock = transport.get_extra_info("socket")
    if _NOTSENT_LOWAT is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):  # The connection was closed in this loop iteration.
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, quarter)
