"""The truth: a file of JSON lines that says when each request came and each event left."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from undam.errors import UsageError

EndReason = Literal["complete", "client-left", "died", "server-stopped"]

# One write of so many lines, some 30 KB, takes 20 us into the page cache: no schedule notices.
_PIECE_LINES = 256
# A busy server has no idle moment: with so many pieces full, one is written between two events.
_PRESSING_PIECES = 4


class GroundTruthLog:
    """Collects lines and writes them when the server has nothing else to do.

    Without a path all of it costs nothing and writes nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        # Small pieces and no long buffer, whose growth would copy it between two events.
        self._lines: list[bytes] = []
        self._pieces: deque[list[bytes]] = deque()
        self._fd = -1
        if path is not None:
            try:
                self._fd = os.open(
                    path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
                )
            except OSError as error:
                raise UsageError(f"cannot write the truth to {path}: {error.strerror}") from None

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
        """A request that a schedule answers came at ``arrived_ns``."""
        self._add({"kind": "request", "id": exchange_id, "arrived_ns": arrived_ns, "path": path})

    def event(self, exchange_id: bytes, seq: int, due_ns: int, left_ns: int, size: int) -> None:
        """Event ``seq`` of ``size`` bytes without framing left; ``left_ns`` is before the send."""
        if self._fd >= 0:
            self._append(_EVENT % (exchange_id, seq, due_ns, left_ns, size))

    def end(self, exchange_id: str, reason: EndReason, at_ns: int) -> None:
        """The exchange is over."""
        self._add({"kind": "end", "id": exchange_id, "reason": reason, "at_ns": at_ns})

    @property
    def waiting(self) -> bool:
        """Whether there are lines to write."""
        return bool(self._lines or self._pieces)

    @property
    def pressing(self) -> bool:
        """Whether so many lines wait that they must be written even between events."""
        return len(self._pieces) >= _PRESSING_PIECES

    def write_piece(self) -> None:
        """Write some lines, bounded in time; raises UsageError when the file cannot take them."""
        lines = self._pieces.popleft() if self._pieces else self._lines
        if lines is self._lines:
            self._lines = []
        data = b"".join(lines)
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError as error:
            self._lines, self._pieces = [], deque()
            raise UsageError(f"cannot write the truth to {self._path}: {error.strerror}") from None

    def close(self) -> None:
        """Write all that is left and close the file; a second call does nothing."""
        if self._fd < 0:
            return
        try:
            while self.waiting:
                self.write_piece()
        finally:
            os.close(self._fd)
            self._fd = -1

    def _add(self, line: dict[str, object]) -> None:
        if self._fd >= 0:
            self._append(json.dumps(line).encode() + b"\n")

    def _append(self, line: bytes) -> None:
        self._lines.append(line)
        if len(self._lines) >= _PIECE_LINES:
            self._pieces.append(self._lines)
            self._lines = []


_EVENT = b'{"kind": "event", "id": "%b", "seq": %d, "due_ns": %d, "left_ns": %d, "bytes": %d}\n'
