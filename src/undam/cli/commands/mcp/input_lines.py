"""Asynchronous line reader for a file descriptor; its thread does not delay the exit.

A read from a terminal or a pipe cannot be cancelled. The threads of the SDK would keep the process
alive after SIGTERM until the client sends another line.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Self

_READ_BYTES = 1 << 16
_MAX_LINE_BYTES = 8 << 20
_MAX_WAITING = 16


class InputLines:
    """Asynchronous iterator over the lines of a file descriptor.

    It ends at the end of the input, or at a line of more than 8 MiB.
    """

    def __init__(self, descriptor: int) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(_MAX_WAITING)
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(descriptor,), daemon=True).start()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        line = await self._lines.get()
        if line is None:
            raise StopAsyncIteration
        return line

    def _read(self, descriptor: int) -> None:
        rest = b""
        while len(rest) <= _MAX_LINE_BYTES:
            try:
                data = os.read(descriptor, _READ_BYTES)
            except OSError:
                break
            if not data:
                break
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                if not self._put(line.decode("utf-8", "replace")):
                    return
        self._put(None)

    def _put(self, line: str | None) -> bool:
        """Wait until the queue accepts a line; return false if the event loop has ended."""
        try:
            asyncio.run_coroutine_threadsafe(self._lines.put(line), self._loop).result()
        except (RuntimeError, asyncio.CancelledError):
            return False
        return True
