"""Start of a proxy in the foreground on a free loopback port, and cleanup after the proxy stops.

Each program has its own temporary directory and process group. ``stop`` removes both; it also runs
at the end of a ``with`` block and of this process.
"""

from __future__ import annotations

import atexit
import contextlib
import grp
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from undam.errors import UndamError
from undam.lab.proxies.plan import LaunchPlan, RunAs, Workspace
from undam.lab.proxies.programs import find_program, version_of

_HOST = "127.0.0.1"
_START_S = 15.0  # varnishd first compiles its configuration with a C compiler.
_STOP_S = 3.0  # Time for a graceful stop.
_REAP_S = 0.5
_POLL_S = 0.02
_ATTEMPTS = 3
_TAIL_BYTES = 4096
_IN_USE = re.compile(r"address (already )?in use|cannot bind|could not bind", re.IGNORECASE)


class NotStarted(UndamError):
    """A program exited or did not listen in time. The message ends with the program's log."""


class RunningProxy:
    """Running proxy. It is also a context manager that stops the proxy.

    Attributes:
        url: ``http://127.0.0.1:PORT``.
        config: text of its configuration.
    """

    def __init__(
        self,
        name: str,
        version: str,
        *,
        workspace: Workspace,
        config: str,
        process: subprocess.Popen[bytes],
    ) -> None:
        self.name = name
        self.version = version
        self.url = f"http://{_HOST}:{workspace.port}"
        self.config = config
        self.pid = process.pid
        self.directory = workspace.directory
        self._process = process
        self._stopped = False
        self._last_log = ""
        atexit.register(self.stop)

    def log(self) -> str:
        """Return the last lines of the logs and the output; also available after ``stop``."""
        return self._last_log if self._stopped else _tails(self.directory)

    def stop(self) -> None:
        """Stop the process group and remove the directory. A second call does nothing."""
        if self._stopped:
            return
        _end_group(self._process)
        self._last_log = _tails(self.directory)
        shutil.rmtree(self.directory, ignore_errors=True)
        self._stopped = True
        atexit.unregister(self.stop)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def start(
    name: str,
    prepare: Callable[[Workspace], LaunchPlan],
    *,
    program: str | None = None,
    version_flag: str = "--version",
    accounts: tuple[str, ...] = (),
) -> RunningProxy:
    """Start a program and wait until it accepts connections.

    Args:
        prepare: returns the files and arguments of the program.
        program: name of the executable; by default ``name``.
        accounts: users that the program may run as when root starts it. The first one that
            exists is used and owns the directory.

    Raises:
        Missing: the program is not installed.
        NotStarted: the program exited or did not listen in time.
    """
    path = find_program(program or name)
    version = version_of(path, version_flag)
    account = _account(accounts)
    for attempt in range(1, _ATTEMPTS + 1):
        workspace = Workspace(
            Path(tempfile.mkdtemp(prefix=f"undam-{name}-")), _free_port(), account
        )
        try:
            return _launch(name, version, path, workspace, prepare)
        except NotStarted as error:
            # Another process may have taken the port since it was chosen.
            if attempt == _ATTEMPTS or not _IN_USE.search(str(error)):
                raise
    raise AssertionError("unreachable")


def _launch(
    name: str,
    version: str,
    path: str,
    workspace: Workspace,
    prepare: Callable[[Workspace], LaunchPlan],
) -> RunningProxy:
    process = None
    try:
        plan = prepare(workspace)
        _write_files(workspace, plan)
        with (workspace.directory / "output.log").open("wb") as output:
            process = subprocess.Popen(
                [path, *plan.arguments],
                cwd=workspace.directory,
                env={**os.environ, **plan.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _await_port(name, process, workspace)
        return RunningProxy(name, version, workspace=workspace, config=plan.config, process=process)
    except BaseException:
        if process is not None:
            _end_group(process)
        shutil.rmtree(workspace.directory, ignore_errors=True)
        raise


def _write_files(workspace: Workspace, plan: LaunchPlan) -> None:
    for folder in plan.folders:
        (workspace.directory / folder).mkdir(parents=True, exist_ok=True)
    for file_name, text in {plan.config_name: plan.config, **plan.files}.items():
        file = workspace.directory / file_name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    if workspace.account is not None:
        # Others have no access to the directory, so the directory must belong to the program's
        # account. varnishd uses two users that are in the same group.
        workspace.directory.chmod(0o750)
        for inside in (workspace.directory, *workspace.directory.rglob("*")):
            os.chown(inside, workspace.account.uid, workspace.account.gid)


def _await_port(name: str, process: subprocess.Popen[bytes], workspace: Workspace) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise NotStarted(
                f"{name} exited with status {process.returncode}: {_tails(workspace.directory)}"
            )
        if _accepts(workspace.port):
            return
        time.sleep(_POLL_S)
    raise NotStarted(f"{name} did not listen within {_START_S:g} s: {_tails(workspace.directory)}")


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        if probe.connect_ex((_HOST, port)) != 0:
            return False
        # A connection to an unused ephemeral port can connect to itself.
        return bool(probe.getsockname() != probe.getpeername())


def _free_port() -> int:
    with socket.socket() as finder:
        finder.bind((_HOST, 0))
        return int(finder.getsockname()[1])


def _account(names: tuple[str, ...]) -> RunAs | None:
    if os.geteuid() != 0:
        return None
    for name in names:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            group = grp.getgrgid(entry.pw_gid).gr_name
            return RunAs(name, group, entry.pw_uid, entry.pw_gid)
    return None


def _end_group(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        _signal_group(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_S)
    # Workers may outlive their parent. Any that are still running are killed.
    if not _signal_group(process.pid, signal.SIGKILL):
        return
    process.wait()
    # init reaps orphans. In a container whose init does not, they remain zombies.
    deadline = time.monotonic() + _REAP_S
    while _signal_group(process.pid, 0) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _tails(directory: Path) -> str:
    tails = []
    for file in sorted(directory.rglob("*.log")):
        with contextlib.suppress(OSError), file.open("rb") as log:
            log.seek(max(0, file.stat().st_size - _TAIL_BYTES))
            tails.append(log.read().decode("utf-8", "replace").strip())
    return "\n".join(tail for tail in tails if tail) or "(the log is empty)"
