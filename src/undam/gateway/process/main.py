"""`undam gateway` as a process: its socket, then one worker or a parent of several."""

from __future__ import annotations

import contextlib
import resource
import socket
from collections.abc import Callable
from dataclasses import replace

from undam.errors import UndamError, UsageError
from undam.gateway.config.config import Config, read_key
from undam.gateway.process.supervisor import Supervisor, WorkerStates
from undam.gateway.process.systemd import notify
from undam.gateway.process.worker import (
    WorkerSpec,
    listener_tls,
    make_upstreams,
    read_keys,
    run_worker,
)
from undam.gateway.telemetry.shared_memory import SharedMetrics
from undam.wire.url import bracketed


def check_files(config: Config) -> None:
    """Read every file that ``config`` names, as a start would.

    Raises:
        UsageError, ConfigSyntaxError: one is missing or wrong; shows nothing of a key.
    """
    make_upstreams(config)
    listener_tls(config)
    read_keys(config)
    read_key("upstream_key", config.upstream_key)


def run_gateway(
    config: Config,
    *,
    load: Callable[[], Config],
    announce: Callable[[str], None],
    say: Callable[[str], None],
) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        load: reads the configuration anew, for SIGHUP; raises UndamError.
        announce: told the gateway's URL, once, when all workers listen.
        say: told, in one line, what an operator wants to know.

    Returns:
        0 if every stream came to its end, 1 if some were cut.

    Raises:
        UsageError: the address cannot be used, or a file that ``config`` names.
    """
    check_files(config)
    _raise_file_limit()
    states, shared_metrics = WorkerStates(config.workers), SharedMetrics.make(config.workers)
    with contextlib.closing(_bind(config)) as first:
        url = _url(config, first)

        def ready() -> None:
            announce(url)
            notify("READY=1")

        spec = WorkerSpec(
            config=config, load=load, number=0, states=states,
            shared_metrics=shared_metrics, listener=first,
            alone=True, ready=ready, say=say,
        )  # fmt: skip
        if config.workers == 1:
            return run_worker(spec)
        return _run_several(spec, ready)


def _run_several(spec: WorkerSpec, ready: Callable[[], None]) -> int:
    # The first socket only holds the port: connections go to sockets that listen.
    port = spec.listener.getsockname()[1]

    def work(number: int) -> int:
        try:
            with contextlib.closing(_bind(spec.config, port=port)) as own:
                return run_worker(
                    replace(spec, number=number, listener=own, alone=False, ready=_nothing)
                )
        except UndamError as error:
            spec.say(f"worker {number}: {error}")
            return 2

    def accept() -> bool:
        try:
            check_files(spec.load())
        except UndamError as error:
            spec.say(f"the new configuration is refused, the old one stays: {error}")
            return False
        return True

    supervisor = Supervisor(spec.states, work, ready=ready, accept=accept, say=spec.say)
    code = supervisor.run()
    if code == 2:
        raise UsageError("no worker could begin")
    return code


def _nothing() -> None:
    """A worker of several reports to its parent only through `WorkerStates`."""


def _bind(config: Config, *, port: int | None = None) -> socket.socket:
    """A socket that is bound and does not listen yet."""
    host, wanted = config.address
    wanted = wanted if port is None else port
    try:
        found = socket.getaddrinfo(host, wanted, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        sock = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UsageError(f"listen {config.listen}: {error.strerror}") from None
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if config.workers > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise UsageError(f"listen {config.listen}: {error.strerror}") from None
    sock.setblocking(False)
    return sock


def _url(config: Config, sock: socket.socket) -> str:
    host, port = sock.getsockname()[:2]
    return f"{'https' if config.tls_cert else 'http'}://{bracketed(host)}:{port}"


def _raise_file_limit() -> None:
    """Allow as many streams as the system does; many shells start with 1024 files."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
