"""Upstreams that are resolved by name: one member for each address, looked up periodically.

If a lookup fails, or returns no address, the last known members stay: a failed name server must not
stop the service, and members that are really gone are ejected.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from undam.gateway.config.config import Config
from undam.gateway.interfaces import Upstream
from undam.wire.url import bracketed

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]

_LOOKUP_TIMEOUT_S = 5.0


async def look_up(host: str, port: int) -> list[str]:
    """Return the addresses of ``host``; raise OSError if there is none."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class Members:
    """Upstreams of a configuration, including those that a name resolves to.

    Args:
        apply: called with all upstreams when members were added or removed.
        log: writes one line for the operator.
        lookup: returns the addresses of a host.
    """

    def __init__(
        self,
        apply: Callable[[list[Upstream]], object],
        log: Callable[[str], None],
        lookup: Lookup = look_up,
    ) -> None:
        self._apply = apply
        self._log = log
        self._lookup = lookup
        self._named: list[tuple[Upstream, bool]] = []
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._failing: set[str] = set()
        self._running: dict[str, asyncio.Task[Sequence[str]]] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def upstreams(self) -> list[Upstream]:
        """The upstreams. An upstream resolved by name is listed as one member for each address."""
        found: list[Upstream] = []
        for upstream, resolve in self._named:
            if not resolve:
                found.append(upstream)
                continue
            for address in self._addresses.get(upstream.host, ()):
                name = f"{upstream.name}@{bracketed(address)}"
                found.append(replace(upstream, name=name, address=address))
        return found

    def configure(self, config: Config, upstreams: Sequence[Upstream]) -> None:
        """Replace the upstreams; the addresses that are already known are kept."""
        resolved = {one.name for one in config.upstreams if one.resolve}
        self._named = [(one, one.name in resolved) for one in upstreams]

    async def refresh(self) -> bool:
        """Look up all names once, and return whether any members changed."""
        hosts = {one.host: one.port for one, resolve in self._named if resolve}
        before = dict(self._addresses)
        await asyncio.gather(*(self._refresh(host, port) for host, port in hosts.items()))
        return self._addresses != before

    def start(self, interval_s: float) -> None:
        """Look up the names periodically, beginning after the first interval."""
        self.stop()
        if any(resolve for _, resolve in self._named):
            self._task = asyncio.get_running_loop().create_task(self._run(interval_s))

    def stop(self) -> None:
        """Stop looking up names."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _run(self, interval_s: float) -> None:
        while True:
            await asyncio.sleep(interval_s)
            if await self.refresh():
                self._apply(self.upstreams)

    async def _refresh(self, host: str, port: int) -> None:
        # A lookup occupies a thread until the name server answers, so only one runs per name.
        task = self._running.get(host)
        if task is None:
            task = asyncio.ensure_future(self._lookup(host, port))
            self._running[host] = task
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT_S):
                found = await asyncio.shield(task)
        except TimeoutError:
            self._report(host, "no answer from the name server")
            return
        except (OSError, UnicodeError) as error:
            del self._running[host]
            self._report(host, getattr(error, "strerror", None) or str(error))
            return
        del self._running[host]
        addresses = tuple(sorted(set(found)))
        if not addresses:
            self._report(host, "it has no address")
            return
        self._failing.discard(host)
        old = self._addresses.get(host, ())
        if addresses != old:
            self._addresses[host] = addresses
            self._log(f"upstream {host} has {len(addresses)} addresses; before: {len(old)}")

    def _report(self, host: str, why: str) -> None:
        """Log a failed lookup of ``host``, unless the previous one failed as well."""
        if host not in self._failing:
            self._failing.add(host)
            self._log(f"cannot look up {host}, keeping its last addresses: {why}")
