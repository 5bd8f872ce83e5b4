"""Facts about this machine that `undam doctor` reports."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass

import undam
from undam.errors import UndamError
from undam.host import raise_file_limit
from undam.poller import missing_features

# External programs that `undam lab` starts and `undam fix --verify` calls.
PROGRAMS = (
    "nginx", "haproxy", "envoy", "apache2", "caddy", "lighttpd", "varnishd", "squid",
    "traffic_server", "node",
)  # fmt: skip
KEY_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
PROXY_VARIABLES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")

_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+).*extra\s*==\s*['\"]([\w-]+)['\"]")
_STAMP_TRIALS, _STAMP_PAUSE_S = 50, 0.02
_TIMERS = 20
_TIMER_S = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """Facts about the machine, the installation and the environment.

    Attributes:
        missing_features: what the system lacks to measure streams; ``None`` if nothing is missing.
        timer_late_ms: median and maximum delay of a timer.
        load: tasks that run or wait to run, averaged over a minute; ``None`` if not available.
        open_files: limit of open files; ``None`` if there is none.
        capture_problem: why live capture is not possible; ``None`` if it is.
        programs: path of each proxy program; ``None`` for those that are not installed.
        extras: for each extra, whether all its packages are installed.
        proxy_variables: names of the variables that are set.
        key_variables: names of the variables that are set.
    """

    undam: str
    python: str
    system: str
    missing_features: str | None
    has_kernel_timestamps: bool
    timer_late_ms: tuple[float, float]
    cpus: int
    load: float | None
    open_files: int | None
    capture_problem: str | None
    programs: Mapping[str, str | None]
    extras: Mapping[str, bool]
    proxy_variables: tuple[str, ...]
    key_variables: tuple[str, ...]


def collect_facts() -> HostFacts:
    """Collect the facts; this takes about 0.1 s and contacts no other host."""
    missing = missing_features()
    return HostFacts(
        undam=undam.__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()} {platform.machine()}",
        missing_features=missing,
        has_kernel_timestamps=missing is None and _has_kernel_timestamps(),
        timer_late_ms=_timer_late_ms(),
        cpus=_cpus(),
        load=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        open_files=raise_file_limit() if missing is None else None,
        capture_problem=_capture_problem(),
        programs={name: _path(name) for name in PROGRAMS},
        extras=installed_extras(),
        proxy_variables=_set_variables(PROXY_VARIABLES),
        key_variables=_set_variables(KEY_VARIABLES),
    )


def installed_extras() -> dict[str, bool]:
    """Return, for each optional extra of undam, whether all packages of the extra are installed."""
    extras: dict[str, bool] = {}
    for requirement in importlib.metadata.requires("undam") or ():
        if (found := _REQUIREMENT.match(requirement)) is not None:
            name, extra = found.groups()
            extras[extra] = extras.get(extra, True) and _is_installed(name)
    return extras


def _is_installed(name: str) -> bool:
    try:
        importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _has_kernel_timestamps() -> bool:
    """Send bytes over loopback, and return whether any read had a kernel timestamp.

    A busy kernel takes longer than the usual warm-up to enable timestamps, so this tries for a
    second.
    """
    import socket  # noqa: PLC0415 (parts of it are not available on every system)

    from undam.wire import timestamps  # noqa: PLC0415

    timestamps.warm_up_now()
    try:
        with socket.create_server(("127.0.0.1", 0)) as server, socket.socket() as client:
            if not timestamps.enable(client):
                return False
            client.settimeout(1)
            client.connect(server.getsockname())
            with server.accept()[0] as peer:
                for _ in range(_STAMP_TRIALS):
                    peer.send(b".")
                    if timestamps.read(client).stamped:
                        return True
                    time.sleep(_STAMP_PAUSE_S)
    except OSError:
        pass
    return False


def _timer_late_ms() -> tuple[float, float]:
    late_ms: list[float] = []
    for _ in range(_TIMERS):
        before = time.perf_counter()
        time.sleep(_TIMER_S)
        late_ms.append((time.perf_counter() - before - _TIMER_S) * 1e3)
    late_ms.sort()
    return late_ms[len(late_ms) // 2], late_ms[-1]


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _capture_problem() -> str | None:
    from undam.tap.capture.live import LiveCapture  # noqa: PLC0415 (needs ctypes and mmap)

    try:
        LiveCapture([], []).close()
    except UndamError as error:
        return str(error)
    return None


def _path(program: str) -> str | None:
    from undam.lab.proxies import Missing, find_program  # noqa: PLC0415 (loads every starter)

    try:
        return find_program(program)
    except Missing:
        return None


def _set_variables(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of the environment variables that are set; proxy names may be lower-case."""
    is_set = {name for name, value in os.environ.items() if value}
    return tuple(name for name in names if name in is_set or name.lower() in is_set)
