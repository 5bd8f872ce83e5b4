"""Reader for captures that are compressed with gzip.

Wireshark writes and reads such files, and log rotation compresses captures of tcpdump.
"""

from __future__ import annotations

import gzip
import io
import zlib
from typing import BinaryIO, cast

_GZIP = b"\x1f\x8b"


def readable_capture(stream: BinaryIO) -> BinaryIO:
    """Return a stream with the decompressed capture; a capture without compression is unchanged.

    Args:
        stream: stream at its beginning. It must be buffered, so that its first bytes can be read
            twice.
    """
    if not isinstance(stream, io.BufferedReader) or not stream.peek(2).startswith(_GZIP):
        return stream
    return cast("BinaryIO", _Decompressed(stream))


class _Decompressed:
    """Decompressed content of a gzip file. It ends where the file is truncated or damaged."""

    def __init__(self, stream: BinaryIO) -> None:
        self._file = gzip.GzipFile(fileobj=stream)

    def read(self, size: int) -> bytes:
        """Return at most ``size`` bytes; none at the end."""
        try:
            return self._file.read1(size)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            return b""
