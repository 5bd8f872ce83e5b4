"""The HTTP/1.1 chunked transfer coding (RFC 9112, 7.1), implemented independently of `undam`."""

from __future__ import annotations

LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Encode ``data`` as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)
