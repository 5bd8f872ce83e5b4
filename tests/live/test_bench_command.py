"""`undam bench` as a process: exit codes, output, signals, and no leftover child processes."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually
from support.live import CHAT, Simulator
from support.undam_command import command_line, environment, run_undam
from undam.metrics import summarize
from undam.record import RequestResult
from undam.record.request_result_lines import read_request_results

_PATIENCE_S = 40.0
QUICK = f"{CHAT}?ttft=20&gap=5&tokens=10"


@pytest.fixture(scope="module")
def url(model: Simulator) -> str:
    return model.url


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []

    def call(*arguments: str, **more: Any) -> subprocess.Popen[bytes]:
        given: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        running.append(
            subprocess.Popen(
                command_line("bench", *arguments),
                env=environment(),
                stdin=subprocess.DEVNULL,
                **given,
            )
        )
        return running[-1]

    yield call
    for process in running:
        process.kill()
        process.communicate()


def run(*arguments: str) -> tuple[int, str, str]:
    key = {"OPENAI_API_KEY": "sk-very-secret-0123456789"}
    done = run_undam("bench", *arguments, env=key, timeout_s=_PATIENCE_S)
    assert "very-secret" not in done.out + done.err
    return done.code, done.out, done.err


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(pid) for pid in text.split()]


def is_running(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False
    return text.rpartition(") ")[2][0] not in "ZX"


def recorded(path: Path) -> list[RequestResult]:
    with path.open(encoding="utf-8") as file:
        return read_request_results(file).results


def lines_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def test_exit_code_reflects_failures_and_objectives(url: str) -> None:
    met = ("--slo", "ttft_p99<20s", "--slo", "errors<=0", "--slo", "goodput>=100%")
    code, out, err = run(url + QUICK, "-n", "8", "-c", "2", *met)
    assert err == ""
    assert out.count("slo ") == out.count(": met, measured ") == 3
    code, out, _ = run(url + QUICK, "-n", "8", "-c", "2", "--slo", "ttft_p50<1ms")
    assert code == 1
    assert "missed by " in out
    code, out, err = run(url + "/nosuch", "-n", "3", "-c", "1")
    assert code == 2
    assert "3 of 3 requests: status-404" in err
    assert err.count("\n") == 1
    code, _, err = run(url + QUICK, "-c", "2", "--duration", "0.02", "--warmup", "9")
    assert code == 2
    assert "no request was measured" in err
    code, _, err = run(url + "/v1/models", "-n", "3", "-c", "1", "--json")
    assert code == 2
    assert "not a stream" in err


def test_two_workers_share_an_open_loop_and_replay_a_trace(url: str, tmp_path: Path) -> None:
    record, prompts = tmp_path / "record.jsonl", tmp_path / "prompts.jsonl"
    load = ("--rate", "60", "-n", "40", "--warmup", "4", "--workers", "2")
    _, out, _ = run(url + QUICK, *load, "--record", str(record), "--json", "-")
    report, results = json.loads(out), recorded(record)
    assert sorted(result.number for result in results) == list(range(44))
    assert {result.worker for result in results} == {0, 1}
    assert sum(result.warmup for result in results) == 4 == report["warmup"]
    # The metrics from the record equal those of the run.
    from_record = summarize(results).to_json()
    for name in ("requests", "ttft_ms", "itl_ms", "e2e_ms", "tokens"):
        assert from_record[name] == report[name]
    prompts.write_text(
        "".join(
            json.dumps({"prompt": str(i), "timestamp_ms": 500 + 40 * i, "max_tokens": 3}) + "\n"
            for i in range(6)
        ),
        encoding="utf-8",
    )
    _, out, _ = run(url + QUICK, "--prompts", str(prompts), "--record", str(record), "--json", "-")
    report, results = json.loads(out), recorded(record)
    assert report["load"] == "replay of 6 requests"
    starts = sorted(result.intended_ns for result in results)
    assert [at - starts[0] for at in starts] == [i * 40_000_000 for i in range(6)]
    assert [result.tokens for result in results] == [3] * 6


def test_sweep_and_search_report_each_step(url: str) -> None:
    _, out, _ = run(url + QUICK, "--sweep", "1,4", "-n", "8", "--json", "-")
    assert [step["concurrency"] for step in json.loads(out)["sweep"]] == [1, 4]
    # Ten requests take at least as long as the last response, which limits the request rate.
    load = ("--rate", "20", "-n", "10", "--arrivals", "constant", "--warmup", "0")
    slo = "requests_per_second<31"
    _, out, _ = run(url + CHAT + "?ttft=20&gap=20&tokens=3", "--find-max", "--slo", slo, *load,
                    "--json", "-")  # fmt: skip
    report = json.loads(out)
    for step in report["sweep"]:
        assert step["slo"][0]["met"] == (step["slo"][0]["value"] < 31)
    met = [step["rate"] for step in report["sweep"] if step["slo"][0]["met"]]
    assert report["max_rate"] in met
    if report["stopped_by"] is None:
        assert report["max_rate"] < report["missed_rate"]


def test_ctrl_c_prints_a_partial_report(url: str, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [
                *command_line("bench", url + QUICK, "-c", "3"),
                *("--duration", "60", "--record", str(record)),
            ],
            environment(TERM="xterm"),
        )
    shown = bytearray()

    def read() -> bool:
        ready, _, _ = select.select([terminal], [], [], 0.1)
        try:
            shown.extend(os.read(terminal, 65536) if ready else b"")
        except OSError:
            return False
        return True

    eventually(lambda: read() and b"in flight" in shown and lines_of(record) > 5)
    workers = children(pid)
    assert workers
    os.write(terminal, b"\x03")
    while read():
        pass
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    text = shown.decode()
    assert os.waitstatus_to_exitcode(status) == 130
    assert "interrupted: " in text
    assert "TTFT" in text.rpartition("interrupted: ")[0], "the live line"
    assert not any(map(is_running, workers))
    counted = [
        result
        for result in recorded(record)
        if not result.warmup and result.outcome.value == "complete"
    ]
    assert f"interrupted: {len(counted)} requests in" in text


def test_sigterm_exits_with_143_and_a_lost_worker_is_reported(
    url: str, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    load = ("-c", "4", "--workers", "2", "--duration", "60", "--record", str(record))
    running = start(url + QUICK, *load)
    eventually(lambda: lines_of(record) > 20)
    workers = children(running.pid)
    assert len(workers) == 2
    os.kill(workers[1], signal.SIGKILL)
    before = lines_of(record)
    eventually(lambda: lines_of(record) > before + 10)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=_PATIENCE_S)
    assert running.returncode == 143
    assert "worker 1 of 2 was lost" in out.decode()
    assert "killed by SIGKILL" in out.decode()
    assert err.decode().strip() == "undam: terminated"
    assert {result.worker for result in recorded(record)} == {0, 1}


def test_killed_coordinator_leaves_its_record_and_no_worker(
    url: str, start: Callable[..., subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    record = tmp_path / "record.jsonl"
    running = start(url + QUICK, "-c", "4", "--workers", "2", "--duration", "60",
                    "--record", str(record))  # fmt: skip
    eventually(lambda: lines_of(record) > 20)
    workers = children(running.pid)
    running.kill()
    running.wait()
    eventually(lambda: not any(map(is_running, workers)))
    assert len(recorded(record)) >= 19
