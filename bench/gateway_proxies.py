"""What does a hop cost? nginx, haproxy, Envoy, LiteLLM, and undam with heartbeats and hedging on.

Each proxy runs alone on one core; the origin and the reader share another. Every round starts each
of them anew, since processes of one program differ by a tenth from each other for as long as they
live, and takes turns between them, so that what else the machine does falls on all; a ratio is the
median over the rounds of the two in one round. What the hypervisor disturbs is left out: of the
delays, the tenths of a second around each theft; of the CPU time, the whole window, which is
measured again. LiteLLM is measured by itself, with a load that it can bear.
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
from bench.gateway_load import Load
from undam.errors import UndamError
from undam.lab.proxies import Missing, Proxy, start_envoy, start_haproxy
from undam.lab.proxies.nginx import render
from undam.lab.proxies.plan import LaunchPlan, Workspace, upstream_of
from undam.lab.proxies.process import start
from undam.timing import quantile

ROUNDS = 7
# Of what no limit is set by.
_FEW = 2
# A window of delays of which the hypervisor left less is measured again.
_LEFT = 0.6
_TRIES = 3
# Rounds in which both of a pair were undisturbed; of fewer no verdict is given.
_ENOUGH = 3

T = TypeVar("T")
OURS = "undam"
_NGINX = "proxy_buffering off; proxy_http_version 1.1; proxy_set_header Connection '';"
_NGINX_POOL = "upstream origin {{ server {authority}; keepalive 1024; }}"
_WARM_S = 1.0
_CPU_S = 2.0
_LEVELS = ((50, 20, 50, 12.0), (200, 20, 100, 6.0), (1000, 50, 100, 4.0))
"""Streams, ms between the tokens of each, tokens of an answer, and the window (s): 50, 100 and 200
requests/s, so that six first contents or more are above the p99."""
_BOUNDED = {"nginx": 1.2, "envoy": 1.0}
"""What CPU per token may be of theirs; the p99s may be Envoy's."""


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


@dataclass
class Figures:
    """What the rounds found of one hop; with streams in step or not, and of so many of them."""

    cpu_us: dict[bool, list[float]] = field(default_factory=dict)
    ttft_ms: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    delay_ms: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    middle_ms: dict[tuple[bool, int], list[float]] = field(default_factory=dict)
    memory_mb: list[float] = field(default_factory=list)


Starter = Callable[[], AbstractContextManager[Hop]]


def run() -> list[str]:
    """The table, and how undam stands to nginx and Envoy."""
    cores = sorted(os.sched_getaffinity(0))
    gc.disable()
    try:
        with contextlib.ExitStack() as stack:
            os.sched_setaffinity(0, {cores[-1]})
            origins = stack.enter_context(_origins(2))
            stolen_s = machine.stolen_s()
            starters = _starters(origins)
            found: dict[str, Figures] = {name: Figures() for name in starters}
            lines = []
            for number in range(ROUNDS):
                for name in list(found) if number % 2 else reversed(list(found)):
                    _progress(f"round {number + 1} of {ROUNDS}: {name}")
                    try:
                        _round(starters[name], name, found[name], few=number < _FEW, cores=cores)
                    except Missing as missing:
                        del found[name]
                        lines.append(f"{name} is left out: {missing}")
            lines += [*_told(found, in_step=False), *_told(found, in_step=True), _memory(found)]
            os.sched_setaffinity(0, {cores[0]})
            lines.append(_litellm(stack, origins[0], cores[-1]))
            lines.append(f"the hypervisor took {machine.stolen_s() - stolen_s:.2f} s in all")
            return lines
    finally:
        gc.enable()
        os.sched_setaffinity(0, cores)


def _progress(text: str) -> None:
    """On a terminal; a round takes three minutes."""
    if sys.stderr.isatty():
        print(f"  {text}", file=sys.stderr, flush=True)


def _round(starter: Starter, name: str, found: Figures, *, few: bool, cores: list[int]) -> None:
    """Start a hop, measure it and stop it."""
    with contextlib.ExitStack() as stack:
        os.sched_setaffinity(0, {cores[0]})
        try:
            hop = stack.enter_context(starter())
        finally:
            os.sched_setaffinity(0, {cores[-1]})
        for in_step in (False, True):
            if hop.group and (few or name == OURS or name in _BOUNDED):
                cost = _undisturbed(partial(_cpu_us_per_token, hop, in_step=in_step))
                found.cpu_us.setdefault(in_step, []).append(nan if cost is None else cost)
            if not (few or name == OURS or name == "envoy"):
                continue
            for streams, gap_ms, tokens, window_s in _LEVELS:
                load = partial(
                    Load, hop.url, streams, tokens=tokens, gap_ms=gap_ms, in_step=in_step,
                    # Spread over the life of an answer, so that as many begin at any time.
                    spread_s=tokens * gap_ms / 1000,
                )  # fmt: skip
                late = _undisturbed(partial(_lateness, load, window_s)) or (nan, nan, nan)
                key = in_step, streams
                found.ttft_ms.setdefault(key, []).append(late[0])
                found.delay_ms.setdefault(key, []).append(late[1])
                found.middle_ms.setdefault(key, []).append(late[2])
        if hop.group and (few or name == OURS):
            with Load(hop.url, 1000, tokens=10**6, gap_ms=1000) as full:
                full.read(2.0)
                found.memory_mb.append(hop.resident_mb())


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


