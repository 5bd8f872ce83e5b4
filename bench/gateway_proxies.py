"""What does a hop cost? nginx, haproxy, Envoy, LiteLLM, and undam with heartbeats and hedging on.

Each proxy runs alone on one core; the origin and the reader share another. Rounds take turns
between the proxies, so that what else the machine does falls on all; a ratio is the median over the
rounds of the two in one round; a window from which the hypervisor took time is measured again, at
most twice. LiteLLM is measured by itself, with a load that it can bear.
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
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

from bench.gateway_events import TTFT_S
from bench.gateway_litellm import start_litellm
from bench.gateway_load import Load
from undam.errors import UndamError
from undam.lab.proxies import Missing, Proxy, start_envoy, start_haproxy
from undam.lab.proxies.nginx import render
from undam.lab.proxies.plan import Place, Plan, upstream_of
from undam.lab.proxies.process import start
from undam.timing import quantile

ROUNDS = 3
# One window of CPU time differs from the next by a tenth; they are short, so there are more.
_CPU_ROUNDS = 7
# A window in which more time was stolen than two of the kernel's ticks is measured again.
_TRIES = 3
_STOLEN_S = 0.02

T = TypeVar("T")
OURS = "undam"
_NGINX = "proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection '';"
_NGINX_POOL = "upstream origin {{ server {authority}; keepalive 1024; }}"
_WARM_S = 1.0
_CPU_S = 2.0
_DELAY_S = 3.0
_LEVELS = ((50, 20, 50), (200, 20, 100), (1000, 50, 100))
"""Streams, ms between the tokens of each, and tokens of an answer: 50, 100 and 200 requests/s."""


@dataclass(frozen=True)
class Hop:
    """A way to the origin: its URL, and the process group of whom it leads through."""

    url: str
    group: int = 0

    def cpu_ns(self) -> int:
        """CPU time of all its threads so far."""
        return sum(
            int((task / "schedstat").read_text().split()[0])
            for pid in self._pids()
            for task in Path(f"/proc/{pid}/task").iterdir()
        )

    def resident_mb(self) -> float:
        """Memory that is really there; what its processes share counts once for each."""
        texts = (Path(f"/proc/{pid}/status").read_text() for pid in self._pids())
        return sum(int(text.split("VmRSS:")[1].split()[0]) for text in texts) / 1024

    def _pids(self) -> list[int]:
        found = []
        for folder in Path("/proc").iterdir():
            with contextlib.suppress(OSError, ValueError):
                if os.getpgid(int(folder.name)) == self.group:
                    found.append(int(folder.name))
        return found


def run() -> list[str]:
    """The table, and how undam stands to nginx and Envoy."""
    cores = sorted(os.sched_getaffinity(0))
    gc.disable()
    try:
        with contextlib.ExitStack() as stack:
            os.sched_setaffinity(0, {cores[-1]})
            origins = stack.enter_context(_origins(2))
            os.sched_setaffinity(0, {cores[0]})
            lines, hops = _start_all(stack, origins)
            os.sched_setaffinity(0, {cores[-1]})
            stolen_s = _stolen_s()
            lines += _compare(hops)
            os.sched_setaffinity(0, {cores[0]})
            lines.append(_litellm(stack, origins[0], cores[-1]))
            lines.append(f"the hypervisor took {_stolen_s() - stolen_s:.2f} s in all")
            return lines
    finally:
        gc.enable()
        os.sched_setaffinity(0, cores)


@contextlib.contextmanager
def _origins(count: int) -> Iterator[list[str]]:
    command = [sys.executable, "-m", "bench.gateway_origin", str(count)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield [f"http://127.0.0.1:{int(process.stdout.readline())}" for _ in range(count)]
        finally:
            process.kill()


@contextlib.contextmanager
def gateway(*upstreams: str, options: tuple[str, ...] = ()) -> Iterator[Hop]:
    """`undam gateway` with heartbeats, hedging and metrics, in a process group of its own."""
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


def _start_all(stack: contextlib.ExitStack, origins: list[str]) -> tuple[list[str], dict[str, Hop]]:
    """Whatever of them is on this machine, and a line about each that is not."""
    lines, hops = [], {"direct": Hop(origins[0])}
    starters: dict[str, Callable[[], Proxy]] = {
        "nginx": lambda: _nginx(origins[0]),
        "haproxy": lambda: start_haproxy(origins[0], options="option http-no-delay"),
        "envoy": lambda: start_envoy(origins[0], route_timeout="0s"),
    }
    for name, starter in starters.items():
        try:
            proxy = stack.enter_context(starter())
            hops[name] = Hop(proxy.url, proxy.pid)
        except Missing as missing:
            lines.append(f"{name} is left out: {missing}")
    hops[OURS] = stack.enter_context(gateway(*origins))
    return lines, hops


def _nginx(origin: str) -> Proxy:
    """With what a thousand streams need, and with idle connections to the origin kept."""
    upstream = upstream_of(origin)

    def plan(place: Place) -> Plan:
        pool = _NGINX_POOL.format(authority=upstream.authority)
        text = render(upstream, place, location=_NGINX, http=pool)
        text = text.replace("worker_connections 2048", "worker_connections 8192")
        text = "worker_rlimit_nofile 16384;\n" + text
        text = text.replace(f"http://{upstream.authority}", "http://origin")
        return Plan(
            config=text, config_name="nginx.conf",
            arguments=("-p", f"{place.directory}/", "-c", "nginx.conf", "-e", "error.log"),
        )  # fmt: skip

    return start("nginx", plan, version_flag="-v", accounts=("www-data", "nginx", "nobody"))


def _compare(hops: dict[str, Hop]) -> list[str]:
    lines = []
    for in_step in (False, True):
        name = "in step with" if in_step else "independent of"
        lines += [f"streams {name} each other:", *_compare_one(hops, in_step=in_step)]
    return [*lines, _memory(hops)]


def _compare_one(hops: dict[str, Hop], *, in_step: bool) -> list[str]:
    cpu: dict[str, list[float]] = {name: [] for name in hops if name != "direct"}
    for number in range(_CPU_ROUNDS):
        for name in list(cpu) if number % 2 else reversed(list(cpu)):
            cost = partial(_cpu_us_per_token, in_step=in_step)
            cpu[name].append(_undisturbed(cost, hops[name]))
    ttft: dict[tuple[str, int], list[float]] = {}
    delay: dict[tuple[str, int], list[float]] = {}
    middle: dict[tuple[str, int], list[float]] = {}
    for number in range(ROUNDS):
        for name in list(hops) if number % 2 else reversed(list(hops)):
            for streams, gap_ms, tokens in _LEVELS:
                window = partial(
                    _lateness, streams=streams, gap_ms=gap_ms, tokens=tokens, in_step=in_step
                )
                first, all_delays = _undisturbed(window, hops[name])
                ttft.setdefault((name, streams), []).append(quantile(first, 0.99))
                delay.setdefault((name, streams), []).append(quantile(all_delays, 0.99))
                middle.setdefault((name, streams), []).append(quantile(all_delays, 0.5))
    lines = ["CPU per token, 200 streams x 100/s (us): " + _spreads(cpu),
             _verdict("CPU per token", cpu, {"nginx": 1.2, "envoy": 1.0})]  # fmt: skip
    for streams, gap_ms, _ in _LEVELS:
        load = f"{streams} streams x {1000 // gap_ms}/s"
        for title, figures, bounded in (
            ("first content - 20 ms, p99", ttft, True),
            ("token delay p99", delay, True),
            ("token delay p50", middle, False),
        ):
            found = {name: figures[name, streams] for name in hops}
            lines.append(f"{title}, {load} (ms): {_spreads(found)}")
            if bounded:
                lines.append(_verdict(title, found, {"envoy": 1.0}))
    return lines


def _undisturbed(measure: Callable[[Hop], T], hop: Hop) -> T:
    """What is measured, of some tries the one in which the hypervisor took least."""
    tries: list[tuple[float, T]] = []
    while len(tries) < _TRIES:
        before_s = _stolen_s()
        found = measure(hop)
        tries.append((_stolen_s() - before_s, found))
        if tries[-1][0] <= _STOLEN_S:
            break
    return min(tries, key=itemgetter(0))[1]


def _cpu_us_per_token(hop: Hop, *, in_step: bool) -> float:
    with Load(hop.url, 200, tokens=10**6, gap_ms=10, in_step=in_step) as load:
        load.read(_WARM_S)
        before = hop.cpu_ns()
        tokens = load.read(_CPU_S).tokens
        return (hop.cpu_ns() - before) / 1000 / max(1, tokens)


def _lateness(
    hop: Hop, streams: int, gap_ms: int, tokens: int, *, in_step: bool
) -> tuple[list[float], list[float]]:
    """Sorted: what was added to the origin's own TTFT, and from send to arrival of each token."""
    # Spread over the life of an answer, so that as many begin at any time.
    spread_s = tokens * gap_ms / 1000
    with Load(
        hop.url, streams, tokens=tokens, gap_ms=gap_ms, spread_s=spread_s, in_step=in_step
    ) as load:
        load.read(_WARM_S)
        seen = load.read(_DELAY_S)
    if seen.broken:
        raise RuntimeError(f"{seen.broken} of the streams through {hop.url} broke")
    return sorted(one - TTFT_S * 1000 for one in seen.ttft), sorted(seen.delay)


