"""Live line of `undam bench`: a status line on standard error, redrawn in place on a terminal.

The line contains no escape sequence, so the terminal need only support carriage return.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TextIO

from undam.loadtest.protocol import Status

_INTERVAL_S = 0.25
_DEFAULT_COLUMNS = 80


class LiveLine:
    """Status line that is redrawn at most four times per second, and only on a terminal."""

    def __init__(self, out: TextIO, *, shown: bool) -> None:
        self._out = out
        self._shown = shown
        self._next = 0.0
        self._length = 0

    @classmethod
    def on_stderr(cls) -> LiveLine:
        """Return a line on standard error, which is shown only if standard error is a terminal."""
        return cls(sys.stderr, shown=sys.stderr is not None and sys.stderr.isatty())

    @property
    def is_due(self) -> bool:
        """Return whether the line is due to be redrawn. Otherwise, no new text is needed."""
        return self._shown and time.monotonic() >= self._next

    def show(self, text: str) -> None:
        """Replace the line with ``text``, truncated to the terminal width."""
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
            self._shown = False  # The terminal was closed. The run continues without the live line.


@dataclass(frozen=True, slots=True)
class RunPlan:
    """Condition that ends a run: a number of requests, a duration in seconds, or both."""

    requests: int | None = None
    duration_s: float | None = None

    def progress(self, elapsed_s: float, ended: int) -> str:
        """Return the completed share and the remaining time as text; "" if the end is unknown."""
        if self.duration_s is not None:
            share = min(1.0, elapsed_s / self.duration_s)
            return f"{share:.0%}, {max(0.0, self.duration_s - elapsed_s):.0f} s left"
        if self.requests is None:
            return ""
        if not ended:
            return f"0 of {self.requests}"
        left_s = elapsed_s * (self.requests - ended) / ended
        return f"{ended} of {self.requests}, {max(0.0, left_s):.0f} s left"


class StepProgress:
    """Current step of a sweep or a search, and the result of the previous step.

    Attributes:
        prefix: text before the live line; "" outside of a sweep or a search.
    """

    def __init__(self) -> None:
        self.prefix = ""
        self._last = ""

    def begin(self, label: str, number: int, total: int | None) -> None:
        """Set the current step; ``total`` is ``None`` for a search."""
        of = "" if total is None else f"/{total}"
        self.prefix = f"step {number}{of} {label}{self._last}: "

    def end(self, result: str) -> None:
        """Set the result of the finished step, as text."""
        self._last = f" (before: {result})"


def live_text(
    elapsed_s: float,
    done: int,
    metrics: Mapping[str, float | None],
    statuses: Sequence[Status],
    *,
    plan: RunPlan = RunPlan(),
) -> str:
    """Return the live line: progress, rates, requests in flight, TTFT, ITL, errors and delay.

    TTFT and ITL are shown as p50/p99. The delay is that of this client.

    Args:
        done: number of requests that have ended and are analyzed.
        metrics: ttft_p50, ttft_p99, itl_p50 and itl_p99 in ms and tokens_per_second, as far as
            available, and errors.
        plan: when the run ends.
    """
    ended = sum(status.done for status in statuses)
    in_flight = sum(status.in_flight for status in statuses)
    rate = ended / elapsed_s if elapsed_s > 0 else 0.0
    late_ms = max((status.late_ns for status in statuses), default=0) / 1e6
    progress = plan.progress(elapsed_s, ended)
    parts = [
        f"{elapsed_s:.0f} s" + (f" ({progress})" if progress else "") + f" {rate:.1f}/s",
        f"{metrics.get('tokens_per_second') or 0:.0f} tokens/s",
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
