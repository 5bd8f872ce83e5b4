"""Ground truth as JSON lines: the arrival time of each request and the send time of each event."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from undam.errors import UsageError

EndReason = Literal["complete", "client-left", "died", "server-stopped"]

# Lines per write. Copying these 30 KB to the page cache takes about 20 us, which delays no event
# noticeably.
_BLOCK_LINES = 256
# A busy server is never idle. With this many full blocks, one is therefore written between two
# events.
_MAX_BLOCKS = 4


class GroundTruthLog:
    """Ground-truth writer that buffers lines until the server is idle; inactive without a path."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        # Lines are stored in small blocks, because one growing buffer would be copied repeatedly.
        self._lines: list[bytes] = []
        self._blocks: deque[list[bytes]] = deque()
        self._fd = -1
        if path is not None:
            try:
                self._fd = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
                )
            except OSError as error:
                raise UsageError(_cannot_write(path, error)) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def request(self, exchange_id: str, arrived_ns: int, path: str) -> None:
        """Record a request whose response follows a schedule."""
        self._add({"kind": "request", "id": exchange_id, "arrived_ns": arrived_ns, "path": path})

    def event(self, exchange_id: bytes, seq: int, due_ns: int, left_ns: int, size: int) -> None:
        """Record that event ``seq`` of an exchange was sent.

        Args:
            left_ns: time just before the ``send`` call.
            size: bytes without framing.
        """
        if self._fd >= 0:
            self._append(_EVENT % (exchange_id, seq, due_ns, left_ns, size))

    def end(self, exchange_id: str, reason: EndReason, at_ns: int) -> None:
        """Record the end of an exchange."""
        self._add({"kind": "end", "id": exchange_id, "reason": reason, "at_ns": at_ns})

    @property
    def pending(self) -> bool:
        """True if lines are buffered."""
        return bool(self._lines or self._blocks)

    @property
    def full(self) -> bool:
        """True if a block must be written now, even if the server is not idle."""
        return len(self._blocks) >= _MAX_BLOCKS

    def write_block(self) -> None:
        """Write one block of lines; raise UsageError if the file cannot be written."""
        lines = self._blocks.popleft() if self._blocks else self._lines
        if lines is self._lines:
            self._lines = []
        data = b"".join(lines)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._lines, self._blocks = [], deque()
            raise UsageError(_cannot_write(self._path, error)) from None

    def close(self) -> None:
        """Write all buffered lines and close the file; a second call does nothing."""
        if self._fd < 0:
            return
        try:
            while self.pending:
                self.write_block()
        finally:
            os.close(self._fd)
            self._fd = -1

    def _add(self, line: dict[str, object]) -> None:
        if self._fd >= 0:
            self._append(json.dumps(line).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) >= _BLOCK_LINES:
            self._blocks.append(self._lines)
            self._lines = []


def _cannot_write(path: Path | None, error: OSError) -> str:
    return f"cannot write the ground truth to {path}: {error.strerror}"


_EVENT = b'{"kind": "event", "id": "%b", "seq": %d, "due_ns": %d, "left_ns": %d, "bytes": %d}\n'
