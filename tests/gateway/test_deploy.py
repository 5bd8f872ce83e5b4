"""Files in deploy/: they are consistent with each other and with undam."""

from __future__ import annotations

import configparser
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from undam.gateway.config.config import make_config
from undam.gateway.config.toml import parse_config
from undam.gateway.interfaces import LocalResponse, RequestInfo
from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.admin_endpoints import AdminEndpoints

DEPLOY = Path(__file__).parents[2] / "deploy"
KINDS = {one["kind"]: one for one in yaml.safe_load_all((DEPLOY / "kubernetes.yaml").read_text())}
POD: dict[str, Any] = KINDS["Deployment"]["spec"]["template"]
CONTAINER: dict[str, Any] = POD["spec"]["containers"][0]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
CONFIGS = {
    "gateway.toml": (DEPLOY / "gateway.toml").read_text(),
    "kubernetes.yaml": KINDS["ConfigMap"]["data"]["gateway.toml"],
}


def _config(name: str) -> Any:
    parsed = parse_config(CONFIGS[name], name)
    return make_config(parsed.values, parsed.upstreams, parsed.aliases)


def _answers(path: str) -> bool:
    request = RequestInfo.__new__(RequestInfo)
    request.method, request.target, request.headers = "GET", path, []
    endpoints = AdminEndpoints(not_ready=lambda: "", shared_metrics=None, flush=lambda: None)
    response = endpoints(request)
    return isinstance(response, LocalResponse) and response.status == 200


@pytest.mark.parametrize("name", CONFIGS)
def test_the_configurations_are_valid(name: str) -> None:
    config = _config(name)
    assert config.address == ("0.0.0.0", 8080)
    assert len(config.upstreams) == 2
    assert config.hedge == "auto"


