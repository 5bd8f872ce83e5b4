"""For live tests: a simulator with a known schedule, and real proxies that CI must have."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from undam.lab.proxies import Missing, Proxy

_START_S = 20.0
_LISTENING = "listening on "


@pytest.hookimpl(tryfirst=True)  # before pytest takes out what -m "not live" excludes
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.live)


class Simulator:
    """A running ``undam sim``: where it listens, and what it wrote down."""

    def __init__(self, process: subprocess.Popen[str], url: str, truth_file: Path) -> None:
        self.url = url
        self._process = process
        self._truth_file = truth_file

    def truth(self) -> list[dict[str, Any]]:
        """The lines of the truth file so far; one that is still being written is left out."""
        if not self._truth_file.exists():
            return []
        text = self._truth_file.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        return [json.loads(line) for line in complete.splitlines()]

    def stop(self) -> None:
        """End it as a user does. Only then are all lines of the truth sure to be there."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture
def simulator(tmp_path: Path) -> Iterator[Callable[..., Simulator]]:
    """Start ``undam sim`` with the given arguments on a free port: ``simulator("--gap", "25")``."""
    running: list[Simulator] = []

    def run(*arguments: str) -> Simulator:
        started = _start_simulator(tmp_path, len(running), arguments)
        running.append(started)
        return started

    yield run
    for one in running:
        one.stop()


def _start_simulator(folder: Path, number: int, arguments: tuple[str, ...]) -> Simulator:
    truth_file = folder / f"truth-{number}.jsonl"
    errors = folder / f"simulator-{number}.log"
    with errors.open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "undam", "sim", "--port", "0"),
                *("--truth", str(truth_file), *arguments),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _START_S)
    line = process.stdout.readline() if ready else ""
    started = Simulator(process, line.strip().removeprefix(_LISTENING), truth_file)
    if not line.startswith(_LISTENING):
        started.stop()
        pytest.fail(f"undam sim said {line!r} and {errors.read_text(encoding='utf-8')!r}")
    return started


@pytest.fixture
def run_proxy() -> Iterator[Callable[..., Proxy]]:
    """Start a proxy that is stopped after the test: ``run_proxy(start_nginx, upstream, …)``.

    Where its program is missing the test is skipped by name; under CI it fails.
    """
    with contextlib.ExitStack() as running:

        def run(start: Callable[..., Proxy], *arguments: object, **settings: object) -> Proxy:
            try:
                proxy = start(*arguments, **settings)
            except Missing as missing:
                if os.environ.get("CI", "").lower() in {"true", "1"}:
                    pytest.fail(str(missing), pytrace=False)
                pytest.skip(str(missing))
            return running.enter_context(proxy)

        yield run
