"""Starting and stopping proxies, tested with small Python programs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from undam.lab import proxies
from undam.lab.proxies import Missing, NotStarted, RunningProxy, find_program
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start

_LISTEN = """\
import signal, socket, subprocess, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("ready", flush=True)
"""
_IGNORES_SIGTERM = _LISTEN + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(60)\n"
_WITH_WORKER = (
    _LISTEN
    + 'worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])\n'
    + 'open("worker", "w").write(str(worker.pid))\n'
    + "time.sleep(60)\n"
)


def _start(code: str, workspaces: list[Workspace] | None = None) -> RunningProxy:
    def plan(workspace: Workspace) -> LaunchPlan:
        if workspaces is not None:
            workspaces.append(workspace)
        return LaunchPlan(
            config=code,
            config_name="program.py",
            arguments=("program.py", str(workspace.port)),
            files={"sub/file": "text"},
            folders=("folder",),
            environment={"OPTION": "from-environment"},
        )

    return start("fake-proxy", plan, program=sys.executable)


def test_a_started_program_listens_and_has_version_and_log() -> None:
    with _start(
        _LISTEN + "import os; print(os.environ['OPTION'], flush=True)\ntime.sleep(60)"
    ) as it:
        assert it.url == f"http://127.0.0.1:{it.url.rpartition(':')[2]}"
        assert it.version == ".".join(map(str, sys.version_info[:3]))
        assert (it.directory / "sub" / "file").read_text() == "text"
        assert (it.directory / "folder").is_dir()
        _await(lambda: "from-environment" in it.log())
    assert "from-environment" in it.log()
    assert not it.directory.exists()
    assert not _alive(it.pid)
    it.stop()


def test_a_program_that_ignores_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.lab.proxies.process._STOP_S", 0.2)
    it = _start(_IGNORES_SIGTERM)
    _await(lambda: "ready" in it.log())
    it.stop()
    assert not _alive(it.pid)


def test_workers_are_stopped_with_the_program() -> None:
    it = _start(_WITH_WORKER)
    pid_file = it.directory / "worker"
    _await(lambda: pid_file.exists() and pid_file.read_text() != "")
    worker = int(pid_file.read_text())
    assert _alive(worker)
    it.stop()
    assert not _alive(worker)


def test_an_exited_program_is_reported_with_its_log() -> None:
    workspaces: list[Workspace] = []
    with pytest.raises(NotStarted, match="status 7: no such directive") as caught:
        _start('print("no such directive", flush=True); raise SystemExit(7)', workspaces)
    assert "fake-proxy" in str(caught.value)
    assert len(workspaces) == 1
    assert not workspaces[0].directory.exists()


def test_another_port_is_tried_if_one_is_taken() -> None:
    workspaces: list[Workspace] = []
    with pytest.raises(NotStarted):
        _start('raise OSError("[Errno 98] Address already in use")', workspaces)
    assert len(workspaces) == 3
    assert not any(workspace.directory.exists() for workspace in workspaces)


def test_a_failed_plan_leaves_no_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def plan(workspace: Workspace) -> LaunchPlan:
        raise RuntimeError("failed")

    with pytest.raises(RuntimeError):
        start("fake-proxy", plan, program=sys.executable)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    code = (
        "import sys, time\n"
        "from undam.lab.proxies.plan import LaunchPlan\n"
        "from undam.lab.proxies.process import start\n"
        "program = 'import socket, sys, time;"
        ' s = socket.create_server(("127.0.0.1", int(sys.argv[1]))); time.sleep(60)\'\n'
        "it = start('fake-proxy', lambda workspace: LaunchPlan(config=program, config_name='p.py',"
        " arguments=('p.py', str(workspace.port))), program=sys.executable)\n"
        "print(it.pid, it.directory, flush=True)\n"
        "raise KeyboardInterrupt\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    pid, directory = ended.stdout.split()
    assert "KeyboardInterrupt" in ended.stderr
    assert not _alive(int(pid))
    assert not Path(directory).exists()


def test_a_missing_program_is_reported_with_its_install_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undam.lab.proxies.programs._DAEMONS", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Missing, match=r"nginx is not installed.*apt-get install .*nginx") as caught:
        find_program("nginx")
    assert caught.value.program == "nginx"
    assert "\n" not in str(caught.value)


def test_programs_in_daemon_directories_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nginx"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setattr("undam.lab.proxies.programs._DAEMONS", str(tmp_path))
    monkeypatch.setenv("PATH", "/nonexistent")
    assert find_program("nginx") == str(program)


def test_the_list_of_starters_is_complete() -> None:
    exported = {name for name in proxies.__all__ if name.startswith("start_")}
    assert {starter.__name__ for starter in proxies.STARTERS} == exported
    folder = Path(proxies.__file__).parent
    modules = {file.stem for file in folder.glob("*.py")}
    assert {name.removeprefix("start_") for name in exported} == modules - {
        *("__init__", "plan", "process", "programs"),
    }


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _await(condition: object) -> None:
    assert callable(condition)
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)
