"""What happens to each measured request: it is counted, written down, and shown as a line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from undam.cli.commands.bench.progress import LiveLine, live_text
from undam.loadtest.coordinator.run import ProgressListener
from undam.loadtest.protocol import Status
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.slo import Slo
from undam.metrics import Summary  # Before the run: loaded in it, it delays the first requests.
from undam.record import Outcome, RequestResult

Write = Callable[[Sequence[RequestResult]], None]


class LiveStats(ProgressListener):
    """Takes what a run tells.

    Args:
        clean: takes secrets out of a message, which may quote the server.
        write: puts requests into the record; ``None`` for none.
        keep: whether to hold all requests, for a page.
    """

    def __init__(
        self,
        slos: Sequence[Slo],
        clean: Callable[[str], str],
        *,
        write: Write | None = None,
        keep: bool = False,
    ) -> None:
        self.summary = Summary()
        self.goodput = Goodput(slos)
        self.kept: list[RequestResult] = []
        self._clean = clean
        self._write = write
        self._keep = keep
        self._line = LiveLine.on_stderr()
        self._start_ns = 0
        self._done = 0

    def on_start(self, start_ns: int) -> None:
        self._start_ns = start_ns

    def on_results(self, batch: Sequence[RequestResult]) -> None:
        cleaned = [self._cleaned(one) for one in batch]
        if self._write is not None:
            # Before anything else: what is written survives whatever comes.
            self._write(cleaned)
        for one in cleaned:
            self.summary.add(one)
            self.goodput.add(one)
        self._done += len(cleaned)
        if self._keep:
            self.kept += cleaned

    def _cleaned(self, one: RequestResult) -> RequestResult:
        return replace(one, message=self._clean(one.message)) if one.message else one

    def on_tick(self, statuses: Sequence[Status]) -> None:
        if self._line.is_due:
            elapsed_s = max(0.0, (time.time_ns() - self._start_ns) / 1e9)
            self._line.show(live_text(elapsed_s, self._done, self._figures(), statuses))

    def ended(self) -> None:
        """Take the line off the terminal."""
        self._line.clear()

    def _figures(self) -> dict[str, float | None]:
        found: dict[str, float | None] = {
            "errors": float(self.summary.outcomes[Outcome.ERROR]),
        }
        for name in ("ttft", "itl"):
            times = self.summary.times(name)
            p50, p99 = times.quantiles(0.5, 0.99) if times.count else (None, None)
            found[f"{name}_p50"] = None if p50 is None else p50 / 1e6
            found[f"{name}_p99"] = None if p99 is None else p99 / 1e6
        return found
