"""Helpers that run a Redis server on a free loopback port, and pause processes."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator

from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import LaunchPlan, Workspace
from undam.lab.proxies.process import start


def start_redis() -> RunningProxy:
    """Start ``redis-server``; raise ``Missing`` or ``NotStarted`` if that fails."""

    def plan(place: Workspace) -> LaunchPlan:
        config = f'bind 127.0.0.1\nport {place.port}\nsave ""\nappendonly no\n'
        return LaunchPlan(config=config, config_name="redis.conf", arguments=("redis.conf",))

    return start("redis-server", plan)


def redis_url(server: RunningProxy) -> str:
    """Return the server's URL for a Redis client."""
    return server.url.replace("http:", "redis:")


@contextlib.contextmanager
def paused(pid: int) -> Iterator[None]:
    """Pause a process with SIGSTOP during the block."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)
