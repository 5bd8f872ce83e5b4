"""`undam bench --ray` with workers on two nodes: exact metrics, and reports on lost workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.live import CHAT, Simulator
from support.ray_cluster import cluster_pids, ray_cluster
from support.undam_command import environment
from undam.metrics import Summary, summarize
from undam.record import RequestResult
from undam.record.request_result_lines import read_request_results

QUICK = f"{CHAT}?ttft=20&gap=10&tokens=12"
_PATIENCE_S = 60.0
_METRICS = ("requests", "ttft_ms", "itl_ms", "tpot_ms", "e2e_ms", "send_delay_ms", "tokens")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ray_cluster() as address:
        yield address
    assert cluster_pids() == [], "processes of the cluster are still running"


def command(url: str, address: str, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "undam", "bench", url + QUICK, "--workers", "2"),
        *("--ray", address, "-c", "4", *arguments),
    ]


def recorded(path: Path) -> list[RequestResult]:
    with path.open(encoding="utf-8") as file:
        return read_request_results(file).results


def metrics(summary: Summary) -> dict[str, Any]:
    report = summary.to_json()
    return {name: report[name] for name in _METRICS}


def worker_processes() -> list[int]:
    """Return the load-test workers that run as processes of the cluster."""
    return [pid for pid in cluster_pids() if "undam.loadtest" in _command_line(pid)]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ")
    except OSError:
        return ""


def test_metrics_of_two_nodes_equal_those_of_one_machine(
    model: Simulator, cluster: str, tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    done = subprocess.run(
        command(model.url, cluster, "-n", "40", "--record", str(record), "--json", "-"),
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr.decode()
    report, results = json.loads(done.stdout), recorded(record)
    assert len({node["node"] for node in report["nodes"]}) == 2
    assert (report["requests"], report["missing_percent"]) == (40, 0)
    assert sorted(result.number for result in results) == list(range(44))
    alone = metrics(summarize(results))
    assert {name: report[name] for name in _METRICS} == alone
    merged = Summary()
    for worker in (0, 1):
        merged.merge(summarize(result for result in results if result.worker == worker))
    assert metrics(merged) == alone
    starts = [min(result.intended_ns for result in results if result.worker == w) for w in (0, 1)]
    assert starts[1] - starts[0] == 5_000_000, "the second slot must start 5 ms after the first"
    eventually(lambda: not worker_processes())


def test_killed_worker_leaves_a_correct_partial_report(
    model: Simulator, cluster: str, tmp_path: Path
) -> None:
    record, report_file = tmp_path / "record.jsonl", tmp_path / "report.json"
    running = subprocess.Popen(
        command(model.url, cluster, "--duration", "4", "--record", str(record),
                "--json", str(report_file)),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    eventually(lambda: record.exists() and record.read_text("utf-8").count("\n") > 12)
    victim = worker_processes()[0]
    actor = int(Path(f"/proc/{victim}/stat").read_text("ascii").rpartition(") ")[2].split()[1])
    os.kill(actor, signal.SIGKILL)
    out, err = running.communicate(timeout=_PATIENCE_S)
    assert running.returncode == 1
    assert err == b""
    report, results = json.loads(report_file.read_text("utf-8")), recorded(record)
    (lost,) = report["lost_workers"]
    assert lost["measured"] == sum(result.worker == lost["worker"] for result in results) > 0
    assert 5 < lost["missing_percent"] < 50
    assert report["missing_percent"] == lost["missing_percent"]
    assert {name: report[name] for name in _METRICS} == metrics(summarize(results))
    text = out.decode()
    assert f"worker {lost['worker']} of 2 was lost" in text
    assert "% of the whole load is missing" in text
    assert text.startswith(f"{report['requests']} requests in ")
    eventually(lambda: not worker_processes())
