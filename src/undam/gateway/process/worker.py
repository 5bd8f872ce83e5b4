"""One worker process of the gateway: event loop, signals, configuration reload and drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undam.errors import UndamError
from undam.gateway.config.config import Config, read_key, restart_required
from undam.gateway.http.client_address import TrustedProxies
from undam.gateway.interfaces import Upstream
from undam.gateway.policy.health import HealthChecks
from undam.gateway.policy.router import Dependencies, GatewayRouter
from undam.gateway.process.files import file_version, make_upstreams, read_keys
from undam.gateway.process.members import Members
from undam.gateway.process.supervisor import SIGNALS, WorkerState, WorkerStates
from undam.gateway.process.systemd import notify
from undam.gateway.process.tls import listener_context, load_certificate
from undam.gateway.relay.app import Gateway
from undam.gateway.telemetry.admin_endpoints import AdminEndpoints
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.observer import Telemetry
from undam.gateway.telemetry.shared_memory import SharedMetrics
from undam.gateway.telemetry.tracing import tracing_if_configured

if TYPE_CHECKING:
    from undam.gateway.telemetry.access_log import AccessLog

KEY_CHECK_INTERVAL_S = 1.0
"""Interval at which the key file is checked for changes."""

# Time for clients to read the error event of a stream that was cut.
_FLUSH_S = 0.2
# Number of new objects that starts a garbage collection; Python's default is 700.
_GC_THRESHOLD = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """Parameters of a worker.

    Args:
        load: reads the configuration again; raises UndamError.
        number: index of this worker.
        supervised: a supervisor handles Ctrl-C and notifies systemd.
        ready: called when the worker listens.
        log: writes one line for the operator.
    """

    config: Config
    load: Callable[[], Config]
    number: int
    states: WorkerStates
    shared_metrics: SharedMetrics
    listener: socket.socket
    supervised: bool
    ready: Callable[[], None]
    log: Callable[[str], None]


def run_worker(spec: WorkerSpec) -> int:
    """Serve until a signal stops the worker; return 0, or 1 if streams were cut."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_run(spec))


async def _run(spec: WorkerSpec) -> int:
    return await _Worker(spec).run()


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 (optional; without it the standard loop is used)
    except ImportError:
        return None
    return uvloop.new_event_loop


def _reduce_garbage_collection() -> None:
    """Run the garbage collector rarely, and only on objects created after startup.

    A collection pauses all streams. Requests leave no reference cycles behind, so it is only needed
    for unexpected ones.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 10, 10)


def _open_access_log(path: str) -> AccessLog | None:
    if not path:
        return None
    from undam.gateway.telemetry.access_log import AccessLog  # noqa: PLC0415 (saves 1 MB if unused)

    return AccessLog(None if path == "-" else Path(path))


class _ClientKeys:
    """Loader for the router's API keys, which are read again when their file changes."""

    def __init__(self, router: GatewayRouter, log: Callable[[str], None]) -> None:
        self._router = router
        self._log = log
        self._version: tuple[int, int] | None = None

    def apply(self, config: Config) -> None:
        """Read all keys that ``config`` refers to; on UndamError, the old keys stay in force."""
        version = file_version(config.keys)
        keys = read_keys(config)
        self._router.use_keys(keys, read_key("upstream_key", config.upstream_key))
        self._version = version

    async def watch(self, config: Callable[[], Config]) -> None:
        """Apply changes to the key file; an invalid file is reported once."""
        while True:
            await asyncio.sleep(KEY_CHECK_INTERVAL_S)
            version = file_version(config().keys)
            if version == self._version:
                continue
            try:
                self.apply(config())
                self._log("reloaded the API keys")
            except UndamError as error:
                self._version = version
                self._log(f"the new API keys are invalid, keeping the old ones: {error}")


