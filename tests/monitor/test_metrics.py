"""Monitor metrics: valid OpenMetrics, conventional names, bounded labels, and removed targets."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from prometheus_client.openmetrics.parser import text_string_to_metric_families

from undam.monitor.budgets import BudgetLeft
from undam.monitor.metrics import MonitorMetrics
from undam.monitor.probe_result import HopState, ProbeResult
from undam.monitor.settings import MonitorTarget
from undam.monitor.store import StateChange
from undam.probe import CheckOptions, Place

TARGET = MonitorTarget("chat", CheckOptions(places=(Place("edge", "http://h/"),)))
HOP = HopState("edge", "batched", "size", 4096, hold_ms=380.0, http_version="2",
               intermediaries=("nginx", "a-new-proxy"), tls_days_left=2.0,
               faults=(("lost", 3), ("altered", 1)))  # fmt: skip
PROBE = ProbeResult("chat", 1000.0, "batched", (HOP,), True, 520.0, 380.0, events=3, heartbeats=4,
                    arrivals_ms=(500.0, 600.0, 1500.0), idle_tried_s=60.0, idle_cut_s=30.0,
                    cancels=(("between tokens", 120.0), ("in silence", None)))  # fmt: skip


def exported(metrics: MonitorMetrics) -> dict[str, float]:
    """Return the value of each sample by name and labels."""
    text = metrics.exposition("application/openmetrics-text")[0].decode()
    families: Iterator[Any] = text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
    found = {}
    for one in (sample for family in families for sample in family.samples):
        labels = ",".join(f"{name}={value}" for name, value in sorted(one.labels.items()))
        found[f"{one.name}{{{labels}}}"] = one.value
    return found


def full() -> MonitorMetrics:
    """Return metrics that include every series that a target can have."""
    metrics = MonitorMetrics()
    metrics.add_probe(TARGET, PROBE)
    metrics.add_change(StateChange("chat", 900.0, "text", PROBE, PROBE))
    metrics.set_objective(TARGET, "ttft_p95<800ms", met=True)
    metrics.set_budget_left(TARGET, BudgetLeft(2, 30, 400))
    return metrics


def test_a_probe_sets_every_metric() -> None:
    found = exported(full())
    edge = "hop=edge,target=chat"
    for name, value in {
        "undam_up{target=chat}": 1,
        "undam_verdict{target=chat,verdict=batched}": 1,
        "undam_verdict{target=chat,verdict=streaming}": 0,
        "undam_last_ttft_seconds{target=chat}": 0.52,
        "undam_gap_seconds_count{target=chat}": 2,
        "undam_gap_seconds_sum{target=chat}": 1.0,
        "undam_gap_seconds_bucket{le=0.12,target=chat}": 1,
        "undam_tokens_per_second{target=chat}": 2,
        "undam_heartbeats{target=chat}": 4,
        f"undam_hold_seconds{{{edge}}}": 0.38,
        f"undam_hop_held{{{edge}}}": 1,
        f"undam_block_bytes{{{edge}}}": 4096,
        f"undam_http_version{{{edge}}}": 2,
        f"undam_tls_left_seconds{{{edge}}}": 172_800,
        "undam_intermediary{hop=edge,name=nginx,target=chat}": 1,
        "undam_integrity_errors_total{hop=edge,kind=lost,target=chat}": 3,
        "undam_integrity_errors_total{hop=edge,kind=torn,target=chat}": 0,
        "undam_idle_cut_seconds{target=chat}": 30,
        "undam_idle_tried_seconds{target=chat}": 60,
        "undam_cancel_seen_after_seconds{target=chat,when=between tokens}": 0.12,
        "undam_cancel_seen_after_seconds{target=chat,when=in silence}": math.inf,
        "undam_last_change_timestamp_seconds{target=chat}": 900,
        "undam_last_probe_timestamp_seconds{target=chat}": 1000,
        "undam_budget_left_probes{period=hour,target=chat}": 2,
        "undam_budget_left_probes{period=day,target=chat}": 30,
        "undam_budget_left_tokens{target=chat}": 400,
        "undam_objective_met{objective=ttft_p95<800ms,target=chat}": 1,
        "undam_probes_total{outcome=stream,target=chat}": 1,
        "undam_probes_total{outcome=refused,target=chat}": 0,
        "undam_changes_total{target=chat}": 1,
    }.items():
        assert found[name] == value, name


def test_a_target_without_a_cut_or_a_fault_is_not_zero() -> None:
    metrics = MonitorMetrics()
    metrics.add_probe(TARGET, replace(PROBE, idle_cut_s=None))
    assert exported(metrics)["undam_idle_cut_seconds{target=chat}"] == math.inf
    failed = ProbeResult("chat", 1001.0, "unknown", error="refused", status=429)
    metrics.add_probe(TARGET, failed)
    found = exported(metrics)
    assert found["undam_up{target=chat}"] == 0
    assert found["undam_probes_total{outcome=refused,target=chat}"] == 1
    assert found["undam_heartbeats{target=chat}"] == 4


def test_names_follow_the_conventions_of_prometheus() -> None:
    units = re.compile("milli|micro|nano|minute|hour|day|kilo|mega|kib|_ms|_mb|percent")
    for family in full().registry.collect():
        assert re.fullmatch(r"undam_[a-z]+(_[a-z]+)*", family.name), family.name
        assert units.search(family.name) is None, family.name
        assert re.fullmatch(r"[A-Zp1].*\.", family.documentation), family.documentation
        if family.type == "histogram":
            assert family.name.endswith("_seconds")
        if family.type == "gauge":
            assert not family.name.endswith(("_total", "_count", "_sum", "_bucket"))
        for sample in family.samples:
            assert set(sample.labels) <= {"target", "hop", "verdict", "objective", "period",
                                          "outcome", "kind", "name", "when", "le"}  # fmt: skip


def test_labels_come_only_from_the_configuration_and_from_fixed_lists() -> None:
    metrics = full()
    before = len(exported(metrics))
    for number in range(50):
        hop = replace(HOP, intermediaries=(f"proxy-{number}", "envoy"), server=f"s-{number}")
        probe = replace(PROBE, hops=(hop,), error=f"error {number}", codes=(f"UD{number}",))
        metrics.add_probe(TARGET, probe)
    after = exported(metrics)
    assert len(after) == before
    assert "undam_intermediary{hop=edge,name=envoy,target=chat}" in after
    assert not any("a-new-proxy" in one or "nginx" in one or "error " in one for one in after)


def test_the_series_of_a_removed_target_disappear() -> None:
    metrics = full()
    metrics.add_probe(replace(TARGET, name="other"), PROBE)
    metrics.remove("chat")
    found = exported(metrics)
    assert found
    assert not any("target=chat" in one for one in found)


def test_both_formats_are_offered() -> None:
    assert full().exposition("text/plain")[1].startswith("text/plain")
    assert full().exposition("application/openmetrics-text")[1].startswith("application/openm")
