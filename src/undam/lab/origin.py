"""The simulator in a separate process, so that readers do not disturb its timing."""

from __future__ import annotations

import subprocess
import sys
from types import TracebackType
from typing import Self

from undam.errors import UndamError

_STOP_S = 5.0


class Origin:
    """A running `undam sim` process. It is also a context manager.

    Args:
        arguments: command-line arguments, without ``--port``.
    """

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "undam", "sim", "--port", "0", *arguments],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            # The child must not receive Ctrl-C, because `stop` ends it.
            start_new_session=True,
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.startswith("listening on "):
            self.stop()
            raise UndamError(f"the simulator did not start: {line.strip() or 'no output'}")
        self.url = line.removeprefix("listening on ").strip()

    def stop(self) -> None:
        """End the process. A second call does nothing."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
