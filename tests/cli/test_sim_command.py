"""`undam sim`: first output line, exit codes, and the ground-truth log after a signal."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # Each test starts a process.

SIM = [sys.executable, "-m", "undam", "sim", "--port", "0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_first_line_is_the_url_and_signals_stop_cleanly(
    number: signal.Signals, tmp_path: Path
) -> None:
    truth = tmp_path / "truth.jsonl"
    options = ["--ttft", "1", "--gap", "uniform(0,1)", "--tokens", "3", "--truth", str(truth)]
    with subprocess.Popen(
        [*SIM, *options, "--header", "X-Accel-Buffering: no"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        assert first.startswith("listening on http://127.0.0.1:")
        with urllib.request.urlopen(first.split()[-1] + "/sse", timeout=10) as response:
            assert response.headers["X-Accel-Buffering"] == "no"
            assert response.read().count(b"data: ") == 3
        process.send_signal(number)
        out, error = process.communicate(timeout=20)
    assert (process.returncode, out, error) == (0, "", "")
    kinds = [json.loads(line)["kind"] for line in truth.read_text().splitlines()]
    assert kinds == ["request", "event", "event", "event", "end"]


def test_json_replaces_the_first_line_or_is_written_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "sim.json"
    for to in ([], [str(file)]):
        with subprocess.Popen([*SIM, "--json", *to], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            first = process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            out = first + process.stdout.read()
        output = json.loads(file.read_text() if to else out)
        assert (output["schema"], output["command"]) == (1, "sim")
        assert output["url"].startswith("http://127.0.0.1:")
        assert not to or out == f"listening on {output['url']}\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--ttft", "soon"], "ttft: invalid distribution 'soon': expected a number"),
        (["--header", "A: b\r\nC: d"], "line break"),
        (["--framing", "length", "--heartbeat", "1"], "--framing length"),
        (["--truth", "/no/such/folder/truth"], "cannot write the ground truth"),
        (["--host", "no.such.host.invalid"], "cannot listen"),
    ],
)
def test_errors_are_reported_in_one_line_with_exit_code_2(options: list[str], message: str) -> None:
    done = subprocess.run([*SIM, *options], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_help_lists_every_option() -> None:
    done = subprocess.run([*SIM[:4], "--help"], capture_output=True, text=True, check=True)
    for option in ("host", "port", "ttft", "gap", "tokens", "tokens-per-event", "event-bytes",
                 "heartbeat", "stall-after", "stall", "die-after", "framing", "header", "truth",
                 "seed"):  # fmt: skip
        assert f"--{option} " in done.stdout
