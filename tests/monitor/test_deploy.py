"""Files in deploy/monitor: the configuration is valid, and alerts use metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from undam.monitor.metrics import MonitorMetrics
from undam.monitor.probe_result import HopState, ProbeResult
from undam.monitor.settings import MonitorTarget, read_settings
from undam.monitor.store import StateChange

DEPLOY = Path(__file__).parents[2] / "deploy" / "monitor"


def exported_names() -> set[str]:
    """Return the names of all samples that the monitor exports."""
    settings = read_settings(str(DEPLOY / "monitor.toml"), {"OPENAI_API_KEY": "k"})
    (target,) = settings.targets
    metrics = MonitorMetrics()
    result = probe(target)
    metrics.add_probe(target, result)
    metrics.add_change(StateChange(target.name, 1.0, "text", result, result))
    metrics.set_objective(target, "ttft_p95<800ms", met=True)
    metrics.set_budget_left(target, 3)
    text = metrics.exposition("application/openmetrics-text")[0].decode()
    return {line.partition("{")[0] for line in text.splitlines() if not line.startswith("#")}


def probe(target: MonitorTarget) -> ProbeResult:
    hop = HopState("edge", "batched", "size", 4096, hold_ms=380.0)
    return ProbeResult(target.name, 1.0, "batched", (hop,), True, 520.0, 380.0, events=120)


def test_alerts_use_only_metrics_that_exist() -> None:
    groups = yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    used = {name for rule in rules for name in re.findall(r"undam_[a-z_]+", rule["expr"])}
    assert len(rules) == 5
    assert used <= exported_names()


def test_labels_come_only_from_the_configuration_and_the_known_verdicts() -> None:
    settings = read_settings(str(DEPLOY / "monitor.toml"), {"OPENAI_API_KEY": "k"})
    metrics = MonitorMetrics()
    for number in range(50):
        failed = ProbeResult("chat", 1.0, "unknown", error=f"error {number}")
        metrics.add_probe(settings.targets[0], failed)
    text = metrics.exposition("")[0].decode()
    assert "error" not in text
    assert len(text.splitlines()) < 60