def test_lint_reports_no_findings() -> None:
    command = [sys.executable, "-m", "undam", "lint", "--heartbeat", "15", "--format", "json"]
    done = subprocess.run(
        [*command, DEPLOY / "kubernetes.yaml"], capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, json.loads(done.stdout)["findings"]) == (0, [])
    annotations = KINDS["Ingress"]["metadata"]["annotations"]
    modified = (DEPLOY / "kubernetes.yaml").read_text().replace('proxy-buffering: "off"',
                                                              'proxy-buffering: "on"')  # fmt: skip
    done = subprocess.run(
        [*command, "--dialect", "ingress-nginx", "-"], capture_output=True, text=True,
        input=modified, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1, "lint does not recognize the file"
    assert all(isinstance(value, str) for value in annotations.values())


def test_ports_and_paths_match() -> None:
    port = CONTAINER["ports"][0]
    assert port["containerPort"] == _config("kubernetes.yaml").address[1]
    assert KINDS["Service"]["spec"]["ports"][0]["targetPort"] == port["name"]
    backend = KINDS["Ingress"]["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"]
    assert backend["name"] == KINDS["Service"]["metadata"]["name"]
    assert backend["port"]["name"] == KINDS["Service"]["spec"]["ports"][0]["name"]
    for probe, path in (("readinessProbe", "/-/readyz"), ("livenessProbe", "/-/healthz")):
        assert CONTAINER[probe]["httpGet"] == {"path": path, "port": port["name"]}
        assert _answers(path)
    annotations = POD["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])
    assert annotations["prometheus.io/path"] == "/-/metrics"
    labels = POD["metadata"]["labels"]
    for selector in (
        KINDS["Service"]["spec"]["selector"],
        KINDS["Deployment"]["spec"]["selector"]["matchLabels"],
        KINDS["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels.items()
    target = KINDS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]
    assert target["name"] == KINDS["Deployment"]["metadata"]["name"]
    assert CONTAINER["args"] == ["--config", CONTAINER["volumeMounts"][0]["mountPath"]
                                 + "/gateway.toml"]  # fmt: skip
    assert f"EXPOSE {port['containerPort']}" in DOCKERFILE


def test_stop_timeouts_exceed_the_drain_timeout() -> None:
    pause = int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][-1])
    drain = _config("kubernetes.yaml").drain_timeout
    assert POD["spec"]["terminationGracePeriodSeconds"] >= pause + drain + 10
    assert int(_unit()["TimeoutStopSec"]) >= _config("gateway.toml").drain_timeout + 10


def test_the_autoscaler_uses_an_existing_metric() -> None:
    metric = KINDS["HorizontalPodAutoscaler"]["spec"]["metrics"][0]["pods"]
    assert metric["metric"]["name"] == m.STREAMS.name
    assert int(metric["target"]["averageValue"]) < _config("kubernetes.yaml").max_streams


def test_the_container_is_unprivileged() -> None:
    pod, container = POD["spec"]["securityContext"], CONTAINER["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert f"USER {pod['runAsUser']}:{pod['runAsGroup']}" in DOCKERFILE
    assert container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {"requests", "limits"} == set(CONTAINER["resources"])


def test_images_are_pinned_and_the_dockerfile_is_complete() -> None:
    images = [*re.findall(r"(?m)^FROM (\S+)", DOCKERFILE), CONTAINER["image"]]
    assert len(images) == 3
    assert all(re.search(r":\d", image) and "latest" not in image for image in images)
    for instruction in (
        "--require-hashes",
        "@sha256:",
        "STOPSIGNAL SIGTERM",
        "HEALTHCHECK",
        "/-/healthz",
    ):
        assert instruction in DOCKERFILE
    copied = re.findall(r"(?m)^COPY (?!--from)(.+) \S+$", DOCKERFILE)
    for name in " ".join(copied).split():
        assert (DEPLOY.parent / name).exists()
        assert f"!{name}\n" in (DEPLOY / "Dockerfile.dockerignore").read_text()


def _unit() -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "undam-gateway.service")
    return parser["Service"]


def test_the_unit_notifies_systemd_and_is_sandboxed() -> None:
    unit = _unit()
    assert (unit["Type"], unit["ExecReload"]) == ("notify", "/bin/kill -HUP $MAINPID")
    assert unit["DynamicUser"] == unit["NoNewPrivileges"] == "yes"
    assert unit["ProtectSystem"] == "strict"
    assert "undam gateway --config" in unit["ExecStart"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    program = tmp_path / "undam"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    text = (DEPLOY / "undam-gateway.service").read_text()
    copy = tmp_path / "undam-gateway.service"
    copy.write_text(text.replace("/opt/undam/bin/undam", str(program)))
    done = subprocess.run(
        ["systemd-analyze", "verify", copy], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _sample_names() -> set[str]:
    """Return the names of all samples that a scrape contains."""
    samples = set()
    for family in m.FAMILIES:
        suffixes = {"counter": ["_total"], "gauge": [""]}.get(family.kind)
        samples |= {family.name + suffix for suffix in suffixes or ["_bucket", "_count", "_sum"]}
    return samples


def test_the_dashboard_queries_existing_metrics_and_labels() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    queries = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])
    ]
    queries += [
        one["query"]["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"
    ]
    names = {
        name for text in queries for name in re.findall(r"\b(?:undam|gen_ai_server)_\w+", text)
    }
    assert names <= _sample_names()
    used = {re.sub(r"_(total|bucket|count|sum)$", "", name) for name in names}
    assert {family.name for family in m.FAMILIES} <= used | names, "not on the dashboard"
    labels = {label for family in m.FAMILIES for label in family.labels} | {"le", "job"}
    for text in queries:
        for group in re.findall(r"by \(([^)]*)\)", text):
            assert {one.strip() for one in group.split(",")} <= labels
        assert text.count("(") == text.count(")")
    positions = [tuple(panel["gridPos"].values()) for panel in dashboard["panels"]]
    assert len(set(positions)) == len(positions)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(positions)
