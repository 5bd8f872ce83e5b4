"""What `undam bench` shows while it runs: one line on a terminal's standard error, drawn in place.

It holds no escape sequence, so it needs nothing of the terminal but a carriage return.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TextIO

from undam.loadtest.protocol import Status

_EVERY_S = 0.25
_USUAL_COLUMNS = 80


class LiveLine:
    """One line, at most four times a second; none where nobody looks."""

    def __init__(self, out: TextIO, *, shown: bool) -> None:
        self._out = out
        self._shown = shown
        self._next = 0.0
        self._length = 0

    @classmethod
    def on_stderr(cls) -> LiveLine:
        """On standard error, if that is a terminal."""
        return cls(sys.stderr, shown=sys.stderr is not None and sys.stderr.isatty())

    @property
    def is_due(self) -> bool:
        """Whether a new line would be shown now; making one costs, too."""
        return self._shown and time.monotonic() >= self._next

    def show(self, text: str) -> None:
        """Draw ``text`` over what is there, cut to the terminal's width."""
        if not self._shown:
            return
        self._next = time.monotonic() + _EVERY_S
        text = text[: max(1, self._columns() - 1)]
        self._write("\r" + text.ljust(self._length))
        self._length = len(text)

    def clear(self) -> None:
        """Take the line away."""
        if self._length:
            self._write("\r" + " " * self._length + "\r")
            self._length = 0

    def _columns(self) -> int:
        try:
            # A terminal that has not been told its size says 0.
            return os.get_terminal_size(self._out.fileno()).columns or _USUAL_COLUMNS
        except OSError:
            return _USUAL_COLUMNS

    def _write(self, text: str) -> None:
        try:
            self._out.write(text)
            self._out.flush()
        except (OSError, ValueError):
            self._shown = False  # nobody looks any more; the run goes on


def live_text(
    elapsed_s: float, done: int, figures: Mapping[str, float | None], statuses: Sequence[Status]
) -> str:
    """The line: time, rate, in flight, p50/p99 of TTFT and ITL, errors, lateness of this client.

    Args:
        done: requests that are over, as far as they are judged.
        figures: ttft_p50, ttft_p99, itl_p50, itl_p99 in ms where there are any; errors.
    """
    over = sum(status.done for status in statuses)
    in_flight = sum(status.in_flight for status in statuses)
    rate = over / elapsed_s if elapsed_s > 0 else 0.0
    late_ms = max((status.late_ns for status in statuses), default=0) / 1e6
    parts = [
        f"{elapsed_s:.0f} s {rate:.1f}/s",
        f"{in_flight} in flight",
        f"TTFT {_pair(figures, 'ttft')}",
        f"ITL {_pair(figures, 'itl')} ms",
        f"{figures.get('errors') or 0:.0f} errors",
        f"late {late_ms:.1f} ms",
    ]
    if done < over:
        parts.append(f"{over - done} to judge")
    return ", ".join(parts)


def _pair(figures: Mapping[str, float | None], name: str) -> str:
    values = (figures.get(f"{name}_p50"), figures.get(f"{name}_p99"))
    return "/".join("-" if value is None else _short(value) for value in values)


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
