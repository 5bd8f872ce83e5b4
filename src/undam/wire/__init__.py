"""HTTP/1.1 client in which every read carries the arrival time that the kernel recorded.

The names below are imported on first use. The client needs asyncio, which takes longer to import
than everything else that a load test worker needs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undam.wire.client import open_stream
    from undam.wire.config import ClientConfig, Request, parse_resolve
    from undam.wire.stream import Stream
    from undam.wire.url import Target, parse_url, redacted

_MODULES = {
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
        module = _MODULES[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value