class _Worker:
    """The gateway of one event loop with its router, health checks and telemetry.

    It must be created inside the running loop.
    """

    def __init__(self, spec: WorkerSpec) -> None:
        config = spec.config
        self._spec = spec
        self._config = config
        self._members = Members(self._apply_members, spec.log)
        self._members.configure(config, make_upstreams(config))
        self._tls = listener_context(config)
        self._stop_signals = 0
        self._stop, self._stop_now = asyncio.Event(), asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._access_log = _open_access_log(config.access_log)
        self._tracer = tracing_if_configured()
        metrics = WorkerMetrics(spec.shared_metrics.region(spec.number))
        self._router = GatewayRouter(
            config,
            self._members.upstreams,
            local_responses=AdminEndpoints(
                not_ready=lambda: spec.states.not_ready,
                shared_metrics=spec.shared_metrics if config.metrics == "on" else None,
                flush=self._count_ended,
            ),
            dependencies=Dependencies(metrics, time.monotonic, random.Random(), spec.log),  # noqa: S311
        )
        self._keys = _ClientKeys(self._router, spec.log)
        self._keys.apply(config)
        self._checks = HealthChecks(lambda: self._members.upstreams, self._router.set_healthy)
        telemetry = Telemetry(metrics, access_log=self._access_log, tracer=self._tracer)
        self._gateway = Gateway(self._router, telemetry, config.request_limits)
        self._use_client_options(config)
        self._gateway.context.proxy_protocol = config.proxy_protocol == "on"

    async def run(self) -> int:
        """Serve until a signal stops the worker; return its exit code."""
        try:
            return await self._serve()
        finally:
            self._checks.stop()
            self._members.stop()
            if self._access_log is not None:
                self._access_log.close()
            if self._tracer is not None:
                self._tracer.close()

    def _count_ended(self) -> None:
        self._gateway.context.deferred.flush()

    async def _serve(self) -> int:
        spec = self._spec
        self._handle_signals()
        if await self._members.refresh():
            self._apply_members(self._members.upstreams)
        self._members.start(self._config.resolve_interval)
        await self._gateway.listen(spec.listener, self._tls)
        self._checks.start(self._config.health_interval, self._config.health_path)
        watch = self._loop.create_task(self._keys.watch(lambda: self._config))
        _reduce_garbage_collection()
        spec.states.set(spec.number, WorkerState.LISTENING)
        spec.ready()
        try:
            await self._stop.wait()
            return await self._drain()
        finally:
            watch.cancel()

    async def _drain(self) -> int:
        """Wait for open streams to end; after the drain timeout, cut them with an error event."""
        spec = self._spec
        spec.states.set(spec.number, WorkerState.DRAINING)
        if not spec.supervised:
            notify("STOPPING=1")
        self._router.admission.stop()
        drained = self._loop.create_task(self._gateway.drain())
        stop_now = self._loop.create_task(self._stop_now.wait())
        await asyncio.wait(
            [drained, stop_now],
            timeout=self._config.drain_timeout,
            return_when=asyncio.FIRST_COMPLETED,
        )
        stop_now.cancel()
        cut = self._gateway.end_all()
        if cut:
            spec.log(f"{cut} streams were cut")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(drained), _FLUSH_S)
        drained.cancel()
        await self._gateway.close()
        return 1 if cut else 0

    def _use_client_options(self, config: Config) -> None:
        context = self._gateway.context
        context.cors.use(config.cors_origins)
        context.trusted_proxies = TrustedProxies(config.trusted_proxies)

    def _apply_members(self, upstreams: list[Upstream]) -> tuple[str, ...]:
        """Replace the upstreams; return the names of those that were removed."""
        removed = self._router.apply(self._config, upstreams)
        self._gateway.context.pool.keep(upstreams)
        return removed

    async def _refresh_members(self) -> None:
        if await self._members.refresh():
            self._apply_members(self._members.upstreams)

    def _handle_signals(self) -> None:
        loop = self._loop
        loop.add_signal_handler(signal.SIGTERM, self._on_stop)
        loop.add_signal_handler(signal.SIGUSR1, self._on_stop_now)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._spec.supervised:
            # Ctrl-C reaches the whole process group. The supervisor forwards it as SIGTERM.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        else:
            loop.add_signal_handler(signal.SIGINT, self._on_stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _on_stop(self) -> None:
        self._stop_signals += 1
        self._stop.set()
        # A supervised worker may receive SIGTERM twice, because the service manager may also send
        # it. Only the supervisor decides whether streams are cut, and it sends SIGUSR1 for this
        # purpose.
        if self._stop_signals > 1 and not self._spec.supervised:
            self._stop_now.set()

    def _on_stop_now(self) -> None:
        self._stop.set()
        self._stop_now.set()

    def _reload(self) -> None:
        """Apply the current configuration; if it is invalid, keep the old one."""
        spec, old = self._spec, self._config
        if not spec.supervised:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            new = spec.load()
            upstreams = make_upstreams(new)
            self._keys.apply(new)
            if self._tls is not None:
                load_certificate(self._tls, old)
        except UndamError as error:
            spec.log(f"the new configuration is invalid, keeping the old one: {error}")
        else:
            self._apply(new, upstreams)
        if self._access_log is not None:
            self._access_log.reopen()
        if not spec.supervised:
            notify("READY=1")

    def _apply(self, new: Config, upstreams: list[Upstream]) -> None:
        spec, old = self._spec, self._config
        for name in restart_required(old, new):
            if spec.number == 0:
                spec.log(f"a change of {name} needs a restart")
        self._config = new
        self._gateway.context.limits = new.request_limits
        self._gateway.context.budget.limit_bytes = new.body_budget
        self._use_client_options(new)
        # An unchanged upstream compares equal and therefore keeps its connections.
        self._members.configure(new, upstreams)
        self._members.start(new.resolve_interval)
        removed = self._apply_members(self._members.upstreams)
        self._refresh = self._loop.create_task(self._refresh_members())
        self._checks.start(new.health_interval, new.health_path)
        if spec.number == 0:
            draining = f"; draining: {', '.join(removed)}" if removed else ""
            spec.log(f"reloaded: {len(upstreams)} upstreams{draining}")
