"""One process of the gateway: its loop, what lives on it, signals, reload and drain."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import random
import signal
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from undam.errors import UndamError, UsageError
from undam.gateway.config.config import Config, changes, read_key
from undam.gateway.interfaces import Upstream
from undam.gateway.policy.health import HealthChecks
from undam.gateway.policy.keys import Key, parse_keys
from undam.gateway.policy.router import Dependencies, GatewayRouter
from undam.gateway.process.supervisor import SIGNALS, WorkerState, WorkerStates
from undam.gateway.process.systemd import notify
from undam.gateway.relay.app import Gateway
from undam.gateway.telemetry.admin_endpoints import AdminEndpoints
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.observer import Telemetry
from undam.gateway.telemetry.shared_memory import SharedMetrics
from undam.gateway.telemetry.tracing import tracing_if_configured

if TYPE_CHECKING:
    from undam.gateway.telemetry.access_log import AccessLog

# How soon a changed key file counts.
KEYS_EVERY_S = 1.0
# What clients get, after an error event was written to them, to read it.
_LAST_WORDS_S = 0.2
# New objects until the collector looks for cycles; Python's own figure is 700.
_COLLECT_AFTER = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSpec:
    """What a worker is started with.

    Args:
        load: reads the configuration anew; raises UndamError.
        number: of this worker.
        alone: there is no parent, so this process obeys Ctrl-C and speaks to systemd.
        ready: called when it listens.
        say: told, in one line, what an operator wants to know.
    """

    config: Config
    load: Callable[[], Config]
    number: int
    states: WorkerStates
    shared_metrics: SharedMetrics
    listener: socket.socket
    alone: bool
    ready: Callable[[], None]
    say: Callable[[str], None]


def run_worker(spec: WorkerSpec) -> int:
    """Serve until told to stop; returns 0, or 1 if streams had to be cut."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(_Worker(spec).run())


def make_upstreams(config: Config) -> list[Upstream]:
    """The upstreams of a config, ready to be asked.

    Raises:
        UsageError: the authority's file cannot be used.
    """
    made = []
    for one in config.upstreams:
        target = one.target
        tls = _client_tls(config.upstream_cacert) if target.scheme == "https" else None
        path = target.path.rstrip("/")
        made.append(Upstream(one.name, target.host, target.port, base_path=path, tls=tls))
    return made


def read_keys(config: Config) -> tuple[Key, ...] | None:
    """The keys that clients need; ``None`` where none is asked for.

    Raises:
        UsageError, ConfigSyntaxError: the file is missing or wrong.
    """
    if not config.keys:
        return None
    try:
        text = Path(config.keys).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise UsageError(f"keys {config.keys}: {getattr(error, 'strerror', 'no text')}") from None
    return parse_keys(text, config.keys)


def listener_tls(config: Config) -> ssl.SSLContext | None:
    """What the listener speaks; ``None`` is plain text. Raises UsageError."""
    if not config.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    _load_chain(context, config)
    return context


def _load_chain(context: ssl.SSLContext, config: Config) -> None:
    def no_password() -> str:
        raise UsageError(f"tls_key {config.tls_key}: is encrypted; give a file with a plain key")

    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password=no_password)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error.strerror or "cannot be read"
        raise UsageError(f"tls_cert {config.tls_cert}, tls_key {config.tls_key}: {why}") from None


