"""`undam bench --ray`: the workers on two nodes, their figures merged exactly, and the truth about
a worker that was lost."""

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
from support.undam_process import environment
from undam.metrics import Summary, summarize
from undam.record import RequestResult
from undam.record.request_result_lines import read_request_results

QUICK = f"{CHAT}?ttft=20&gap=10&tokens=12"
_PATIENCE_S = 60.0
_FIGURES = ("requests", "ttft_ms", "itl_ms", "tpot_ms", "e2e_ms", "send_delay_ms", "tokens")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with ray_cluster() as address:
        yield address
    assert cluster_pids() == [], "no process of the cluster is left"


def command(url: str, address: str, *arguments: str) -> list[str]:
    return [
        *(sys.executable, "-m", "undam", "bench", url + QUICK, "--workers", "2"),
        *("--ray", address, "-c", "4", *arguments),
    ]


def recorded(path: Path) -> list[RequestResult]:
    with path.open(encoding="utf-8") as file:
        return read_request_results(file).measured


def figures(summary: Summary) -> dict[str, Any]:
    told = summary.to_json()
    return {name: told[name] for name in _FIGURES}


def measuring() -> list[int]:
    """The measuring processes that the cluster runs."""
    return [pid for pid in cluster_pids() if "undam.loadtest" in _command_line(pid)]


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace").replace("\0", " ")
    except OSError:
        return ""


def test_two_nodes_merge_to_what_one_machine_would_have(
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
    told, measured = json.loads(done.stdout), recorded(record)
    assert len({node["node"] for node in told["nodes"]}) == 2
    assert (told["requests"], told["missing_percent"]) == (40, 0)
    assert sorted(one.number for one in measured) == list(range(44))
    alone = figures(summarize(measured))
    assert {name: told[name] for name in _FIGURES} == alone
    merged = Summary()
    for worker in (0, 1):
        merged.merge(summarize(one for one in measured if one.worker == worker))
    assert figures(merged) == alone
    starts = [min(one.intended_ns for one in measured if one.worker == w) for w in (0, 1)]
    assert starts[1] - starts[0] == 5_000_000, "a common start, the second slot 5 ms later"
    eventually(lambda: not measuring())


def test_a_worker_that_is_killed_leaves_an_honest_partial_report(
    model: Simulator, cluster: str, tmp_path: Path
) -> None:
    record, told_to = tmp_path / "record.jsonl", tmp_path / "told.json"
    running = subprocess.Popen(
        command(model.url, cluster, "--duration", "4", "--record", str(record),
                "--json", str(told_to)),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip
    eventually(lambda: record.exists() and record.read_text("utf-8").count("\n") > 12)
    victim = measuring()[0]
    actor = int(Path(f"/proc/{victim}/stat").read_text("ascii").rpartition(") ")[2].split()[1])
    os.kill(actor, signal.SIGKILL)
    out, err = running.communicate(timeout=_PATIENCE_S)
    assert running.returncode == 1
    assert err == b""
    told, measured = json.loads(told_to.read_text("utf-8")), recorded(record)
    (lost,) = told["lost_workers"]
    assert lost["measured"] == sum(one.worker == lost["worker"] for one in measured) > 0
    assert 5 < lost["missing_percent"] < 50
    assert told["missing_percent"] == lost["missing_percent"]
    assert {name: told[name] for name in _FIGURES} == figures(summarize(measured))
    text = out.decode()
    assert f"worker {lost['worker']} of 2 was lost" in text
    assert "% of the whole load is missing" in text
    assert text.startswith(f"{told['requests']} requests in ")
    eventually(lambda: not measuring())