def _starters(origins: list[str]) -> dict[str, Starter]:
    return {
        "direct": lambda: contextlib.nullcontext(Hop(origins[0])),
        "nginx": lambda: _through(_nginx(origins[0])),
        "haproxy": lambda: _through(start_haproxy(origins[0], options="option http-no-delay")),
        "envoy": lambda: _through(start_envoy(origins[0], route_timeout="0s")),
        OURS: lambda: gateway(*origins),
    }


@contextlib.contextmanager
def _through(proxy: Proxy) -> Iterator[Hop]:
    with proxy:
        yield Hop(proxy.url, proxy.pid)


def _nginx(origin: str) -> Proxy:
    """With what a thousand streams need, and with idle connections to the origin kept."""
    upstream = upstream_of(origin)

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


def _told(found: dict[str, Figures], *, in_step: bool) -> list[str]:
    costs = {name: one.cpu_us[in_step] for name, one in found.items() if one.cpu_us}
    lines = [f"streams {'in step with' if in_step else 'independent of'} each other:",
             "CPU per token, 200 streams x 100/s (us): " + _spreads(costs),
             _verdict("CPU per token", costs, _BOUNDED)]  # fmt: skip
    for streams, gap_ms, _, _ in _LEVELS:
        load, key = f"{streams} streams x {1000 // gap_ms}/s", (in_step, streams)
        first = {name: one.ttft_ms[key] for name, one in found.items()}
        delay = {name: one.delay_ms[key] for name, one in found.items()}
        middle = {name: one.middle_ms[key] for name, one in found.items()}
        lines += [
            f"first content - 20 ms, p99, {load} (ms): {_spreads(first)}",
            _verdict("first content p99", first, {"envoy": 1.0}),
            f"token delay p99, {load} (ms): {_spreads(delay)}",
            _verdict("token delay p99", delay, {"envoy": 1.0}),
            f"token delay p50, {load} (ms): {_spreads(middle)}",
        ]
    return lines


def _undisturbed(measure: Callable[[], T | None]) -> T | None:
    """What is found at last; ``None`` if the hypervisor disturbed each try."""
    for _ in range(_TRIES):
        if (found := measure()) is not None:
            return found
    return None


def _cpu_us_per_token(hop: Hop, *, in_step: bool) -> float | None:
    with Load(hop.url, 200, tokens=10**6, gap_ms=10, in_step=in_step) as load:
        load.read(_WARM_S)
        stolen_s, before = machine.stolen_s(), hop.cpu_ns()
        tokens = load.read(_CPU_S).tokens
        cost = (hop.cpu_ns() - before) / 1000 / max(1, tokens)
        return cost if machine.stolen_s() - stolen_s <= machine.SPOILED_S else None


def _lateness(load: Callable[[], Load], window_s: float) -> tuple[float, float, float] | None:
    """The p99 of what was added to the origin's own TTFT, and p99 and median from send to arrival
    of each token (ms)."""
    with load() as reading:
        reading.read(_WARM_S)
        seen, left = reading.read_undisturbed(window_s)
    if seen.broken:
        raise RuntimeError(f"{seen.broken} of the streams through {reading.url} broke")
    if left < _LEFT:
        return None
    first, delays = sorted(seen.ttft), sorted(seen.delay)
    return quantile(first, 0.99) - TTFT_S * 1000, quantile(delays, 0.99), quantile(delays, 0.5)


def _memory(found: dict[str, Figures]) -> str:
    resident = {name: one.memory_mb for name, one in found.items() if one.memory_mb}
    verdict = "within" if quantile(sorted(resident[OURS]), 0.5) <= 40 else "OVER"
    return f"memory at 1000 streams (MB): {_spreads(resident, 0)}; {OURS} {verdict} 40"


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
            ratios = _known([ours / theirs for ours, theirs in pairs])
            if len(ratios) < _ENOUGH:
                told.append(f"unknown beside {name}: {len(ratios)} undisturbed rounds")
                continue
            ratio = quantile(ratios, 0.5)
            told.append(
                f"{ratio:.2f} x {name} ({_quartiles(ratios)} in {len(ratios)} rounds), "
                f"{'within' if ratio <= bound else 'OVER'} {bound}"
            )
    return f"  {title}: {OURS} is {'; '.join(told) or 'alone'}"


def _spreads(figures: dict[str, list[float]], digits: int = 2) -> str:
    """Medians, and the quartiles."""
    told = []
    for name, values in figures.items():
        if ordered := _known(values):
            median = f"{quantile(ordered, 0.5):.{digits}f}"
            told.append(f"{name} {median} ({_quartiles(ordered, digits)})")
        else:
            told.append(f"{name} unknown")
    return ", ".join(told)


def _known(values: list[float]) -> list[float]:
    """Sorted, without what was disturbed."""
    return sorted(one for one in values if not isnan(one))


def _quartiles(ordered: list[float], digits: int = 2) -> str:
    return "-".join(f"{quantile(ordered, share):.{digits}f}" for share in (0.25, 0.75))


if __name__ == "__main__":
    begun = time.monotonic()
    print(*run(), f"{time.monotonic() - begun:.0f} s", sep="\n")
