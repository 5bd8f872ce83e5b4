"""Active health checks: a periodic request to each upstream. Off by default."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from undam.gateway.interfaces import Upstream

# Time limit for a check. A check fails if the response arrives later, whatever its status.
TIMEOUT_S = 5.0
# A single failed check does not make an upstream unhealthy.
_FAILURES = 2
_STATUS_LINE_BYTES = 4096


async def is_healthy(upstream: Upstream, path: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Return whether ``GET path``, on a new connection, is answered in time with a 2xx status."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _get(upstream, path)
    except (OSError, TimeoutError, asyncio.LimitOverrunError, ValueError, EOFError):
        return False


async def _get(upstream: Upstream, path: str) -> bool:
    if upstream.unix_path:
        reader, writer = await asyncio.open_unix_connection(
            upstream.unix_path, limit=_STATUS_LINE_BYTES
        )
    else:
        reader, writer = await asyncio.open_connection(
            upstream.address or upstream.host,
            upstream.port,
            ssl=upstream.tls,
            limit=_STATUS_LINE_BYTES,
            server_hostname=upstream.host if upstream.tls is not None else None,
        )
    try:
        # Health endpoints are outside the versioned path of the API: /health, not /v1/health.
        base = upstream.base_path.removesuffix(upstream.version)
        head = f"GET {base}{path} HTTP/1.1\r\nHost: {upstream.authority}\r\n"
        writer.write(head.encode("ascii") + b"Connection: close\r\nUser-Agent: undam\r\n\r\n")
        line = await reader.readuntil(b"\n")
        version, _, rest = line.partition(b" ")
        return version.startswith(b"HTTP/1.") and rest[:1] == b"2"
    finally:
        writer.transport.abort()


class HealthChecks:
    """Checker that tests all upstreams periodically and reports the results.

    Args:
        upstreams: returns the upstreams to check; called before each round.
        report: called with the name of an upstream and whether it is healthy. An upstream is
            reported as unhealthy after two consecutive failed checks.
    """

    def __init__(
        self,
        upstreams: Callable[[], Collection[Upstream]],
        report: Callable[[str, bool], None],
    ) -> None:
        self._upstreams = upstreams
        self._report = report
        self._failures: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, interval_s: float, path: str) -> None:
        """Start checking; with an interval of 0, report all upstreams as healthy instead."""
        self.stop()
        if interval_s > 0:
            self._task = asyncio.get_running_loop().create_task(self._run(interval_s, path))
            return
        for upstream in self._upstreams():
            self._report(upstream.name, True)

    def stop(self) -> None:
        """Stop checking."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, interval_s: float, path: str) -> None:
        while True:
            await asyncio.gather(*(self._check(one, path) for one in self._upstreams()))
            await asyncio.sleep(interval_s)

    async def _check(self, upstream: Upstream, path: str) -> None:
        name = upstream.name
        healthy = await is_healthy(upstream, path)
        self._failures[name] = 0 if healthy else self._failures.get(name, 0) + 1
        if healthy or self._failures[name] >= _FAILURES:
            self._report(name, healthy)
