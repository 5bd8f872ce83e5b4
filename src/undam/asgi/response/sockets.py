"""How much may wait for a slow client: limits on the server's own transport, where it shows it.

Nothing of a server is changed but two public settings of the one connection. Where the transport
cannot be found (docs/servers.md says under which servers), nothing is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from undam.asgi.interface import Receive, Scope, Send

# Linux and macOS; elsewhere only the transport's own buffer is bounded.
_NOTSENT_LOWAT: int | None = getattr(socket, "TCP_NOTSENT_LOWAT", None)


def find_transport(scope: Scope, receive: Receive, send: Send) -> asyncio.Transport | None:
    """The connection that serves this request alone; ``None`` if the server does not show it.

    uvicorn: ``receive`` is a method of an object that has ``transport``. hypercorn: ``send`` leads
    through the stream and its protocol to ``writer``. A framework that wraps either hides it.
    """
    if scope.get("http_version", "1.1").startswith(("2", "3")):
        return None  # Several streams share the connection, and each has a window of its own.
    for function in (receive, send):
        transport = getattr(_owner(function), "transport", None)
        if _is_transport(transport):
            return transport
    protocol = _owner(getattr(_owner(send), "send", None))
    connection = _owner(getattr(protocol, "send", None))
    transport = getattr(getattr(connection, "writer", None), "transport", None)
    return transport if _is_transport(transport) else None


def limit_unsent(transport: asyncio.Transport, buffer_bytes: int) -> None:
    """Pause writing when at most ``buffer_bytes`` wait on this side of the connection.

    A quarter may wait in the transport and a quarter, unsent, in the kernel; both look only before
    they take the next piece, which may be as large again. What the kernel has sent and the client
    has not read lies in the client's own socket buffer.
    """
    quarter = max(1, buffer_bytes // 4)
    # A transport that is closing, or of another make, keeps its limits.
    with contextlib.suppress(Exception):
        transport.set_write_buffer_limits(high=quarter)
        connection = transport.get_extra_info("socket")
        if _NOTSENT_LOWAT is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
            connection.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, quarter)


def _owner(method: Any) -> Any:
    return getattr(method, "__self__", None)


def _is_transport(thing: Any) -> bool:
    return hasattr(thing, "get_extra_info") and hasattr(thing, "set_write_buffer_limits")
