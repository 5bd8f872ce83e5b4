"""Detection of a server shutdown, without modifying the server.

ASGI notifies an application only after its last response has ended. Some servers expose their
shutdown earlier. Their state is only read, and servers of unknown structure are not accessed.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from undam.asgi.interface import Send
from undam.asgi.server.sockets import server_send

ServerState = tuple[Hashable, Callable[[], bool]]
"""Key of the server, and a function that returns true once the server is stopping."""


def find_server_state(send: Send) -> ServerState | None:
    """Return the state of the server behind ``send``; ``None`` if it is inaccessible."""
    return _hypercorn(send) or _uvicorn()


def _uvicorn() -> ServerState | None:
    # While uvicorn runs, the process's signal handler is its method Server.handle_exit.
    for number in (signal.SIGTERM, signal.SIGINT):
        server: Any = getattr(signal.getsignal(number), "__self__", None)
        if hasattr(server, "should_exit"):
            return server, partial(_should_exit, server)
    return None


def _hypercorn(send: Send) -> ServerState | None:
    context = getattr(getattr(server_send(send), "__self__", None), "context", None)
    terminated: Any = getattr(context, "terminated", None)
    is_set = getattr(terminated, "is_set", None)
    if not callable(is_set):
        return None
    return context, partial(_is_set, is_set)


def _should_exit(server: Any) -> bool:
    return server.should_exit is True


def _is_set(is_set: Callable[[], object]) -> bool:
    return is_set() is True
