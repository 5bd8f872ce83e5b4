"""`undam lint` and `undam fix` as processes: progress, color, closed pipes and signals."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.terminal import on_terminal
from support.undam_command import RunCommand, StartCommand

pytestmark = pytest.mark.slow

BAD = "http {\n server {\n  location /v1/ {\n   proxy_pass http://127.0.0.1:9000;\n  }\n }\n}\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Create enough files for the progress bar to appear."""
    for number in range(300):
        (tmp_path / f"{number}.conf").write_text(BAD)
    return tmp_path


def test_progress_is_shown_only_on_a_terminal(
    start: StartCommand, run: RunCommand, tree: Path
) -> None:
    code, out, shown = on_terminal(start, "lint", str(tree))
    piped = run("lint", str(tree))
    assert (code, piped.code) == (1, 1)
    assert out == piped.out
    assert piped.err == ""
    assert "/300" in shown
    assert re.search(r"\d+\.conf", shown)
    assert shown.count("\x1b[?25l") == shown.count("\x1b[?25h")  # The cursor is visible again.


def test_no_color_disables_colours_on_a_terminal(start: StartCommand, tree: Path) -> None:
    master, slave = pty.openpty()
    for env, coloured in (({}, True), ({"NO_COLOR": "1"}, False)):
        process = start(
            "lint", str(tree / "1.conf"), stdout=slave, env={"TERM": "xterm-256color", **env}
        )
        process.wait(60)
        assert (b"\x1b[" in os.read(master, 65536)) is coloured
    os.close(slave)
    os.close(master)


def test_a_diff_cannot_control_the_terminal(start: StartCommand, tmp_path: Path) -> None:
    file = tmp_path / "nginx.conf"
    file.write_text(BAD.replace("  location", "# \x1b]0;hostile\x07\n  location"))
    master, slave = pty.openpty()
    process = start("fix", str(file), stdout=slave, env={"TERM": "xterm", "NO_COLOR": "1"})
    process.wait(60)
    shown = os.read(master, 65536)
    os.close(slave)
    os.close(master)
    assert b"proxy_buffering off;" in shown
    assert b"\x1b" not in shown


def test_usage_errors_are_one_line(run: RunCommand, tmp_path: Path) -> None:
    for args in (["lint"], ["fix"], ["lint", ".", "--select", "NGX999"], ["render", "nginx"],
                 ["render", "iis", "--upstream", "http://a:1"]):  # fmt: skip
        ran = run(*args, cwd=tmp_path)
        assert (ran.code, ran.out) == (2, "")
        assert ran.line


def test_a_closed_pipe_does_not_change_the_exit_code(start: StartCommand, tree: Path) -> None:
    for command in (
        ["lint"],
        ["fix"],
        ["lint", "--format", "sarif"],
        ["lint", "--format", "github"],
    ):
        process = start(*command, str(tree))
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(1)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1


def wait_until_idle(process: subprocess.Popen[bytes]) -> None:
    """Wait until a process has started up and has stopped using CPU time."""
    stat = Path(f"/proc/{process.pid}/stat")
    before = -1
    for _ in range(60):
        # In /proc/PID/stat, the times follow the command name, which is in parentheses.
        fields = stat.read_text().rpartition(")")[2].split()
        used = int(fields[11]) + int(fields[12])
        if used == before:
            return
        before = used
        time.sleep(1)
    raise AssertionError("the process is still busy")


def test_a_signal_ends_the_wait_for_standard_input(start: StartCommand) -> None:
    reading, writing = os.pipe()
    process = start("lint", "-", stdin=reading)
    os.close(reading)
    try:
        # If the signal interrupts an import, Python may exit with another code.
        wait_until_idle(process)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
    finally:
        os.close(writing)
    assert (process.returncode, err.strip()) == (143, b"undam: terminated")
