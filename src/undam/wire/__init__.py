"""HTTP/1.1 and HTTP/2 client in which every read has the arrival time recorded by the kernel.

The names below are imported on first use. The client requires asyncio, which takes longer to import
than all other modules of a load test worker together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undam.lazy import lazy_exports

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

__getattr__ = lazy_exports(__name__, _MODULES)