def _client_tls(cacert: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cacert or None)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "reason", None) or error.strerror or "holds no certificate"
        raise UsageError(f"upstream_cacert {cacert}: {why}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 (an extra; the standard loop serves where it is absent)
    except ImportError:
        return None
    return uvloop.new_event_loop


def _calm_collector() -> None:
    """Let the garbage collector look seldom, and at what came since the start alone.

    All streams stand while it looks. What a request leaves behind is freed by counting references
    (of three thousand streams nothing was left to collect), so it is there for what is unforeseen.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 10, 10)


class _Worker:
    """Everything on the loop."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        self._config = spec.config
        self._upstreams = make_upstreams(spec.config)
        self._tls = listener_tls(spec.config)
        self._seen_keys: tuple[int, int] | None = None
        self._stops = 0

    async def run(self) -> int:
        spec, config = self._spec, self._config
        self._loop = asyncio.get_running_loop()
        self._stop, self._now = asyncio.Event(), asyncio.Event()
        self._log = self._open_log()
        metrics = WorkerMetrics(spec.shared_metrics.region(spec.number))
        # Where spans are sent is OpenTelemetry's own to say, by its variables.
        tracer = tracing_if_configured()
        shared_metrics = spec.shared_metrics if config.metrics == "on" else None
        dependencies = Dependencies(metrics, time.monotonic, random.Random(), spec.say)  # noqa: S311
        self._router = GatewayRouter(
            config,
            self._upstreams,
            pages=AdminEndpoints(lambda: spec.states.not_ready, shared_metrics, self._settle),
            dependencies=dependencies,
        )
        self._use_keys(config)
        self._checks = HealthChecks(
            lambda: self._upstreams, lambda name, well: self._router.checked(name, well=well)
        )
        telemetry = Telemetry(metrics, access_log=self._log, tracer=tracer)
        self._gateway = Gateway(self._router, telemetry, config.request_limits)
        try:
            return await self._serve()
        finally:
            self._checks.stop()
            if self._log is not None:
                self._log.close()
            if tracer is not None:
                tracer.close()

    def _settle(self) -> None:
        self._gateway.deferred.flush()

    async def _serve(self) -> int:
        spec = self._spec
        self._hear_signals()
        await self._gateway.listen(spec.listener, self._tls)
        self._checks.start(self._config.health_interval, self._config.health_path)
        keys = self._loop.create_task(self._watch_keys())
        _calm_collector()
        spec.states.set(spec.number, WorkerState.LISTENING)
        spec.ready()
        try:
            await self._stop.wait()
            return await self._drain()
        finally:
            keys.cancel()

    async def _drain(self) -> int:
        """Let what is under way end; what does not in time is cut, and told so."""
        spec = self._spec
        spec.states.set(spec.number, WorkerState.DRAINING)
        if spec.alone:
            notify("STOPPING=1")
        self._router.admission.stop()
        drained = self._loop.create_task(self._gateway.drain())
        at_once = self._loop.create_task(self._now.wait())
        await asyncio.wait(
            [drained, at_once],
            timeout=self._config.drain_timeout,
            return_when=asyncio.FIRST_COMPLETED,
        )
        at_once.cancel()
        cut = self._gateway.end_all()
        if cut:
            spec.say(f"{cut} streams were cut")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(drained), _LAST_WORDS_S)
        drained.cancel()
        await self._gateway.close()
        return 1 if cut else 0

    def _hear_signals(self) -> None:
        loop = self._loop
        loop.add_signal_handler(signal.SIGTERM, self._asked_to_stop)
        loop.add_signal_handler(signal.SIGUSR1, self._end_now)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        if self._spec.alone:
            loop.add_signal_handler(signal.SIGINT, self._asked_to_stop)
        else:
            # Ctrl-C goes to the whole group; the parent tells what it means.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)

    def _asked_to_stop(self) -> None:
        self._stops += 1
        self._stop.set()
        # A parent passes on one stop only, and its service manager may add another.
        if self._stops > 1 and self._spec.alone:
            self._now.set()

    def _end_now(self) -> None:
        self._stop.set()
        self._now.set()

    def _reload(self) -> None:
        """Go on under the configuration as it stands now, or under the old one if it is wrong."""
        spec, old = self._spec, self._config
        if spec.alone:
            notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            new = spec.load()
            upstreams = make_upstreams(new)
            self._use_keys(new)
            if self._tls is not None:
                _load_chain(self._tls, old)
        except UndamError as error:
            spec.say(f"the new configuration is refused, the old one stays: {error}")
        else:
            self._apply(new, upstreams)
        if self._log is not None:
            self._log.reopen()
        if spec.alone:
            notify("READY=1")

    def _apply(self, new: Config, upstreams: list[Upstream]) -> None:
        spec, old = self._spec, self._config
        for name in changes(old, new):
            if spec.number == 0:
                spec.say(f"{name} changes with the next start only")
        self._config = new
        # One that stays is equal to what it was, so it keeps its connections.
        self._upstreams = upstreams
        self._gateway.limits = new.request_limits
        leaving = self._router.apply(new, self._upstreams)
        self._gateway.pool.keep(self._upstreams)
        self._checks.start(new.health_interval, new.health_path)
        if spec.number == 0:
            drains = f"; drains: {', '.join(leaving)}" if leaving else ""
            spec.say(f"reloaded: {len(upstreams)} upstreams{drains}")

    def _use_keys(self, config: Config) -> None:
        seen = _stamp(config.keys)
        keys = read_keys(config)
        self._router.use_keys(keys, read_key("upstream_key", config.upstream_key))
        self._seen_keys = seen

    async def _watch_keys(self) -> None:
        """Take a changed key file; a wrong one is told once, and the old keys stay."""
        while True:
            await asyncio.sleep(KEYS_EVERY_S)
            seen = _stamp(self._config.keys)
            if seen == self._seen_keys:
                continue
            try:
                self._use_keys(self._config)
                self._spec.say("the keys were read anew")
            except UndamError as error:
                self._seen_keys = seen
                self._spec.say(f"the old keys stay: {error}")

    def _open_log(self) -> AccessLog | None:
        path = self._config.access_log
        if not path:
            return None
        from undam.gateway.telemetry.access_log import AccessLog  # noqa: PLC0415 (1 MB that most do without)

        return AccessLog(None if path == "-" else Path(path))


def _stamp(path: str) -> tuple[int, int] | None:
    """What changes when a file does; ``None`` where there is none."""
    if not path:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_ino)
