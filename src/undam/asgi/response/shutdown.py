"""How a stream learns that its server is about to stop, without changing anything of the server.

ASGI tells an application so only after its last response ended. Some servers let it be seen
earlier; each is looked at, never touched, and one that looks different is left alone.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from undam.asgi.interface import Send

Probe = tuple[Hashable, Callable[[], bool]]


def find_server_state(send: Send) -> Probe | None:
    """(which server, a function that says whether it stops), or ``None`` if it does not show."""
    return _hypercorn(send) or _uvicorn()


def _uvicorn() -> Probe | None:
    # uvicorn.Server.handle_exit is the handler of the process's signals while it serves.
    for number in (signal.SIGTERM, signal.SIGINT):
        server: Any = getattr(signal.getsignal(number), "__self__", None)
        if hasattr(server, "should_exit"):
            return server, partial(_is_leaving, server)
    return None


def _hypercorn(send: Send) -> Probe | None:
    context = getattr(getattr(send, "__self__", None), "context", None)
    terminated: Any = getattr(context, "terminated", None)
    is_set = getattr(terminated, "is_set", None)
    if not callable(is_set):
        return None
    return context, partial(_is_set, is_set)


def _is_leaving(server: Any) -> bool:
    return server.should_exit is True


def _is_set(is_set: Callable[[], object]) -> bool:
    return is_set() is True
