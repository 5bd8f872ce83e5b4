"""Cost of one proxy hop: nginx, HAProxy, Envoy, LiteLLM, and undam with heartbeats and hedging.

Each proxy runs alone on one core; the origin and the reader share another core. Proxies alternate
within each round, so that other load on the machine affects all of them. They are restarted in each
round, because the speed of processes of the same program differs by up to 10 % for their whole
lifetime. A ratio is the median over rounds of the ratio within a round. Delays near CPU steal are
discarded in samples of 100 ms; a measurement of CPU time with CPU steal is repeated. LiteLLM is
measured separately, with a load that it can handle.
"""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from math import isnan, nan
from pathlib import Path
from typing import TypeVar

from bench import machine
from bench.gateway_events import TTFT_S
from bench.gateway_litellm import start_litellm
from bench.gateway_load import StreamLoad
from bench.progress import Progress
from undam.errors import UndamError
from undam.lab.proxies import Missing, RunningProxy, start_envoy, start_haproxy
from undam.lab.proxies.nginx import render
from undam.lab.proxies.plan import LaunchPlan, Workspace, parse_upstream
from undam.lab.proxies.process import start
from undam.timing import quantile

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
"""Three rounds end within ten minutes; seven rounds give closer ratios."""
# Number of rounds for proxies and metrics that have no goal.
_FEW_ROUNDS = 1
# Minimum share of a delay measurement without CPU steal; below it, the measurement is repeated.
_MIN_UNDISTURBED = 0.6
_TRIES = 3
# A ratio requires at least this number of rounds in which both measurements were undisturbed.
_MIN_PAIRS = 2

T = TypeVar("T")
OURS = "undam"
_NGINX = (
    "proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection '';"
    " client_max_body_size 0;"
)
_NGINX_POOL = "upstream origin {{ server {authority}; keepalive 1024; }}"
_WARM_S = 1.0
_CPU_S = 2.0
_LEVELS = ((50, 20, 50, 8.0), (200, 20, 100, 4.0), (1000, 50, 100, 3.0))
"""Streams, gap in ms, tokens per response, and measured time in s. These are 50, 100 and 200
requests/s, so that at least four first contents are above the p99."""
_CPU_GOALS = {"nginx": 1.2, "envoy": 1.0}
"""Goals for the ratio of the CPU time per token; the goal for each p99 is that of Envoy."""


@dataclass(frozen=True)
class Hop:
    """URL and process group of a proxy, or of the origin itself."""

    url: str
    group: int = 0

    def cpu_ns(self) -> int:
        """Return the CPU time that all threads of the process group have used so far."""
        return sum(
            int((task / "schedstat").read_text().split()[0])
            for pid in self._pids()
            for task in Path(f"/proc/{pid}/task").iterdir()
        )

    def resident_mb(self) -> float:
        """Return the resident set size. Shared memory is counted once per process."""
        texts = (Path(f"/proc/{pid}/status").read_text() for pid in self._pids())
        return sum(int(text.split("VmRSS:")[1].split()[0]) for text in texts) / 1024

    def _pids(self) -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if os.getpgid(int(folder.name)) == self.group:
                    found.append(int(folder.name))
        return found


@dataclass
class HopResults:
    """Results for one hop in all rounds, keyed by ``in_step`` and the number of streams."""

    cpu_us: dict[bool, list[float]] = field(default_factory=dict)
    ttft_ms: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    delay_ms: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    median_delay_ms: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)


Starter = Callable[[], AbstractContextManager[Hop]]


def run() -> list[str]:
    """Return result lines for all hops, and the ratios of undam to nginx and Envoy."""
    cores = sorted(os.sched_getaffinity(0))
    gc.disable()
    try:
        with contextlib.ExitStack() as stack:
            os.sched_setaffinity(0, {cores[-1]})
            urls = stack.enter_context(origins(2))
            steal_s = machine.steal_s()
            starters = _starters(urls)
            results: dict[str, HopResults] = {name: HopResults() for name in starters}
            lines = []
            progress = Progress(ROUNDS * len(starters))
            for number in range(ROUNDS):
                full = number < _FEW_ROUNDS
                for name in list(results) if number % 2 else reversed(list(results)):
                    try:
                        _run_round(starters[name], name, results[name], full=full, cores=cores)
                    except Missing as missing:
                        del results[name]
                        lines.append(f"{name} is left out: {missing}")
                        progress.finish_round(f"{name} is not installed")
                    else:
                        progress.finish_round(f"{name}, {_latest(results[name])}")
            lines += _report(results, in_step=False)
            lines += [*_report(results, in_step=True), _memory(results)]
            os.sched_setaffinity(0, {cores[0]})
            lines.append(_litellm(stack, urls[0], cores[-1]))
            lines.append(f"CPU steal: {machine.steal_s() - steal_s:.2f} s")
            return lines
    finally:
        gc.enable()
        os.sched_setaffinity(0, cores)


