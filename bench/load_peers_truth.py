"""What really happened in a load test: from the simulator's truth file, and from nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from undam.timing import quantile


@dataclass(frozen=True, slots=True)
class Truth:
    """What left the server.

    Attributes:
        ttft_ms, itl_ms: ascending.
        requests: that were answered to their end.
        most_at_once: the most requests under way at any time.
    """

    ttft_ms: list[float]
    itl_ms: list[float]
    requests: int
    most_at_once: int

    def ttft(self, q: float, *, interpolated: bool) -> float:
        """A quantile as the tool that is compared defines it."""
        return (_interpolated if interpolated else quantile)(self.ttft_ms, q)

    def itl(self, q: float, *, interpolated: bool) -> float:
        """The same of gaps."""
        return (_interpolated if interpolated else quantile)(self.itl_ms, q)


class Simulator:
    """A running ``undam sim`` on a core of its own."""

    def __init__(self, url: str, file: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._file = file
        self._process = process

    def truth(self, tokens: int) -> Truth:
        """Stop it, so that all is written, and read."""
        self.stop()
        return read_truth(self._file, tokens)

    def stop(self) -> None:
        """As a user does."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


@contextlib.contextmanager
def simulator(core: int, *arguments: str) -> Iterator[Simulator]:
    """Start one on a free port."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "truth.jsonl"
        command = [sys.executable, "-m", "undam", "sim", "--truth", str(file), *arguments]
        with subprocess.Popen(pinned(core, command), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            url = process.stdout.readline().decode().split()[-1]
            running = Simulator(url, file, process)
            try:
                yield running
            finally:
                running.stop()


def pinned(core: int, command: list[str]) -> list[str]:
    """``command`` so that it, and all that it starts, runs on this core alone."""
    program = (
        "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])});"
        "os.execvp(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", program, str(core), *command]


def cores() -> tuple[int, int]:
    """One for the simulator and one for the client; the same where there is only one."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def read_truth(file: Path, tokens: int) -> Truth:
    """Requests of chats that ended well and had so many content events."""
    arrived: dict[str, int] = {}
    left: dict[str, list[int]] = {}
    ends: dict[str, int] = {}
    for line in file.read_text().splitlines():
        row = json.loads(line)
        ident = row["id"]
        if row["kind"] == "request":
            if row["path"].startswith("/v1/chat/"):
                arrived[ident] = row["arrived_ns"]
        elif row["kind"] == "event":
            # The role is number 0; finish_reason, the usage and [DONE] stand behind the content.
            if 1 <= row["seq"] <= tokens:
                left.setdefault(ident, []).append(row["left_ns"])
        elif row["reason"] == "complete":
            ends[ident] = row["at_ns"]
    whole = [ident for ident in arrived if ident in ends and len(left[ident]) == tokens]
    ttft = sorted((left[ident][0] - arrived[ident]) / 1e6 for ident in whole)
    pairs = (pair for ident in whole for pair in pairwise(left[ident]))
    itl = sorted((after - before) / 1e6 for before, after in pairs)
    return Truth(ttft, itl, len(whole), _most_at_once([(arrived[i], ends[i]) for i in whole]))


def _most_at_once(spans: list[tuple[int, int]]) -> int:
    now = most = 0
    for _, step in sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans]):
        now += step
        most = max(most, now)
    return most


def _interpolated(ordered: list[float], q: float) -> float:
    """As numpy.percentile does it by default."""
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
