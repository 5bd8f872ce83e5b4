"""Commands on systems without Linux-specific features, emulated by removing the names.

The emulation shows which names a command needs. It does not replace a test on these systems.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.undam_command import environment

pytestmark = pytest.mark.live

# CPython on macOS has none of these names.
_MACOS = """
import os, select, selectors, socket, sys
for name in [name for name in dir(select) if name.lower().startswith("epoll")]:
    delattr(select, name)
for module, names in (
    (socket, ("SO_TIMESTAMPNS", "TCP_QUICKACK", "TCP_CORK", "TCP_USER_TIMEOUT", "TCP_DEFER_ACCEPT",
              "SOCK_CLOEXEC", "SOCK_NONBLOCK")),
    (os, ("sched_getaffinity", "sched_setaffinity", "eventfd", "eventfd_write", "eventfd_read",
          "memfd_create", "pidfd_open", "pipe2", "EFD_NONBLOCK", "EFD_CLOEXEC")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
del selectors.EpollSelector
selectors.DefaultSelector = selectors.{selector}
sys.platform = "darwin"
"""
_WINDOWS = """
import asyncio, asyncio.unix_events, multiprocessing, os, select, selectors, shutil, socket, ssl
import subprocess, sys, tempfile
for name in [name for name in dir(select) if name.lower().startswith("epoll")]:
    delattr(select, name)
for name in ("CMSG_LEN", "CMSG_SPACE", "SOCK_NONBLOCK", "SO_REUSEPORT"):
    delattr(socket, name)
for name in ("fork", "eventfd", "memfd_create", "pidfd_open", "getuid"):
    delattr(os, name)
for name in ("fcntl", "resource", "termios", "pwd", "grp"):
    sys.modules[name] = None
"""


def environment_of(folder: Path, emulation: str) -> dict[str, str]:
    (folder / "sitecustomize.py").write_text(emulation, encoding="utf-8")
    values = environment()
    path = os.pathsep.join([str(folder), values.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    return {**values, "PYTHONPATH": path}


def start(values: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "undam", *arguments],
        env=values, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def url_of(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line.startswith("listening on "), server.communicate(timeout=20)
    return line.split()[2]


@pytest.mark.parametrize("selector", ["PollSelector", "SelectSelector"])
def test_simulator_load_test_and_gateway_work_without_epoll(tmp_path: Path, selector: str) -> None:
    values = environment_of(tmp_path, _MACOS.replace("{selector}", selector))
    servers = [start(values, "sim", "--port", "0", "--ttft", "20", "--gap", "5", "--tokens", "10")]
    try:
        model = url_of(servers[0])
        gateway = ("gateway", "--upstream", model, "--listen", "127.0.0.1:0")
        servers.append(start(values, *gateway))
        for url in (model, url_of(servers[1])):
            bench = start(values, "bench", f"{url}/v1", "-n", "30", "-c", "6", "--json", "-")
            out, err = bench.communicate(timeout=60)
            assert bench.returncode in {0, 1}, err
            report = json.loads(out)
            assert (report["complete"], report["errors"]) == (30, 0)
            assert report["ttft_ms"]["p50"] >= 19
            assert report["client"]["clock"] == "user"
            assert "UD904" in [one["code"] for one in report["caveats"]]
    finally:
        for server in servers:
            server.send_signal(signal.SIGTERM)
        for server in servers:
            _, err = server.communicate(timeout=20)
            assert "Traceback" not in err


@pytest.mark.parametrize(
    "arguments",
    [
        ("sim", "--port", "0"),
        ("gateway", "--help"),
        ("gateway", "--upstream", "http://127.0.0.1:1"),
        ("bench", "http://127.0.0.1:1/v1"),
        ("check", "http://127.0.0.1:1/v1/chat/completions"),
        ("watch", "http://127.0.0.1:1/v1/chat/completions"),
        ("lab",),
    ],
)
def test_command_that_cannot_work_on_windows_states_it_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    process = start(environment_of(tmp_path, _WINDOWS), *arguments)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 2
    assert err.count("\n") == 1
    assert f"undam {arguments[0]} needs Linux or macOS" in err


@pytest.mark.parametrize("arguments", [("rules",), ("explain", "UD101"), ("--version",)])
def test_commands_without_streams_work_on_windows(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    process = start(environment_of(tmp_path, _WINDOWS), *arguments)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (0, "")
    assert out
