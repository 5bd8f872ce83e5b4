"""Limit for the data buffered for a slow client, set on the server's own transport.

Only two public settings of the connection are changed. If the transport cannot be found
(docs/servers.md lists the servers that expose it), nothing is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from undam.asgi.interface import Receive, Scope, Send
from undam.http1.sockets import limit_unsent


def find_transport(scope: Scope, receive: Receive, send: Send) -> asyncio.Transport | None:
    """Return the transport that serves only this request, or ``None`` if it is not accessible.

    Under uvicorn, ``receive`` is a method of an object with a ``transport``. Under hypercorn, the
    ``writer`` is reached from ``send`` through the stream and its protocol. A framework that wraps
    ``receive`` or ``send`` hides the transport.
    """
    if scope.get("http_version", "1.1").startswith(("2", "3")):
        return None  # Several streams share the connection, and each stream has its own window.
    for function in (receive, send):
        transport = getattr(_owner(function), "transport", None)
        if _is_transport(transport):
            return transport
    protocol = _owner(getattr(_owner(send), "send", None))
    connection = _owner(getattr(protocol, "send", None))
    transport = getattr(getattr(connection, "writer", None), "transport", None)
    return transport if _is_transport(transport) else None


def limit_client_buffer(transport: asyncio.Transport, buffer_bytes: int) -> None:
    """Apply `limit_unsent` to the transport of a server.

    Transports that are closing or of an unknown kind are not changed.
    """
    with contextlib.suppress(Exception):
        limit_unsent(transport, buffer_bytes)


def _owner(method: Any) -> Any:
    return getattr(method, "__self__", None)


def _is_transport(candidate: Any) -> bool:
    return hasattr(candidate, "get_extra_info") and hasattr(candidate, "set_write_buffer_limits")
