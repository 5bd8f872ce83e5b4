"""Live line of `undam bench`: one line on standard error, redrawn in place, if it is a terminal.

The line contains no escape sequence, so the terminal need only support carriage return.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from undam.loadtest.protocol import Status

_INTERVAL_S = 0.25
_DEFAULT_COLUMNS = 80


class LiveLine:
    """A line that is redrawn at most four times per second, or never if it is not shown."""

    def __init__(self, out: TextIO, *, shown: bool) -> None:
        self._out = out
        self._shown = shown
        self._next = 0.0
        self._length = 0

    @classmethod
    def on_stderr(cls) -> LiveLine:
        """Return a line on standard error that is shown only if that is a terminal."""
        return cls(sys.stderr, shown=sys.stderr is not None and sys.stderr.isatty())

    @property
    def is_due(self) -> bool:
        """Return whether the line would be redrawn now; if not, its text need not be composed."""
        return self._shown and time.monotonic() >= self._next

    def show(self, text: str) -> None:
        """Replace the line by ``text``, truncated to the width of the terminal."""
        if not self._shown:
            return
        self._next = time.monotonic() + _INTERVAL_S
        text = text[: max(1, self._columns() - 1)]
        self._write("\r" + text.ljust(self._length))
        self._length = len(text)

    def clear(self) -> None:
        """Erase the line."""
        if self._length:
            self._write("\r" + " " * self._length + "\r")
            self._length = 0

    def _columns(self) -> int:
        try:
            # A terminal whose size was never set reports 0 columns.
            return os.get_terminal_size(self._out.fileno()).columns or _DEFAULT_COLUMNS
        except OSError:
            return _DEFAULT_COLUMNS

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            self._shown = False  # The terminal is gone, but the run continues.


def live_text(
    elapsed_s: float, done: int, metrics: Mapping[str, float | None], statuses: Sequence[Status]
) -> str:
    """Compose the line: time, rate, requests in flight, TTFT, ITL, errors, delay of this client.

    TTFT and ITL are shown as p50/p99.

    Args:
        done: number of requests that have ended and are analyzed.
        metrics: ttft_p50, ttft_p99, itl_p50 and itl_p99 in ms, as far as available, and errors.
    """
    ended = sum(status.done for status in statuses)
    in_flight = sum(status.in_flight for status in statuses)
    rate = ended / elapsed_s if elapsed_s > 0 else 0.0
    late_ms = max((status.late_ns for status in statuses), default=0) / 1e6
    parts = [
        f"{elapsed_s:.0f} s {rate:.1f}/s",
        f"{in_flight} in flight",
        f"TTFT {_pair(metrics, 'ttft')}",
        f"ITL {_pair(metrics, 'itl')} ms",
        f"{metrics.get('errors') or 0:.0f} errors",
        f"late {late_ms:.1f} ms",
    ]
    if done < ended:
        parts.append(f"{ended - done} to analyze")
    return ", ".join(parts)


def _pair(metrics: Mapping[str, float | None], name: str) -> str:
    values = (metrics.get(f"{name}_p50"), metrics.get(f"{name}_p99"))
    return "/".join("-" if value is None else _short(value) for value in values)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
