"""HTTP/1.1 on real sockets: a client whose every read bears the kernel's arrival time."""

from undam.wire.client import open_stream
from undam.wire.config import ClientConfig, Request, parse_resolve
from undam.wire.stream import Stream
from undam.wire.url import Target, parse_url, redacted

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
