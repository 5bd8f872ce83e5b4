"""HTTP/1.1 on real sockets: a client whose every read bears the kernel's arrival time.

The names here are loaded when they are first asked for: the client stands on asyncio, which takes
a worker of a load test longer to load than everything else it needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undam.wire.client import open_stream
    from undam.wire.config import ClientConfig, Request, parse_resolve
    from undam.wire.stream import Stream
    from undam.wire.url import Target, parse_url, redacted

_PLACES = {
    "ClientConfig": "config",
    "Request": "config",
    "Stream": "stream",
    "Target": "url",
    "open_stream": "client",
    "parse_resolve": "config",
    "parse_url": "url",
    "redacted": "url",
}

__all__ = [
    "ClientConfig",
    "Request",
    "Stream",
    "Target",
    "open_stream",
    "parse_resolve",
    "parse_url",
    "redacted",
]


def __getattr__(name: str) -> object:
    try:
        place = _PLACES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    found = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    globals()[name] = found
    return found
