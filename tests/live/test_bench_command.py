"""`undam bench` as a process: it ends well however it is ended, and leaves nothing behind."""

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
from support.undam_process import environment
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
                [sys.executable, "-m", "undam", "bench", *arguments],
                env=environment(),
                stdin=subprocess.DEVNULL,
                **given,
            )
        )
        return running[-1]

    yield call
    for one in running:
        one.kill()
        one.communicate()


def run(*arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "undam", "bench", *arguments],
        env=environment(OPENAI_API_KEY="sk-very-secret-0123456789"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=_PATIENCE_S,
        check=False,
    )
    out, err = done.stdout.decode(), done.stderr.decode()
    assert "Traceback" not in out + err
    assert "very-secret" not in out + err
    return done.returncode, out, err


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(one) for one in text.split()]


def is_running(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
    except OSError:
        return False
    return text.rpartition(") ")[2][0] not in "ZX"


def recorded(path: Path) -> list[RequestResult]:
    with path.open(encoding="utf-8") as file:
        return read_request_results(file).measured


def lines_of(path: Path) -> int:
    return path.read_text(encoding="utf-8").count("\n") if path.exists() else 0


def test_exit_codes_and_objectives(url: str) -> None:
    met = ("--slo", "ttft_p99<20s", "--slo", "errors<=0", "--slo", "goodput>=100%")
    code, out, err = run(url + QUICK, "-n", "8", "-c", "2", *met)
    assert err == ""
    assert out.count("slo ") == out.count(": met, ") == 3
    code, out, _ = run(url + QUICK, "-n", "8", "-c", "2", "--slo", "ttft_p50<1ms")
    assert code == 1
    assert "missed, by " in out
    code, out, err = run(url + "/nosuch", "-n", "3", "-c", "1")
    assert code == 2
    assert "3 of 3 requests: status-404" in err
    assert err.count("\n") == 1
    code, _, err = run(url + QUICK, "-c", "2", "--duration", "0.02", "--warmup", "9")
    assert code == 2
    assert "no request counted" in err
    code, _, err = run(url + "/v1/models", "-n", "3", "-c", "1", "--json")
    assert code == 2
    assert "not a stream" in err


def test_two_workers_share_an_open_loop_and_replay_a_trace(url: str, tmp_path: Path) -> None:
    record, prompts = tmp_path / "record.jsonl", tmp_path / "prompts.jsonl"
    load = ("--rate", "60", "-n", "40", "--warmup", "4", "--workers", "2")
    _, out, _ = run(url + QUICK, *load, "--record", str(record), "--json", "-")
    told, measured = json.loads(out), recorded(record)
    assert sorted(one.number for one in measured) == list(range(44))
    assert {one.worker for one in measured} == {0, 1}
    assert sum(one.warmup for one in measured) == 4 == told["warmup"]
    # The record is the run: the same figures come out of it.
    again = summarize(measured).to_json()
    for name in ("requests", "ttft_ms", "itl_ms", "e2e_ms", "tokens"):
        assert again[name] == told[name]
    prompts.write_text(
        "".join(
            json.dumps({"prompt": str(i), "timestamp_ms": 500 + 40 * i, "max_tokens": 3}) + "\n"
            for i in range(6)
        ),
        encoding="utf-8",
    )
    _, out, _ = run(url + QUICK, "--prompts", str(prompts), "--record", str(record), "--json", "-")
    told, measured = json.loads(out), recorded(record)
    assert told["load"] == "replay of 6 requests"
    starts = sorted(one.intended_ns for one in measured)
    assert [at - starts[0] for at in starts] == [i * 40_000_000 for i in range(6)]
    assert [one.tokens for one in measured] == [3] * 6


def test_a_sweep_and_a_search_tell_each_step(url: str) -> None:
    _, out, _ = run(url + QUICK, "--sweep", "1,4", "-n", "8", "--json", "-")
    assert [one["concurrency"] for one in json.loads(out)["sweep"]] == [1, 4]
    # A schedule of ten requests cannot end faster than its last answer, so this has a limit.
    load = ("--rate", "20", "-n", "10", "--arrivals", "constant", "--warmup", "0")
    slo = "requests_per_second<31"
    _, out, _ = run(url + CHAT + "?ttft=20&gap=20&tokens=3", "--find-max", "--slo", slo, *load,
                    "--json", "-")  # fmt: skip
    told = json.loads(out)
    for step in told["sweep"]:
        assert step["slo"][0]["met"] == (step["requests_per_second"] < 31)
    met = [step["rate"] for step in told["sweep"] if step["slo"][0]["met"]]
    missed = [step["rate"] for step in told["sweep"] if not step["slo"][0]["met"]]
    assert told["max_rate"] == max(met)
    if told["stopped_by"] is None:
        assert told["missed_rate"] == min(missed) <= told["max_rate"] * 1.1


def test_ctrl_c_on_a_terminal_ends_with_a_partial_report(url: str, tmp_path: Path) -> None:
    record = tmp_path / "record.jsonl"
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(
            sys.executable,
            [
                *(sys.executable, "-m", "undam", "bench", url + QUICK, "-c", "3"),
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
    assert "TTFT" in text.rpartition("interrupted: ")[0], "a live line"
    assert not any(map(is_running, workers))
    measured = recorded(record)
    counted = [one for one in measured if not one.warmup and one.outcome.value == "complete"]
    assert f"interrupted: {len(counted)} requests in" in text


def test_sigterm_is_143_and_a_lost_worker_is_told(
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
    assert {one.worker for one in recorded(record)} == {0, 1}


def test_a_killed_coordinator_leaves_its_record_and_no_worker(
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
