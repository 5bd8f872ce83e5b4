"""Prometheus metrics for the targets; only the configuration determines the labels."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

from undam.errors import UsageError
from undam.intermediaries import INTERMEDIARIES
from undam.monitor.budgets import BudgetLeft
from undam.monitor.probe_result import FAULTS, HopState, ProbeResult
from undam.monitor.settings import MonitorTarget
from undam.monitor.store import StateChange

_VERDICTS = ("streaming", "batched", "late", "held-to-end", "unknown")
_HELD = frozenset({"batched", "late", "held-to-end"})
_OUTCOMES = ("stream", "failed", "refused")
_DAY_S = 86_400
TTFT_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2, 3, 5, 8, 12, 20, 30, 60)
"""Upper bounds of the TTFT histogram in seconds."""

GAP_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.08, 0.12, 0.2, 0.5, 1, 2, 5, 10, 30)
"""Upper bounds of the gap histogram in seconds."""


class MonitorMetrics:
    """Prometheus metrics of the monitor, in a separate registry.

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
        self._all: list[Any] = []
        self.registry = client.CollectorRegistry(auto_describe=True)
        gauge, counter = self._gauge, self._counter
        self._up = gauge("up", "1 if the last probe received a stream.")
        self._verdict = gauge("verdict", "1 for the verdict of the last probe.", "verdict")
        self._ttft = self._histogram("ttft", "Time to the first token.", TTFT_BUCKETS)
        self._gaps = self._histogram("gap", "Gaps between events at the edge.", GAP_BUCKETS)
        self._last_ttft = gauge("last_ttft_seconds", "Time to the first token of the last probe.")
        self._rate = gauge(
            "tokens_per_second", "Events per second after the first event, in the last probe."
        )
        self._heartbeats = gauge("heartbeats", "Comments in the last stream.")
        self._complete = gauge("complete", "1 if the last stream was complete.")
        self._probed = gauge("last_probe_timestamp_seconds", "Time of the last probe.")
        self._hold = gauge("hold_seconds", "p99 of the holds of the last probe, by hop.", "hop")
        self._held = gauge("hop_held", "1 if the hop held the last stream.", "hop")
        self._block = gauge("block_bytes", "Size of the blocks from a hop; 0 if none.", "hop")
        self._version = gauge("http_version", "HTTP version of the last response.", "hop")
        self._tls = gauge("tls_left_seconds", "Time until the certificate expires.", "hop")
        self._seen = gauge(
            "intermediary", "1 if the last response identifies the intermediary.", "hop", "name"
        )
        self._faults = counter(
            "integrity_errors", "Events lost, duplicated, reordered, altered or torn.", "hop",
            "kind",
        )  # fmt: skip
        self._idle_cut = gauge(
            "idle_cut_seconds", "Silence after which a stream was cut; +Inf if it was not."
        )
        self._idle_tried = gauge("idle_tried_seconds", "Longest silence that was tried.")
        self._cancel = gauge(
            "cancel_seen_after_seconds",
            "Time until the origin noticed a disconnect; +Inf if it did not.",
            "when",
        )
        self._changed = gauge("last_change_timestamp_seconds", "Time of the last change.")
        self._met = gauge("objective_met", "1 if the objective is met.", "objective")
        self._left = gauge("budget_left_probes", "Probes that a budget still allows.", "period")
        self._tokens = gauge("budget_left_tokens", "Tokens that the daily budget still allows.")
        self._probes = counter("probes", "Probes, by outcome.", "outcome")
        self._changes = counter("changes", "Confirmed changes.")

    def _gauge(self, name: str, text: str, *labels: str) -> Any:
        return self._added(self._client.Gauge, name, text, labels)

    def _counter(self, name: str, text: str, *labels: str) -> Any:
        return self._added(self._client.Counter, name, text, labels)

    def _histogram(self, name: str, text: str, buckets: tuple[float, ...]) -> Any:
        return self._added(self._client.Histogram, f"{name}_seconds", text, (), buckets=buckets)

    def _added(self, kind: Any, name: str, text: str, labels: Iterable[str], **more: Any) -> Any:
        made = kind(f"undam_{name}", text, ("target", *labels), registry=self.registry, **more)
        self._all.append(made)
        return made

    def add_probe(self, target: MonitorTarget, result: ProbeResult) -> None:
        """Update the metrics for a target."""
        name = target.name
        outcome = "refused" if result.is_refused else "failed" if result.error else "stream"
        # The counters for all outcomes are created now, because `increase` in Prometheus would miss
        # the first increment of a counter that does not start at zero.
        for one in _OUTCOMES:
            self._probes.labels(name, one).inc(one == outcome)
        self._changes.labels(name).inc(0)
        self._probed.labels(name).set(result.at_s)
        self._up.labels(name).set(result.error is None)
        for verdict in _VERDICTS:
            self._verdict.labels(name, verdict).set(result.verdict == verdict)
        self._complete.labels(name).set(result.is_complete)
        if result.ttft_ms is not None:
            self._ttft.labels(name).observe(result.ttft_ms / 1000)
            self._last_ttft.labels(name).set(result.ttft_ms / 1000)
        gaps = self._gaps.labels(name)
        for before, after in pairwise(result.arrivals_ms):
            gaps.observe((after - before) / 1000)
        if result.tokens_per_s is not None:
            self._rate.labels(name).set(result.tokens_per_s)
        if result.error is None:
            self._heartbeats.labels(name).set(result.heartbeats)
        for hop in result.hops:
            self._add_hop(name, hop)
        self._add_trials(name, result)

    def _add_hop(self, target: str, hop: HopState) -> None:
        self._hold.labels(target, hop.name).set((hop.hold_ms or 0) / 1000)
        self._held.labels(target, hop.name).set(hop.verdict in _HELD)
        self._block.labels(target, hop.name).set(hop.release_bytes or 0)
        if hop.http_version is not None:
            self._version.labels(target, hop.name).set(float(hop.http_version))
        if hop.tls_days_left is not None:
            self._tls.labels(target, hop.name).set(hop.tls_days_left * _DAY_S)
        self._seen.remove_by_labels({"target": target, "hop": hop.name})
        known = {one.name for one in INTERMEDIARIES}
        for name in known.intersection(hop.intermediaries):
            self._seen.labels(target, hop.name, name).set(1)
        faults = dict(hop.faults)
        for kind in FAULTS:
            self._faults.labels(target, hop.name, kind).inc(faults.get(kind, 0))

    def _add_trials(self, target: str, result: ProbeResult) -> None:
        never = float("inf")
        if result.idle_tried_s is not None:
            self._idle_tried.labels(target).set(result.idle_tried_s)
            cut_s = result.idle_cut_s
            self._idle_cut.labels(target).set(never if cut_s is None else cut_s)
        for when, seen_ms in result.cancels:
            self._cancel.labels(target, when).set(never if seen_ms is None else seen_ms / 1000)

    def add_change(self, change: StateChange) -> None:
        """Count a change."""
        self._changes.labels(change.target).inc()
        self._changed.labels(change.target).set(change.at_s)

    def set_objective(self, target: MonitorTarget, objective: str, *, met: bool) -> None:
        """Set whether an objective is met."""
        self._met.labels(target.name, objective).set(met)

    def set_budget_left(self, target: MonitorTarget, left: BudgetLeft) -> None:
        """Set the number of probes and tokens that remain in the budgets."""
        for period, probes in (("hour", left.probes_hour), ("day", left.probes_day)):
            if probes is not None:
                self._left.labels(target.name, period).set(probes)
        if left.tokens_day is not None:
            self._tokens.labels(target.name).set(left.tokens_day)

    def remove(self, target: str) -> None:
        """Remove the series for a target that was removed or whose configuration changed."""
        for one in self._all:
            one.remove_by_labels({"target": target})

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Return all metrics as text in a format that the client accepts, and the content type."""
        if "application/openmetrics-text" in accept:
            from prometheus_client.openmetrics import exposition  # noqa: PLC0415 (an extra)

            text = exposition.generate_latest(self.registry)  # type: ignore[no-untyped-call]
            return text, exposition.CONTENT_TYPE_LATEST
        return self._client.generate_latest(self.registry), self._client.CONTENT_TYPE_LATEST
