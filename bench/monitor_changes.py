"""False alarms of the monitor in 500 probes of healthy targets while one CPU core is busy.

The targets are a model, the model behind nginx without buffering, and a model with bursts of four
tokens. UNDAM_MONITOR_PROBES sets the number of probes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from undam.lab.proxies import Missing, start_nginx
from undam.monitor.probe_result import ProbeResult
from undam.monitor.scheduler import Scheduler
from undam.monitor.settings import MonitorTarget, parse_settings
from undam.monitor.store import StateChange, Store

_FREE = "proxy_buffering off;"
_QUERIES = ("gap=20&tokens=60", "gap=10&tokens=100", "gap=lognormal(15,0.6)&tokens=80",
            "gap=40&tokens=40&tokens_per_event=4")  # fmt: skip
_BUSY = "while True: pass"


class ChangeCounter:
    """Monitor listener that records changes and counts verdicts."""

    def __init__(self) -> None:
        self.verdicts: Counter[str] = Counter()
        self.changes: list[str] = []

    def probed(self, target: MonitorTarget, result: ProbeResult) -> None:
        """Count the verdict of one probe."""
        self.verdicts[result.error or result.verdict] += 1

    def changed(self, change: StateChange) -> None:
        """Record a change that the monitor reported."""
        self.changes.append(f"{change.target}: {change.text}")

    def problem(self, text: str) -> None:
        """Record a problem that the monitor reported."""
        self.changes.append(text)


def run() -> list[str]:
    """Probe until enough verdicts are counted; return the number of verdicts and the changes."""
    wanted = int(os.environ.get("UNDAM_MONITOR_PROBES", "500"))
    counter = ChangeCounter()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        urls = [stack.enter_context(_model(folder))]
        with contextlib.suppress(Missing):
            proxy = stack.enter_context(start_nginx(urls[0], location=_FREE))
            urls.append(proxy.url)
        stack.enter_context(_busy_core())
        asyncio.run(_probe(urls, folder, counter, wanted))
    verdicts = ", ".join(f"{name} {count}" for name, count in counter.verdicts.most_common())
    probes = sum(counter.verdicts.values())
    targets = len(urls) * len(_QUERIES)
    return [
        f"{probes} probes of {targets} healthy targets: {len(counter.changes)} false changes",
        f"verdicts: {verdicts}",
        *counter.changes,
    ]


async def _probe(urls: list[str], folder: Path, counter: ChangeCounter, wanted: int) -> None:
    rows = [
        f'[[target]]\nname = "t{number}-{which}"\nmodel = "m"\n'
        f'url = "{url}/v1/chat/completions?{query}"\n'
        for number, url in enumerate(urls)
        for which, query in enumerate(_QUERIES)
    ]
    text = f'[monitor]\nstate = "{folder / "m.db"}"\nconcurrency = 4\n' + "\n".join(rows)
    settings = parse_settings(text, str(folder / "m.toml"), {})
    with contextlib.closing(Store(settings.state, 30)) as store:
        scheduler = Scheduler(settings, store, counter)
        while sum(counter.verdicts.values()) < wanted:
            await scheduler.run_once()


@contextlib.contextmanager
def _model(folder: Path) -> Iterator[str]:
    with (folder / "sim.log").open("ab") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "undam", "sim", "--port", "0"],
            stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode().split()[-1]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    """Keep one CPU core busy."""
    process = subprocess.Popen([sys.executable, "-c", _BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    print(*run(), sep="\n")
