"""What hedging does to the tail: two simulators, 3 % of the requests stalled for 2 s.

Each load is the same requests at the same random moments, without hedging and with it, in turns,
through a real gateway. The simulators send their headers at once and comments each second, so a
proxy that waits for headers, or for any byte, would see nothing to hedge.
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

TTFT = "mix(0.03,2000,lognormal(50,0.3))"
RATE, REQUESTS, WARM_UP = 60, 900, 150
ROUNDS = 2
SLOTS, CLIENTS = 4, 24
_LIMIT_S = 120


def run() -> list[str]:
    """At a fraction of what the upstreams take, and with all their slots taken."""
    with _sims() as upstreams:
        lines = [f"two simulators, TTFT {TTFT} ms, headers at once, a comment each second"]
        stolen = machine.stolen_s()
        quiet = ["--rate", str(RATE), "-n", str(REQUESTS), "--warmup", str(WARM_UP)]
        before, after = _in_turns(upstreams, quiet, [])
        lines += [_line("hedge off ", before), _line("hedge auto", after)]
        ratios = sorted(one.p99 / two.p99 for one, two in zip(before, after, strict=True))
        lines.append(f"p99 falls {ratios[0]:.1f} to {ratios[-1]:.1f} times")
        full = ["-c", str(CLIENTS), "-n", str(REQUESTS), "--warmup", str(WARM_UP)]
        limits = ["--upstream-streams", str(SLOTS), "--queue-timeout", "60"]
        before, after = _in_turns(upstreams, full, limits)
        lines.append(f"full load: {CLIENTS} clients for 2 x {SLOTS} slots")
        lines += [_line("hedge off ", before), _line("hedge auto", after)]
    lines.append(f"taken by the hypervisor: {machine.stolen_s() - stolen:.2f} s")
    return lines


@dataclass(frozen=True)
class _Result:
    p50: float
    p99: float
    requests: float
    hedges: float
    errors: int


def _line(name: str, results: list[_Result]) -> str:
    p50 = statistics.median(one.p50 for one in results)
    p99 = [one.p99 for one in results]
    extra = sum(one.hedges for one in results) / sum(one.requests for one in results)
    return (
        f"  {name}: TTFT p50 {p50:.0f} ms, p99 {min(p99):.0f} to {max(p99):.0f} ms, "
        f"extra requests {extra:.1%}, errors {sum(one.errors for one in results)}"
    )


def _in_turns(
    upstreams: list[str], load: list[str], limits: list[str]
) -> tuple[list[_Result], list[_Result]]:
    results: dict[str, list[_Result]] = {"off": [], "auto": []}
    for number in range(ROUNDS):
        for mode, found in results.items():
            with _started("gateway", *upstreams, "--hedge", mode, *limits,
                          "--listen", "127.0.0.1:0") as url:  # fmt: skip
                found.append(_measure(url, [*load, "--seed", str(number)]))
    return results["off"], results["auto"]


def _measure(url: str, load: list[str]) -> _Result:
    command = ["bench", f"{url}/v1/chat/completions", "--model", "m", "--json", "-", *load]
    done = subprocess.run(
        [sys.executable, "-m", "undam", *command],
        capture_output=True, text=True, timeout=_LIMIT_S, check=False,
    )  # fmt: skip
    if done.returncode == 2:
        raise RuntimeError(done.stderr.strip())
    said = json.loads(done.stdout)
    with urllib.request.urlopen(f"{url}/-/metrics", timeout=10) as answer:
        page = answer.read().decode()
    ttft = said["ttft_ms"]
    first = _metric(page, "undam_gateway_upstream_requests_total", 'why="first"')
    hedges = _metric(page, "undam_gateway_hedges_total", 'result="sent"')
    return _Result(ttft["p50"], ttft["p99"], first, hedges, said["errors"])


def _metric(page: str, name: str, label: str) -> float:
    lines = [line for line in page.splitlines() if line.startswith(name + "{") and label in line]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


@contextlib.contextmanager
def _sims() -> Iterator[list[str]]:
    flags = ["--ttft", TTFT, "--gap", "2", "--tokens", "5", "--heartbeat", "1"]
    seeds = (["--seed", "1"], ["--seed", "2"])
    with _started("sim", *flags, *seeds[0]) as one, _started("sim", *flags, *seeds[1]) as two:
        yield ["--upstream", one, "--upstream", two]


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
