"""Live statistics of a run: results are counted, recorded and shown in the live line."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from undam.cli.commands.bench.progress import LiveLine, RunPlan, StepProgress, live_text
from undam.loadtest.coordinator.run import ProgressListener
from undam.loadtest.coordinator.search import is_failing
from undam.loadtest.protocol import Status
from undam.loadtest.setup.goodput import Goodput
from undam.loadtest.setup.plan import Load
from undam.loadtest.setup.slo import Slo
from undam.loadtest.setup.slo_values import allowed_failures
from undam.metrics import Summary  # imported now, so that no request is delayed
from undam.record import Outcome, RequestResult

Write = Callable[[Sequence[RequestResult]], None]


class LiveStats(ProgressListener):
    """Aggregation of the results of a run, which are also recorded and shown in the live line.

    Args:
        clean: removes secrets from a message, which may quote the server.
        write: appends results to the record; ``None`` without a record.
        keep: whether to keep all results, for the HTML page.
        progress: the step that is running.
        load: the requested load; its end determines the remaining time.
    """

    def __init__(
        self,
        slos: Sequence[Slo],
        clean: Callable[[str], str],
        *,
        write: Write | None = None,
        keep: bool = False,
        progress: StepProgress | None = None,
        load: Load | None = None,
    ) -> None:
        self.summary = Summary()
        self._slos = slos
        self.goodput = Goodput(slos)
        self.kept: list[RequestResult] = []
        self._clean = clean
        self._write = write
        self._keep = keep
        self._progress = progress or StepProgress()
        self._load = load or Load()
        self._line = LiveLine.on_stderr()
        self._start_ns = 0
        self._done = 0

    def on_start(self, start_ns: int) -> None:
        self._start_ns = start_ns

    def on_results(self, batch: Sequence[RequestResult]) -> None:
        cleaned = [self._without_secrets(result) for result in batch]
        if self._write is not None:
            # Write the results first, so that they are not lost if a later step fails.
            self._write(cleaned)
        for result in cleaned:
            self.summary.add(result)
            self.goodput.add(result)
        self._done += len(cleaned)
        if self._keep:
            self.kept += cleaned

    def on_tick(self, statuses: Sequence[Status]) -> None:
        if self._line.is_due:
            elapsed_s = max(0.0, (time.time_ns() - self._start_ns) / 1e9)
            plan = RunPlan(self._load.total, self._load.duration_s)
            text = live_text(elapsed_s, self._done, self._metrics(), statuses, plan=plan)
            self._line.show(self._progress.prefix + text)

    @property
    def is_failing(self) -> bool:
        """Return whether a search step may end early because too many requests have failed."""
        outcomes = self.summary.outcomes
        failed = outcomes[Outcome.ERROR] + outcomes[Outcome.INCOMPLETE]
        requests = self.summary.requests
        return is_failing(failed, requests, allowed_failures(self._slos, requests))

    def close(self) -> None:
        """Remove the live line from the terminal."""
        self._line.clear()

    def _without_secrets(self, result: RequestResult) -> RequestResult:
        return replace(result, message=self._clean(result.message)) if result.message else result

    def _metrics(self) -> dict[str, float | None]:
        metrics: dict[str, float | None] = {
            "errors": float(self.summary.outcomes[Outcome.ERROR]),
            "tokens_per_second": self.summary.tokens_per_second,
        }
        for name in ("ttft", "itl"):
            times = self.summary.times(name)
            p50, p99 = times.quantiles(0.5, 0.99) if times.count else (None, None)
            metrics[f"{name}_p50"] = None if p50 is None else p50 / 1e6
            metrics[f"{name}_p99"] = None if p99 is None else p99 / 1e6
        return metrics
