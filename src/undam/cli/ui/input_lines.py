"""Line reader for untrusted files: any bytes are accepted, and line sizes are bounded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from undam.errors import UsageError

# A line of a record contains one read of a response. Escaping can make the data six times as long.
MAX_LINE_BYTES = 64 << 20


def read_lines(path: str) -> Iterator[str]:
    """Yield the lines of a file.

    Bytes that are not UTF-8 become lone surrogates, which the readers of lines reject. A line of
    more than ``MAX_LINE_BYTES`` becomes an empty one.

    Raises:
        UsageError: the file cannot be read.
    """
    try:
        with Path(path).open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES):
                if len(line) == MAX_LINE_BYTES and not line.endswith(b"\n"):
                    line = b"\n"
                    while (rest := file.readline(MAX_LINE_BYTES)) and not rest.endswith(b"\n"):
                        pass
                yield line.decode("utf-8", "surrogateescape")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"cannot read {path!a}: {error}") from None
