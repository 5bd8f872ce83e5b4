"""Helpers that run `undam` in this process, as a subprocess, or as a long-running server."""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from click.testing import CliRunner

from support.command_server import CommandServer
from undam.cli.main import undam

TIMEOUT_S = 60.0
_START_S = 30.0
_LISTENING = "listening on "

# Environment variables that change the behaviour or the output of a command.
_EXCLUDED = ("_PROXY", "_API_KEY", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COVERAGE_PROCESS")


@dataclass(frozen=True)
class CompletedCommand:
    """Exit code and output of a finished command."""

    code: int
    out: str
    err: str
    raw: bytes = b""

    @property
    def line(self) -> str:
        """Return the error message, which must be the only line on standard error."""
        lines = self.err.strip().splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("undam: ")
        return lines[0]

    @property
    def json(self) -> dict[str, Any]:
        """Return the parsed JSON document on standard output."""
        result = json.loads(self.out)
        assert isinstance(result, dict)
        return result

    @property
    def codes(self) -> list[str]:
        """Return the finding codes in the JSON document on standard output."""
        return [one["code"] for one in self.json["findings"]]


RunCommand = Callable[..., CompletedCommand]
StartCommand = Callable[..., "subprocess.Popen[bytes]"]


def environment(**more: str) -> dict[str, str]:
    """Return an environment for subprocesses that excludes the user's settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(_EXCLUDED[:2]) and name not in _EXCLUDED
    }
    return {**kept, "PYTHONWARNINGS": "error", "LC_ALL": "C.UTF-8", **more}


def command_line(*args: str) -> Sequence[str]:
    """Return the command line of a subprocess that runs ``undam ARGS``."""
    return [sys.executable, "-m", "undam", *args]


def invoke(*args: str, stdin: str | bytes = b"") -> CompletedCommand:
    """Run a command in this process, for instance ``invoke("lint", "a.conf")``.

    Raises:
        UndamError: the command failed; its message is not printed.
    """
    result = CliRunner().invoke(undam, list(args), input=stdin, standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    code = result.return_value if isinstance(result.return_value, int) else result.exit_code
    return CompletedCommand(code, result.stdout, result.stderr, result.stdout_bytes)


def run_undam(
    *args: str, env: dict[str, str] | None = None, timeout_s: float = TIMEOUT_S, **more: Any
) -> CompletedCommand:
    """Run a command as a subprocess, and fail if it prints a traceback.

    Args:
        more: further arguments of ``subprocess.run``.
    """
    given = environment(**(env or {}))
    if not more.keys() - {"cwd", "input"} and _command_server().can_run(given):
        folder, stdin = str(more.get("cwd") or Path.cwd()), more.get("input") or b""
        code, out, err = _command_server().run(args, given, folder, stdin, timeout_s)
    else:
        if not {"input", "stdin"} & more.keys():
            more["stdin"] = subprocess.DEVNULL
        done = subprocess.run(
            command_line(*args), env=given, capture_output=True, timeout=timeout_s, check=False,
            **more,
        )  # fmt: skip
        code, out, err = done.returncode, done.stdout, done.stderr
    result = CompletedCommand(code, out.decode(), err.decode(), out)
    assert "Traceback" not in result.out + result.err, result.err
    return result


@cache
def _command_server() -> CommandServer:
    server = CommandServer(environment())
    atexit.register(server.close)
    return server


class ListeningCommand:
    """Running command that reports its address, such as `undam sim` and `undam gateway`."""

    def __init__(self, *args: str, log: Path) -> None:
        self._log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(
                command_line(*args),
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], _START_S)
        line = self.process.stdout.readline() if ready else ""
        if not line.startswith(_LISTENING):
            self.stop()
            raise AssertionError(f"{args[0]} printed {line!r} and logged {self.log_text()!r}")
        self.url = line.split()[-1]
        self.port = urlsplit(self.url).port or 0

    def log_text(self) -> str:
        """Return what the command has written to standard error so far."""
        return self._log.read_text(encoding="utf-8")

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    def stop(self) -> int:
        """Send SIGTERM, and SIGKILL if the process still runs after 10 s; return the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def get(self, path: str) -> tuple[int, str]:
        """Return the status code and text of a page."""
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of all metric series with this name and these labels."""
        total = 0.0
        for line in self.get("/-/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(
                f'{label}="{wanted}"' in series for label, wanted in labels.items()
            ):
                total += float(value)
        return total
