"""Ground truth for a load test, taken only from the simulator's log."""

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
    """Ground-truth times recorded by the simulator.

    Attributes:
        ttft_ms, itl_ms: sorted.
        requests: number of complete responses.
        max_in_flight: maximum number of requests in flight.
    """

    ttft_ms: list[float]
    itl_ms: list[float]
    requests: int
    max_in_flight: int

    def ttft(self, q: float, *, interpolated: bool) -> float:
        """Return a TTFT quantile, with or without interpolation."""
        return (_interpolated if interpolated else quantile)(self.ttft_ms, q)

    def itl(self, q: float, *, interpolated: bool) -> float:
        """Return a quantile of the token gaps, with or without interpolation."""
        return (_interpolated if interpolated else quantile)(self.itl_ms, q)


class Simulator:
    """Run of ``undam sim`` on a dedicated CPU core."""

    def __init__(self, url: str, file: Path, process: subprocess.Popen[bytes]) -> None:
        self.url = url
        self._file = file
        self._process = process

    def truth(self, tokens: int) -> Truth:
        """Stop the simulator, so that its log is complete, and parse the log."""
        self.stop()
        return read_truth(self._file, tokens)

    def stop(self) -> None:
        """Stop the simulator with SIGTERM."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
        self._process.wait(timeout=30)


@contextlib.contextmanager
def simulator(core: int, *arguments: str) -> Iterator[Simulator]:
    """Start the simulator on a free port."""
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
    """Return a command line that runs ``command`` and its child processes only on this core."""
    program = (
        "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])});"
        "os.execvp(sys.argv[2], sys.argv[2:])"
    )
    return [sys.executable, "-c", program, str(core), *command]


def cores() -> tuple[int, int]:
    """Return a core for the simulator and a core for the client; both may be the same."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def read_truth(file: Path, tokens: int) -> Truth:
    """Read the log; count only complete chat responses with ``tokens`` content events."""
    arrived: dict[str, int] = {}
    sent: dict[str, list[int]] = {}
    ends: dict[str, int] = {}
    for line in file.read_text().splitlines():
        row = json.loads(line)
        ident = row["id"]
        if row["kind"] == "request":
            if row["path"].startswith("/v1/chat/"):
                arrived[ident] = row["arrived_ns"]
        elif row["kind"] == "event":
            # Event 0 contains the role; finish_reason, usage and [DONE] follow the content.
            if 1 <= row["seq"] <= tokens:
                sent.setdefault(ident, []).append(row["left_ns"])
        elif row["reason"] == "complete":
            ends[ident] = row["at_ns"]
    complete = [ident for ident in arrived if ident in ends and len(sent[ident]) == tokens]
    ttft = sorted((sent[ident][0] - arrived[ident]) / 1e6 for ident in complete)
    pairs = (pair for ident in complete for pair in pairwise(sent[ident]))
    itl = sorted((after - before) / 1e6 for before, after in pairs)
    return Truth(
        ttft, itl, len(complete), _max_in_flight([(arrived[i], ends[i]) for i in complete])
    )


def _max_in_flight(spans: list[tuple[int, int]]) -> int:
    current = highest = 0
    for _, step in sorted([(start, 1) for start, _ in spans] + [(end, -1) for _, end in spans]):
        current += step
        highest = max(highest, current)
    return highest


def _interpolated(ordered: list[float], q: float) -> float:
    """Return a quantile with linear interpolation, the default of numpy.percentile."""
    position = q * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
