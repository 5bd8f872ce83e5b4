"""A Ray cluster with two nodes on loopback addresses."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.live import skip_or_fail
from undam.lab.proxies import Missing

HEAD, SECOND = "127.0.0.2", "127.0.0.3"

# All processes of the cluster inherit this variable, which no other processes have.
_MARK, _MINE = "UNDAM_TEST_CLUSTER", f"{os.getpid()}"

_START_S = 30.0


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", _MARK: _MINE}


def _start(folder: Path, name: str, *arguments: str) -> subprocess.Popen[bytes]:
    ray = Path(sys.executable).parent / "ray"
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [
                *(str(ray), "start", "--block", "--num-cpus", "2", "--disable-usage-stats"),
                *("--object-store-memory", "80000000", *arguments),
            ],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


@contextlib.contextmanager
def ray_cluster() -> Iterator[str]:
    """Run a Ray cluster with two nodes of two CPUs each; yield the cluster's address."""
    if importlib.util.find_spec("ray") is None:
        missing = Missing("ray", "pip install ray")
        missing.args = ("ray is not installed: pip install ray",)
        skip_or_fail(missing)
    # The folder contains Unix sockets, whose paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    running: list[subprocess.Popen[bytes]] = []
    try:
        address = f"{HEAD}:{_free_port()}"
        running.append(
            _start(
                folder, "head", "--head", "--port", address.partition(":")[2],
                "--node-ip-address", HEAD, "--include-dashboard=false",
                "--temp-dir", str(folder / "s"),
            )
        )  # fmt: skip
        _wait_for(address, running[0], folder)
        running.append(_start(folder, "second", "--address", address, "--node-ip-address", SECOND))
        _wait_for_second(running[1], folder)
        yield address
    finally:
        # A regular shutdown of the cluster would take ten seconds.
        for one in running:
            one.kill()
            one.wait()
        _kill_all()
        shutil.rmtree(folder, ignore_errors=True)


def cluster_pids() -> list[int]:
    """Return the cluster's running processes."""
    mark = f"{_MARK}={_MINE}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
    return found


def _kill_all() -> None:
    give_up = time.monotonic() + _START_S
    while (left := cluster_pids()) and time.monotonic() < give_up:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind((HEAD, 0))
        return int(sock.getsockname()[1])


def _wait_for(address: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    host, _, port = address.partition(":")

    def is_open() -> bool:
        with socket.socket() as sock:
            return sock.connect_ex((host, int(port))) == 0

    _until(is_open, process, folder / "head.log")


def _wait_for_second(process: subprocess.Popen[bytes], folder: Path) -> None:
    log = folder / "second.log"
    _until(lambda: "Ray runtime started" in log.read_text("utf-8", "replace"), process, log)


def _until(is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    give_up = time.monotonic() + _START_S
    while time.monotonic() < give_up and process.poll() is None:
        if is_so():
            return
        time.sleep(0.1)
    pytest.fail(f"ray did not start: {log.read_text('utf-8', 'replace')[-2000:]}")
