"""Cost of the monitor: CPU time and memory with 100 targets, each probed every 30 s.

The second part runs ten times as fast, so that one minute has the probes of ten minutes. The memory
is read after each tenth of it, to show whether it grows. UNDAM_MONITOR_S sets the duration of each
part.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TARGETS = 100
_INTERVAL_S = 30.0
_ACCELERATION = 10
_QUERY = "ttft=100&gap=20&tokens=100"
# Streams are shorter, so that the model server keeps up with the higher rate.
_FAST_QUERY = "ttft=20&gap=5&tokens=40"
_MAX_CPU_PERCENT, _MAX_RSS_MB, _MAX_GROWTH_MB = 15.0, 150.0, 5.0


@dataclass(frozen=True)
class MonitorCost:
    """CPU time and memory that a monitor used.

    Args:
        rss_mb: resident memory at equal intervals.
        probes: number of probes during the measurement.
    """

    cpu_percent: float
    rss_mb: list[float]
    probes: int

    @property
    def growth_mb(self) -> float:
        """Return the memory growth in MB after the first third of the run, when caches are full."""
        third = len(self.rss_mb) // 3
        return max(self.rss_mb[-third:]) - max(self.rss_mb[third : 2 * third])


def run() -> list[str]:
    """Measure at the default and at a higher probe rate; compare the results with the limits."""
    seconds = float(os.environ.get("UNDAM_MONITOR_S", "60"))
    usual = measure(_INTERVAL_S, seconds, _QUERY)
    fast = measure(_INTERVAL_S / _ACCELERATION, seconds, _FAST_QUERY)
    memory = ", ".join(f"{one:.1f}" for one in fast.rss_mb)
    within = (
        usual.cpu_percent < _MAX_CPU_PERCENT
        and max(usual.rss_mb) < _MAX_RSS_MB
        and fast.growth_mb < _MAX_GROWTH_MB
    )
    return [
        f"{TARGETS} targets each {_INTERVAL_S:g} s, {usual.probes} probes in {seconds:g} s",
        f"{usual.cpu_percent:.1f} % of one core, {max(usual.rss_mb):.1f} MB",
        f"{fast.probes} probes at {_ACCELERATION} times the rate: {fast.cpu_percent:.1f} %",
        f"memory at equal intervals (MB): {memory}; growth {fast.growth_mb:.1f} MB",
        "within the limits" if within else "above a limit",
    ]


def measure(interval_s: float, seconds: float, query: str) -> MonitorCost:
    """Run a monitor for ``seconds`` after the first round of probes.

    Args:
        query: schedule of the streams.
    """
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        model, _ = stack.enter_context(_started(["sim", "--port", "0"], folder / "sim.log"))
        config = folder / "monitor.toml"
        config.write_text(
            _configuration(f"{model}/v1/chat/completions?{query}", folder, interval_s)
        )
        log = folder / "monitor.log"
        command = ["monitor", "--config", str(config), "--listen", "127.0.0.1:0"]
        _, process = stack.enter_context(_started(command, log))
        time.sleep(max(interval_s, 10))
        before, start, first = _cpu_s(process.pid), time.monotonic(), _probes(log)
        rss = []
        for _ in range(10):
            time.sleep(seconds / 10)
            rss.append(_rss_mb(process.pid))
        used, passed = _cpu_s(process.pid) - before, time.monotonic() - start
        return MonitorCost(100 * used / passed, rss, _probes(log) - first)


def _configuration(url: str, folder: Path, interval_s: float) -> str:
    rows = [f'[monitor]\nstate = "{folder / "m.db"}"\nconcurrency = 100\n']
    rows += [
        f'[[target]]\nname = "target-{number}"\nmodel = "m"\ninterval = {interval_s}\n'
        f'url = "{url}"\n'
        'objectives = ["ttft_p95<2s", "complete>=99%"]\nprobes_per_day = 50000\n'
        for number in range(TARGETS)
    ]
    return "\n".join(rows)


def _probes(log: Path) -> int:
    return log.read_text().count('"kind": "probe"')


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process: utime plus stime (proc(5))."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


@contextlib.contextmanager
def _started(command: list[str], log: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Start `undam` with these arguments; yield the URL and the process."""
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "undam", *command], stdout=subprocess.PIPE, stderr=errors
        )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().split()[-1], process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


if __name__ == "__main__":
    print(*run(), sep="\n")
