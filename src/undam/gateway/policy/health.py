"""Active checks: a small request to each upstream now and then. Off unless asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from undam.gateway.interfaces import Upstream

# A check that lasts longer says that the upstream is not well, even if the answer would be 200.
TIMEOUT_S = 5.0
# One lost answer is no sickness.
_IN_A_ROW = 2
_STATUS_LINE_BYTES = 4096


async def is_healthy(upstream: Upstream, path: str, timeout_s: float = TIMEOUT_S) -> bool:
    """Whether ``GET path`` is answered with a 2xx in time; over a connection of its own."""
    try:
        async with asyncio.timeout(timeout_s):
            return await _ask(upstream, path)
    except (OSError, TimeoutError, asyncio.LimitOverrunError, ValueError, EOFError):
        return False


async def _ask(upstream: Upstream, path: str) -> bool:
    reader, writer = await asyncio.open_connection(
        upstream.host,
        upstream.port,
        ssl=upstream.tls,
        limit=_STATUS_LINE_BYTES,
        server_hostname=upstream.host if upstream.tls is not None else None,
    )
    try:
        head = f"GET {upstream.base_path}{path} HTTP/1.1\r\nHost: {upstream.authority}\r\n"
        writer.write(head.encode("ascii") + b"Connection: close\r\nUser-Agent: undam\r\n\r\n")
        line = await reader.readuntil(b"\n")
        version, _, rest = line.partition(b" ")
        return version.startswith(b"HTTP/1.") and rest[:1] == b"2"
    finally:
        writer.transport.abort()


class HealthChecks:
    """Checks all upstreams every ``interval_s`` and tells what changed its answer.

    Args:
        upstreams: those to check, asked for each time.
        checked: told of each that is not well, two checks long, and of each that is.
    """

    def __init__(
        self,
        upstreams: Callable[[], Collection[Upstream]],
        checked: Callable[[str, bool], None],
    ) -> None:
        self._upstreams = upstreams
        self._checked = checked
        self._failed: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self, interval_s: float, path: str) -> None:
        """Check from now on; an interval of 0 is never, and all count as well."""
        self.stop()
        if interval_s > 0:
            self._task = asyncio.get_running_loop().create_task(self._run(interval_s, path))
            return
        for one in self._upstreams():
            self._checked(one.name, True)

    def stop(self) -> None:
        """No further check."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, interval_s: float, path: str) -> None:
        while True:
            await asyncio.gather(*(self._one(one, path) for one in self._upstreams()))
            await asyncio.sleep(interval_s)

    async def _one(self, upstream: Upstream, path: str) -> None:
        name = upstream.name
        well = await is_healthy(upstream, path)
        self._failed[name] = 0 if well else self._failed.get(name, 0) + 1
        if well or self._failed[name] >= _IN_A_ROW:
            self._checked(name, well)
