"""Access to the server's connection: set its buffer limit, or reset one HTTP/2 stream.

Only two public settings of the connection are changed. If the transport cannot be found
(docs/servers.md lists the servers that expose it), nothing is changed.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from undam.asgi.interface import Receive, Scope, Send
from undam.http1.sockets import limit_unsent

_MAX_WRAPPERS = 32
# Time limit for sending the error event. If the client's window is full, the event is never sent.
_DRAIN_S = 1.0
# granian is not listed, because it logs only an exception's message.
_LOGGING_SERVERS = frozenset({"uvicorn", "hypercorn"})
_INTERNAL_ERROR = 2  # RFC 9113, 7


def find_transport(scope: Scope, receive: Receive, send: Send) -> asyncio.Transport | None:
    """Return the transport if it serves only this request; ``None`` if it is inaccessible.

    Under uvicorn, ``receive`` is a method of an object with a ``transport``. Under hypercorn, the
    ``writer`` is reached from ``send`` through the stream and its protocol. Starlette's wrappers of
    both are unwrapped.
    """
    send, receive = server_send(send), _server_receive(receive)
    if scope.get("http_version", "1.1").startswith(("2", "3")):
        return None  # HTTP/2 and HTTP/3 streams share a connection; each has its own window
    transport = getattr(_owner(receive), "transport", None)
    return transport if _is_transport(transport) else _transport_behind(send)


def _transport_behind(send: Any) -> asyncio.Transport | None:
    transport = getattr(_owner(send), "transport", None)
    if _is_transport(transport):
        return transport
    protocol = _owner(getattr(_owner(send), "send", None))
    connection = _owner(getattr(protocol, "send", None))
    transport = getattr(getattr(connection, "writer", None), "transport", None)
    return transport if _is_transport(transport) else None


def limit_client_buffer(transport: asyncio.Transport, buffer_bytes: int) -> None:
    """Apply `limit_unsent` to a server's transport.

    Transports that are closing or of an unknown kind are not changed.
    """
    with contextlib.suppress(Exception):
        limit_unsent(transport, buffer_bytes)


def server_send(send: Any) -> Any:
    """Return the server's own ``send``, without the wrappers of middleware.

    A function is unwrapped if it is a closure over, or a partial call with, another ``send``.
    """
    for _ in range(_MAX_WRAPPERS):
        inner = getattr(send, "keywords", {}).get("send") or _enclosed(send, "send")
        if not callable(inner):
            return send
        send = inner
    return send


def _server_receive(receive: Any) -> Any:
    """Return the server's own ``receive``, without Starlette's wrappers."""
    for _ in range(_MAX_WRAPPERS):
        inner = _enclosed(receive, "receive") or _enclosed(receive, "wrapped_receive")
        if inner is None and type(_owner(receive)).__name__ == "_CachedRequest":
            inner = getattr(_owner(receive), "_receive", None)
        if not callable(inner):
            return receive
        receive = inner
    return receive


def _enclosed(function: Any, name: str) -> Any:
    """Return variable ``name`` from the scope that encloses ``function``; ``None`` if absent."""
    code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
    if code is None or not cells or name not in code.co_freevars:
        return None
    try:
        return cells[code.co_freevars.index(name)].cell_contents
    except ValueError:  # the closure cell is empty
        return None


def is_indirect(send: Any) -> bool:
    """Return whether middleware of unknown structure is between the application and the server.

    Such middleware may turn a failed response into a clean end. Starlette's BaseHTTPMiddleware, and
    so FastAPI's ``@app.middleware("http")``, sends the last chunk before it raises the exception of
    the application. It may in turn be hidden behind other middleware, such as GZipMiddleware.
    """
    return _transport_behind(server_send(send)) is None


def server_logs_exceptions(send: Any) -> bool:
    """Return whether the server is known to log an application's exception and its cause."""
    owner = _owner(server_send(send))
    return type(owner).__module__.partition(".")[0] in _LOGGING_SERVERS


async def reset_http2_stream(scope: Scope, send: Send) -> None:
    """Under hypercorn, reset this request's HTTP/2 stream after its data has been sent.

    hypercorn sends nothing when an application fails, so that the client would wait until the
    connection ends. HTTP/1.1, other servers and servers of unknown structure are not accessed.
    """
    if not scope.get("http_version", "1.1").startswith("2"):
        return
    stream = _owner(server_send(send))
    protocol = _owner(getattr(stream, "send", None))
    number = getattr(stream, "stream_id", None)
    connection: Any = getattr(protocol, "connection", None)
    flush: Any = getattr(protocol, "_flush", None)
    if number is None or flush is None or not hasattr(connection, "reset_stream"):
        return
    with contextlib.suppress(Exception):
        async with asyncio.timeout(_DRAIN_S):
            await protocol.stream_buffers[number].drain()
    with contextlib.suppress(Exception):
        connection.reset_stream(number, _INTERNAL_ERROR)
        await flush()


def _owner(method: Any) -> Any:
    return getattr(method, "__self__", None)


def _is_transport(candidate: Any) -> bool:
    return hasattr(candidate, "get_extra_info") and hasattr(candidate, "set_write_buffer_limits")
