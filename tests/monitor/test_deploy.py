"""deploy/monitor: configurations are valid, and queries and alerts use metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from monitor.test_metrics import exported, full
from support.live import skip_or_fail
from undam.lab.proxies import Missing
from undam.monitor.settings import parse_settings, read_settings

DEPLOY = Path(__file__).parents[2] / "deploy" / "monitor"
ENVIRON = {"OPENAI_API_KEY": "k"}
RULES = [
    rule
    for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]
KINDS = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
DOCKERFILE = (DEPLOY.parent / "Dockerfile").read_text()


@cache
def metric_names() -> set[str]:
    return {one.partition("{")[0] for one in exported(full())}


def used_in(expression: str) -> set[str]:
    return set(re.findall(r"undam_[a-z_]+", expression))


def test_alerts_use_only_metrics_that_exist() -> None:
    used = set.union(*(used_in(rule["expr"]) for rule in RULES))
    assert len(used) >= 8
    assert used <= metric_names()


def test_every_alert_has_a_test_with_recorded_series() -> None:
    tests = yaml.safe_load((DEPLOY / "alerts.test.yml").read_text())["tests"]
    cases = [case for test in tests for case in test["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in RULES}


@pytest.mark.live
def test_the_alerts_fire_on_recorded_series() -> None:
    program = shutil.which("promtool")
    if program is None:
        skip_or_fail(Missing("promtool", "apt-get install --no-install-recommends prometheus"))
    done = subprocess.run(
        [program, "test", "rules", str(DEPLOY / "alerts.test.yml")],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout
    metrics = full().exposition("")[0]
    lint = subprocess.run(
        [program, "check", "metrics"], input=metrics, capture_output=True, timeout=60, check=False
    )
    assert (lint.stdout + lint.stderr).decode() == ""


def test_each_panel_of_the_dashboard_uses_only_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    panels = [one for one in dashboard["panels"] if one["type"] != "row"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    expressions += [one["expr"] for one in dashboard["annotations"]["list"]]
    expressions.append(dashboard["templating"]["list"][1]["query"]["query"])
    assert len(panels) >= 12
    for expression in expressions:
        assert used_in(expression), expression
        assert used_in(expression) <= metric_names(), expression
    assert len({one["id"] for one in dashboard["panels"]}) == len(dashboard["panels"])
    boxes = [(one["gridPos"]["x"], one["gridPos"]["y"]) for one in dashboard["panels"]]
    assert len(set(boxes)) == len(boxes)


def test_the_example_configurations_are_valid() -> None:
    (target,) = read_settings(str(DEPLOY / "monitor.toml"), ENVIRON).targets
    text = KINDS["ConfigMap"]["data"]["monitor.toml"]
    (in_pod,) = parse_settings(text, "kubernetes.yaml", ENVIRON).targets
    assert target.name == in_pod.name == "chat"
    assert target.has_budget
    assert in_pod.has_budget


def test_the_manifest_has_one_unprivileged_replica_with_its_state_on_a_volume() -> None:
    spec = KINDS["StatefulSet"]["spec"]
    pod = spec["template"]["spec"]
    (container,) = pod["containers"]
    assert spec["replicas"] == 1
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert f"USER {pod['securityContext']['runAsUser']}:" in DOCKERFILE
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    port = container["ports"][0]
    assert str(port["containerPort"]) in container["args"][-1]
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    for probe in ("readinessProbe", "livenessProbe"):
        assert container[probe]["httpGet"] == {"path": "/healthz", "port": port["name"]}
    mounts = {one["name"]: one["mountPath"] for one in container["volumeMounts"]}
    claims = {one["metadata"]["name"] for one in spec["volumeClaimTemplates"]}
    assert set(mounts) == claims | {one["name"] for one in pod["volumes"]}
    state = parse_settings(KINDS["ConfigMap"]["data"]["monitor.toml"], "", ENVIRON).state
    assert str(Path(state).parent) == mounts["state"]
    assert container["args"][1] == f"{mounts['config']}/monitor.toml"
    assert spec["template"]["metadata"]["labels"] == KINDS["Service"]["spec"]["selector"]


def test_the_image_contains_what_the_monitor_needs() -> None:
    lock = (DEPLOY.parent / "locks" / "gateway.txt").read_text()
    assert "prometheus-client==" in lock


def test_the_compose_file_mounts_files_that_exist_and_scrapes_the_monitor() -> None:
    services: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    for service in services.values():
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert not source.startswith("./") or (DEPLOY / source).is_file(), source
    build = services["monitor"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    scraped = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    (job,) = scraped["scrape_configs"]
    (address,) = job["static_configs"][0]["targets"]
    host, _, port = address.partition(":")
    assert host in services
    assert services[host]["command"][-1].endswith(f":{port}")
    assert scraped["rule_files"] == ["alerts.yml"]
    assert all(
        one.startswith("127.0.0.1:") for service in services.values() for one in service["ports"]
    )