def _latest(results: HopResults) -> str:
    """Return a summary of the last round for the progress line."""
    cpu = [f"{values[-1]:.1f} us of CPU per token" for values in results.cpu_us.values()]
    late = [f"p99 delay {values[-1]:.2f} ms" for values in results.delay_ms.values()]
    return ", ".join([*cpu[:1], *late[:1]])


def _run_round(
    starter: Starter, name: str, results: HopResults, *, full: bool, cores: list[int]
) -> None:
    """Start a hop, measure the hop, and stop it.

    Args:
        full: also take the measurements without a goal.
    """
    with contextlib.ExitStack() as stack:
        os.sched_setaffinity(0, {cores[0]})
        try:
            hop = stack.enter_context(starter())
        finally:
            os.sched_setaffinity(0, {cores[-1]})
        for in_step in (False, True):
            if hop.group and (full or name == OURS or name in _CPU_GOALS):
                cost = _undisturbed(partial(_cpu_us_per_token, hop, in_step=in_step))
                results.cpu_us.setdefault(in_step, []).append(nan if cost is None else cost)
            if not (full or name == OURS or name == "envoy"):
                continue
            for streams, gap_ms, tokens, window_s in _LEVELS:
                load = partial(
                    StreamLoad, hop.url, streams, tokens=tokens, gap_ms=gap_ms, in_step=in_step,
                    # Start times are spread over the duration of a response, so that the request
                    # rate is constant.
                    spread_s=tokens * gap_ms / 1000,
                )  # fmt: skip
                delays = _undisturbed(partial(_delays, load, window_s)) or (nan, nan, nan)
                key = in_step, streams
                results.ttft_ms.setdefault(key, []).append(delays[0])
                results.delay_ms.setdefault(key, []).append(delays[1])
                results.median_delay_ms.setdefault(key, []).append(delays[2])
        if hop.group and (full or name == OURS):
            with StreamLoad(hop.url, 1000, tokens=10**6, gap_ms=1000) as streams_1000:
                streams_1000.read(2.0)
                results.memory_mb.append(hop.resident_mb())


@contextlib.contextmanager
def origins(count: int) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "bench.gateway_origin", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield [f"http://127.0.0.1:{int(process.stdout.readline())}" for _ in range(count)]
        finally:
            process.kill()


