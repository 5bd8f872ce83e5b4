"""Socket options for streams: limited write buffers, detection of dead peers, and resets."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # asyncio is slow to import, and load-test workers do not need it.
    import asyncio

# Only Linux and macOS have this option. On other systems, only the transport's buffer is limited.
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)
# With these values, a dead peer is detected within 75 s.
_PROBE_AFTER_S = 45
_PROBE_INTERVAL_S = 10
_PROBES = 3
# struct linger with l_onoff = 1 and l_linger = 0 seconds.
_LINGER_ZERO = struct.pack("ii", 1, 0)


class _HasSocketOptions(Protocol):
    def setsockopt(self, level: int, option: int, value: bytes, /) -> None: ...


def reset_on_close(sock: _HasSocketOptions) -> None:
    """Make ``close`` reset the connection, so that the peer detects the close at once.

    Data in the kernel's send buffer is lost.

    Raises:
        OSError: the socket is already closed.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)


def detect_dead_peer(transport: asyncio.WriteTransport, user_timeout_s: float | None) -> None:
    """Make the kernel end the connection if the peer's host or network has failed.

    An idle connection is probed after `_PROBE_AFTER_S`, and ends after `_PROBES` unanswered probes.

    Args:
        user_timeout_s: maximum time for which sent data may stay unacknowledged or the peer may
            accept no data; ``None`` for the default of the kernel, about 15 minutes.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    options = [
        (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", None), _PROBE_AFTER_S),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None), _PROBE_INTERVAL_S),
        (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None), _PROBES),
    ]
    if user_timeout_s is not None:
        option = getattr(socket, "TCP_USER_TIMEOUT", None)
        options.append((socket.IPPROTO_TCP, option, int(user_timeout_s * 1000)))
    # setsockopt raises an OSError if the connection was closed in this loop iteration.
    with contextlib.suppress(OSError):
        for level, option, value in options:
            if option is not None:
                sock.setsockopt(level, option, value)


def limit_unsent(transport: asyncio.WriteTransport, buffer_bytes: int) -> None:
    """Limit the data that is buffered on this side of the connection to ``buffer_bytes``.

    The transport and the kernel (for unsent data) each get a quarter. Both check their limit only
    before they accept a write, and that write may be as large as the limit. Data that was sent but
    not read by the client is in the client's own socket buffer and does not count.
    """
    quarter = max(1, buffer_bytes // 4)
    transport.set_write_buffer_limits(high=quarter)
    sock = transport.get_extra_info("socket")
    if _NOTSENT_LOWAT is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        # setsockopt raises an OSError if the connection was closed in this loop iteration.
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, quarter)
