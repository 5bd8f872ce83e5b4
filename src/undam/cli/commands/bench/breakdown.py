"""Breakdown of the metrics of a run by conversation, and by URL if there are several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from undam.cli.commands.bench.setup import BenchSetup
from undam.loadtest.setup.session_stats import SessionStats
from undam.metrics import Summary
from undam.metrics.json_form import percentiles
from undam.record import Outcome, RequestResult


class Breakdown:
    """Aggregation of request results by conversation and by URL.

    Args:
        workers: number of workers; each sends to one of the URLs.
    """

    def __init__(self, setup: BenchSetup, workers: int) -> None:
        self._urls = setup.urls
        self._sessions = SessionStats(setup.template.sessions, workers)
        self._summaries = [Summary() for _ in self._urls] if len(self._urls) > 1 else []

    def add_all(self, results: Sequence[RequestResult]) -> None:
        """Add several requests."""
        for one in results:
            self._sessions.add(one)
            if self._summaries:
                self._summaries[one.worker % len(self._summaries)].add(one)

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as the JSON fields `sessions` and `targets`."""
        pairs = zip(self._urls, self._summaries, strict=False)
        return {
            "sessions": self._sessions.to_json(),
            "targets": [_target_json(url, summary) for url, summary in pairs],
        }


def _target_json(url: str, summary: Summary) -> dict[str, Any]:
    return {
        "url": url,
        "requests": summary.requests,
        "complete": summary.outcomes[Outcome.COMPLETE],
        "failed_percent": round(100 * summary.failed_share, 3),
        "ttft_ms": percentiles(summary.times("ttft")),
        "e2e_ms": percentiles(summary.times("e2e")),
    }