def _memory(hops: dict[str, Hop]) -> str:
    told = []
    for name, hop in hops.items():
        if name == "direct":
            continue
        with Load(hop.url, 1000, tokens=10**6, gap_ms=1000) as load:
            load.read(2.0)
            told.append(f"{name} {hop.resident_mb():.0f}")
            ours = hop.resident_mb()
    verdict = "within" if ours <= 40 else "OVER"
    return f"memory at 1000 streams (MB): {', '.join(told)}; {OURS} {verdict} 40"


def _litellm(stack: contextlib.ExitStack, origin: str, core: int) -> str:
    try:
        hop = Hop(*stack.enter_context(start_litellm(origin)))
    except UndamError as error:
        return f"LiteLLM is left out: {error}"
    os.sched_setaffinity(0, {core})
    with Load(hop.url, 10, tokens=10**6, gap_ms=20) as load:
        load.read(3.0)
        before = hop.cpu_ns()
        seen = load.read(5.0)
        if not seen.tokens:
            return "LiteLLM is left out: no token came through it"
        cost_us = (hop.cpu_ns() - before) / 1000 / seen.tokens
    return (
        f"LiteLLM, 10 streams x 50/s: {cost_us:.0f} us of CPU per token, token delay p99 "
        f"{quantile(sorted(seen.delay), 0.99):.1f} ms, {hop.resident_mb():.0f} MB"
    )


def _verdict(title: str, figures: dict[str, list[float]], bounds: dict[str, float]) -> str:
    told = []
    for name, bound in bounds.items():
        if name in figures:
            pairs = zip(figures[OURS], figures[name], strict=True)
            ratio = quantile(sorted(ours / theirs for ours, theirs in pairs), 0.5)
            told.append(f"{ratio:.2f} x {name}, {'within' if ratio <= bound else 'OVER'} {bound}")
    return f"  {title}: {OURS} is {'; '.join(told) or 'alone'}"


def _spreads(figures: dict[str, list[float]]) -> str:
    told = []
    for name, values in figures.items():
        ordered = sorted(values)
        told.append(f"{name} {quantile(ordered, 0.5):.2f} ({ordered[0]:.2f}-{ordered[-1]:.2f})")
    return ", ".join(told)


def _stolen_s() -> float:
    """What the hypervisor gave to others of all cores' time so far (man 5 proc_stat)."""
    ticks = Path("/proc/stat").read_text().splitlines()[0].split()[1:]
    return int(ticks[7]) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    begun = time.monotonic()
    print(*run(), f"{time.monotonic() - begun:.0f} s", sep="\n")
