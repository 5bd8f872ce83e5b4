"""Prometheus metrics of the targets, with labels that only the configuration determines."""

from __future__ import annotations

from typing import Any

from undam.errors import UsageError
from undam.monitor.probe_result import ProbeResult
from undam.monitor.settings import MonitorTarget
from undam.monitor.store import StateChange

_VERDICTS = ("streaming", "batched", "late", "held-to-end", "unknown")
_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 3, 5, 8, 12, 20, 30, 60)


class MonitorMetrics:
    """Metrics in a registry of their own.

    Raises:
        UsageError: prometheus_client is not installed.
    """

    def __init__(self) -> None:
        try:
            import prometheus_client as client  # noqa: PLC0415 (an extra)
        except ImportError:
            raise UsageError(
                "undam monitor needs prometheus-client: pip install 'undam[monitor]'"
            ) from None
        self._client = client
        self.registry = client.CollectorRegistry(auto_describe=True)

        def gauge(name: str, text: str, *labels: str) -> Any:
            return client.Gauge(f"undam_{name}", text, ("target", *labels), registry=self.registry)

        def counter(name: str, text: str, *labels: str) -> Any:
            return client.Counter(
                f"undam_{name}", text, ("target", *labels), registry=self.registry
            )

        self._up = gauge("up", "1 if the last probe received a stream.")
        self._verdict = gauge("verdict", "1 for the verdict of the last probe.", "verdict")
        self._ttft = client.Histogram(
            "undam_ttft_seconds", "Time to the first token.", ("target",), buckets=_SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self._last_ttft = gauge("last_ttft_seconds", "Time to the first token of the last probe.")
        self._hold = gauge("hold_seconds", "p99 of the holds of the last probe, by hop.", "hop")
        self._hop_verdict = gauge("hop_held", "1 if the hop held the last stream.", "hop")
        self._block = gauge("block_bytes", "Size of the blocks that a hop sends; 0 without.", "hop")
        self._complete = gauge("complete", "1 if the last stream was complete.")
        self._changed = gauge("last_change_timestamp_seconds", "Time of the last change.")
        self._met = gauge("objective_met", "1 if the objective is met.", "objective")
        self._left = gauge("budget_left_probes", "Probes that the budget of the day allows.")
        self._probes = counter("probes", "Probes, by outcome.", "outcome")
        self._changes = counter("changes", "Confirmed changes.")

    def add_probe(self, target: MonitorTarget, result: ProbeResult) -> None:
        """Update the metrics of a target."""
        name = target.name
        outcome = "refused" if result.is_refused else "failed" if result.error else "stream"
        self._probes.labels(name, outcome).inc()
        self._up.labels(name).set(result.error is None)
        for verdict in _VERDICTS:
            self._verdict.labels(name, verdict).set(result.verdict == verdict)
        self._complete.labels(name).set(result.is_complete)
        if result.ttft_ms is not None:
            self._ttft.labels(name).observe(result.ttft_ms / 1000)
            self._last_ttft.labels(name).set(result.ttft_ms / 1000)
        for hop in result.hops:
            self._hold.labels(name, hop.name).set((hop.hold_ms or 0) / 1000)
            self._hop_verdict.labels(name, hop.name).set(
                hop.verdict in {"batched", "late", "held-to-end"}
            )
            self._block.labels(name, hop.name).set(hop.release_bytes or 0)

    def add_change(self, change: StateChange) -> None:
        """Count a change."""
        self._changes.labels(change.target).inc()
        self._changed.labels(change.target).set(change.at_s)

    def set_objective(self, target: MonitorTarget, objective: str, *, met: bool) -> None:
        """Set whether an objective is met."""
        self._met.labels(target.name, objective).set(met)

    def set_budget_left(self, target: MonitorTarget, probes: int) -> None:
        """Set how many probes the budget of the day still allows."""
        self._left.labels(target.name).set(probes)

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return the text of all metrics and its content type, as the client accepts it."""
        if "application/openmetrics-text" in accept:
            from prometheus_client.openmetrics import exposition  # noqa: PLC0415 (an extra)

            text = exposition.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return text, exposition.CONTENT_TYPE_LATEST
        return self._client.generate_latest(self.registry), self._client.CONTENT_TYPE_LATEST