@contextlib.contextmanager
def gateway(*upstreams: str, options: tuple[str, ...] = ()) -> Iterator[Hop]:
    """Run `undam gateway` with heartbeats, hedging and metrics in a separate process group."""
    command = [sys.executable, "-m", "undam", "gateway", "--listen", "127.0.0.1:0"]
    command += ["--heartbeat", "15", "--hedge", "auto", *options]
    command += [part for url in upstreams for part in ("--upstream", url)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert process.stdout is not None
            yield Hop(process.stdout.readline().decode().split()[-1], process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()


def _starters(urls: list[str]) -> dict[str, Starter]:
    return {
        "direct": lambda: contextlib.nullcontext(Hop(urls[0])),
        "nginx": lambda: through(start_nginx(urls[0])),
        "haproxy": lambda: through(start_haproxy(urls[0], options="option http-no-delay")),
        "envoy": lambda: through(start_envoy(urls[0], route_timeout="0s")),
        OURS: lambda: gateway(*urls),
    }


@contextlib.contextmanager
def through(proxy: RunningProxy) -> Iterator[Hop]:
    with proxy:
        yield Hop(proxy.url, proxy.pid)


def start_nginx(origin: str) -> RunningProxy:
    """Start nginx with limits for 1,000 streams and a pool of idle upstream connections."""
    upstream = parse_upstream(origin)

    def plan(place: Workspace) -> LaunchPlan:
        pool = _NGINX_POOL.format(authority=upstream.authority)
        text = render(upstream, place, location=_NGINX, http=pool)
        text = text.replace("worker_connections 2048", "worker_connections 8192")
        text = "worker_rlimit_nofile 16384;\n" + text
        text = text.replace(f"http://{upstream.authority}", "http://origin")
        return LaunchPlan(
            config=text, config_name="nginx.conf",
            arguments=("-p", f"{place.directory}/", "-c", "nginx.conf", "-e", "error.log"),
        )  # fmt: skip

    return start("nginx", plan, version_flag="-v", accounts=("www-data", "nginx", "nobody"))


def _report(results: dict[str, HopResults], *, in_step: bool) -> list[str]:
    costs = {name: hop.cpu_us[in_step] for name, hop in results.items() if hop.cpu_us}
    lines = [f"streams {'in step with' if in_step else 'independent of'} each other:",
             "CPU per token, 200 streams x 100/s (us): " + _spreads(costs),
             _compare("CPU per token", costs, _CPU_GOALS)]  # fmt: skip
    for streams, gap_ms, _, _ in _LEVELS:
        load, key = f"{streams} streams x {1000 // gap_ms}/s", (in_step, streams)
        first = {name: hop.ttft_ms[key] for name, hop in results.items()}
        delay = {name: hop.delay_ms[key] for name, hop in results.items()}
        median = {name: hop.median_delay_ms[key] for name, hop in results.items()}
        lines += [
            f"first content - 20 ms, p99, {load} (ms): {_spreads(first)}",
            _compare("first content p99", first, {"envoy": 1.0}),
            f"token delay p99, {load} (ms): {_spreads(delay)}",
            _compare("token delay p99", delay, {"envoy": 1.0}),
            f"token delay p50, {load} (ms): {_spreads(median)}",
        ]
    return lines


def _undisturbed(measure: Callable[[], T | None]) -> T | None:
    """Repeat a measurement until it is undisturbed; return ``None`` if no attempt succeeded."""
    for _ in range(_TRIES):
        if (result := measure()) is not None:
            return result
    return None


def _cpu_us_per_token(hop: Hop, *, in_step: bool) -> float | None:
    with StreamLoad(hop.url, 200, tokens=10**6, gap_ms=10, in_step=in_step) as load:
        load.read(_WARM_S)
        steal_s, before = machine.steal_s(), hop.cpu_ns()
        tokens = load.read(_CPU_S).tokens
        cost = (hop.cpu_ns() - before) / 1000 / max(1, tokens)
        return cost if machine.steal_s() - steal_s <= machine.MAX_STEAL_S else None


def _delays(
    make_load: Callable[[], StreamLoad], window_s: float
) -> tuple[float, float, float] | None:
    """Measure delays in ms; return ``None`` if CPU steal affected too much of the window.

    Returns:
        p99 of the TTFT minus that of the origin, then p99 and median of the tokens' delays.
    """
    with make_load() as load:
        load.read(_WARM_S)
        window, undisturbed = load.read_undisturbed(window_s)
    if window.broken:
        raise RuntimeError(f"{window.broken} streams through {load.url} failed")
    if undisturbed < _MIN_UNDISTURBED:
        return None
    first, delays = sorted(window.ttft), sorted(window.delay)
    return quantile(first, 0.99) - TTFT_S * 1000, quantile(delays, 0.99), quantile(delays, 0.5)


def _memory(results: dict[str, HopResults]) -> str:
    resident = {name: hop.memory_mb for name, hop in results.items() if hop.memory_mb}
    met = "within" if quantile(sorted(resident[OURS]), 0.5) <= 40 else "OVER"
    return f"memory at 1000 streams (MB): {_spreads(resident, 0)}; {OURS} is {met} 40"


def _litellm(stack: contextlib.ExitStack, origin: str, core: int) -> str:
    try:
        hop = Hop(*stack.enter_context(start_litellm(origin)))
    except UndamError as error:
        return f"LiteLLM is left out: {error}"
    os.sched_setaffinity(0, {core})
    with StreamLoad(hop.url, 10, tokens=10**6, gap_ms=20) as load:
        load.read(3.0)
        before = hop.cpu_ns()
        window = load.read(5.0)
        if not window.tokens:
            return "LiteLLM is left out: no token arrived through it"
        cost_us = (hop.cpu_ns() - before) / 1000 / window.tokens
    return (
        f"LiteLLM, 10 streams x 50/s: {cost_us:.0f} us of CPU per token, token delay p99 "
        f"{quantile(sorted(window.delay), 0.99):.1f} ms, {hop.resident_mb():.0f} MB"
    )


def _compare(title: str, values: dict[str, list[float]], goals: dict[str, float]) -> str:
    parts = []
    for name, goal in goals.items():
        if name in values:
            pairs = zip(values[OURS], values[name], strict=True)
            ratios = _undisturbed_values([ours / theirs for ours, theirs in pairs])
            if len(ratios) < _MIN_PAIRS:
                parts.append(f"not comparable with {name}: {len(ratios)} undisturbed rounds")
                continue
            ratio = quantile(ratios, 0.5)
            parts.append(
                f"{ratio:.2f} x {name} ({_quartiles(ratios)} in {len(ratios)} rounds), "
                f"{'within' if ratio <= goal else 'OVER'} {goal}"
            )
    return f"  {title}: {OURS} is {'; '.join(parts) or 'alone'}"


def _spreads(values: dict[str, list[float]], digits: int = 2) -> str:
    """Return one text with the median and the quartiles for each hop."""
    parts = []
    for name, of_hop in values.items():
        if ordered := _undisturbed_values(of_hop):
            median = f"{quantile(ordered, 0.5):.{digits}f}"
            parts.append(f"{name} {median} ({_quartiles(ordered, digits)})")
        else:
            parts.append(f"{name} unknown")
    return ", ".join(parts)


def _undisturbed_values(values: list[float]) -> list[float]:
    """Return the sorted values, without the NaN values of disturbed measurements."""
    return sorted(value for value in values if not isnan(value))


def _quartiles(ordered: list[float], digits: int = 2) -> str:
    return "-".join(f"{quantile(ordered, share):.{digits}f}" for share in (0.25, 0.75))


if __name__ == "__main__":
    start_s = time.monotonic()
    print(*run(), f"{time.monotonic() - start_s:.0f} s", sep="\n")
