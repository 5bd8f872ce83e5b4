"""Effect of hedging on p99 TTFT, with two simulators that delay 3 % of the requests by 2 s.

The same requests are sent at the same random times, in alternation with and without hedging,
through a real gateway. The simulators send their headers at once and a comment every second, so a
proxy that waits only for headers, or for any byte, would never hedge.
"""

from __future__ import annotations

import contextlib
import json
import statistics
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass

from bench import machine
from bench.progress import Progress

TTFT = "mix(0.03,2000,lognormal(50,0.3))"
RATE, REQUESTS, WARM_UP = 60, 900, 150
ROUNDS = 2
SLOTS, CLIENTS = 4, 24
_LIMIT_S = 120


def run() -> list[str]:
    """Measure at low load, and again with all upstream slots in use."""
    progress = Progress(2 * 2 * ROUNDS)
    with _simulators() as upstreams:
        lines = [f"two simulators, TTFT {TTFT} ms, headers at once, a comment every second"]
        steal_s = machine.steal_s()
        low = ["--rate", str(RATE), "-n", str(REQUESTS), "--warmup", str(WARM_UP)]
        before, after = _alternate(upstreams, low, [], progress)
        lines += [_line("hedge off ", before), _line("hedge auto", after)]
        ratios = sorted(off.p99 / auto.p99 for off, auto in zip(before, after, strict=True))
        lines.append(f"p99 is {ratios[0]:.1f} to {ratios[-1]:.1f} times lower")
        full = ["-c", str(CLIENTS), "-n", str(REQUESTS), "--warmup", str(WARM_UP)]
        limits = ["--upstream-streams", str(SLOTS), "--queue-timeout", "60"]
        before, after = _alternate(upstreams, full, limits, progress)
        lines.append(f"full load: {CLIENTS} clients for 2 x {SLOTS} slots")
        lines += [_line("hedge off ", before), _line("hedge auto", after)]
    lines.append(f"CPU steal: {machine.steal_s() - steal_s:.2f} s")
    return lines


@dataclass(frozen=True)
class _Result:
    p50: float
    p99: float
    requests: float
    hedges: float
    errors: int


def _line(name: str, results: list[_Result]) -> str:
    p50 = statistics.median(result.p50 for result in results)
    p99 = [result.p99 for result in results]
    extra = sum(result.hedges for result in results) / sum(result.requests for result in results)
    return (
        f"  {name}: TTFT p50 {p50:.0f} ms, p99 {min(p99):.0f} to {max(p99):.0f} ms, "
        f"extra requests {extra:.1%}, errors {sum(result.errors for result in results)}"
    )


def _alternate(
    upstreams: list[str], load: list[str], limits: list[str], progress: Progress
) -> tuple[list[_Result], list[_Result]]:
    results: dict[str, list[_Result]] = {"off": [], "auto": []}
    for number in range(ROUNDS):
        for mode, of_mode in results.items():
            with _started("gateway", *upstreams, "--hedge", mode, *limits,
                          "--listen", "127.0.0.1:0") as url:  # fmt: skip
                of_mode.append(_measure(url, [*load, "--seed", str(number)]))
            progress.finish_round(f"hedge {mode}, TTFT p99 {of_mode[-1].p99:.0f} ms")
    return results["off"], results["auto"]


def _measure(url: str, load: list[str]) -> _Result:
    command = ["bench", f"{url}/v1/chat/completions", "--model", "m", "--json", "-", *load]
    done = subprocess.run(
        [sys.executable, "-m", "undam", *command],
        capture_output=True, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode == 2:
        raise RuntimeError(done.stderr.strip())
    report = json.loads(done.stdout)
    with urllib.request.urlopen(f"{url}/-/metrics", timeout=10) as response:
        page = response.read().decode()
    ttft = report["ttft_ms"]
    first = _metric(page, "undam_gateway_upstream_requests_total", 'why="first"')
    hedges = _metric(page, "undam_gateway_hedges_total", 'result="sent"')
    return _Result(ttft["p50"], ttft["p99"], first, hedges, report["errors"])


def _metric(page: str, name: str, label: str) -> float:
    lines = [line for line in page.splitlines() if line.startswith(name + "{") and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextlib.contextmanager
def _simulators() -> Iterator[list[str]]:
    flags = ["--ttft", TTFT, "--gap", "2", "--tokens", "5", "--heartbeat", "1"]
    with (
        _started("sim", *flags, "--seed", "1") as first,
        _started("sim", *flags, "--seed", "2") as second,
    ):
        yield ["--upstream", first, "--upstream", second]


@contextlib.contextmanager
def _started(*arguments: str) -> Iterator[str]:
    command = [sys.executable, "-m", "undam", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line.startswith("listening on "):
                raise RuntimeError(f"{arguments[0]} did not start: {line!r}")
            yield line.split()[-1]
        finally:
            process.terminate()


if __name__ == "__main__":
    print(*run(), sep="\n")
