"""Entry point of `undam gateway`: binds the socket, then runs one worker or a supervisor."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from undam.errors import UndamError, UsageError
from undam.gateway.config.config import Config
from undam.gateway.process.files import check_files
from undam.gateway.process.supervisor import Supervisor, WorkerStates
from undam.gateway.process.systemd import notify
from undam.gateway.process.worker import WorkerSpec, run_worker
from undam.gateway.telemetry.shared_memory import SharedMetrics
from undam.host import raise_file_limit
from undam.wire.url import bracketed


def run_gateway(
    config: Config,
    *,
    load: Callable[[], Config],
    announce: Callable[[str], None],
    log: Callable[[str], None],
) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        load: reads the configuration again, for SIGHUP; raises UndamError.
        announce: called once with the gateway's URL, when all workers listen.
        log: writes one line for the operator.

    Returns:
        0 if every stream ended by itself, 1 if some were cut.

    Raises:
        UsageError: the address or a file in the configuration is not usable.
    """
    check_files(config)
    raise_file_limit()
    with contextlib.closing(_bind(config)) as listener, _removed_at_exit(config.unix_path):
        url = _url(config, listener)

        def ready() -> None:
            announce(url)
            notify("READY=1")

        spec = WorkerSpec(
            config=config,
            load=load,
            number=0,
            states=WorkerStates(config.workers),
            shared_metrics=SharedMetrics.make(config.workers),
            listener=listener,
            supervised=False,
            ready=ready,
            log=log,
        )
        return run_worker(spec) if config.workers == 1 else _supervise(spec)


def _supervise(spec: WorkerSpec) -> int:
    # The socket of ``spec`` only reserves the port and does not listen. Each worker binds its own
    # socket to the port, and the kernel distributes connections between the listening sockets. A
    # Unix socket, in contrast, is shared by the workers.
    shared = bool(spec.config.unix_path)
    port = 0 if shared else spec.listener.getsockname()[1]

    def work(number: int) -> int:
        try:
            own = spec.listener.dup() if shared else _bind(spec.config, port=port)
            with contextlib.closing(own) as listener:
                # A supervised worker reports that it is ready through ``WorkerStates`` only.
                return run_worker(
                    replace(
                        spec,
                        number=number,
                        listener=listener,
                        supervised=True,
                        ready=lambda: None,
                    )
                )
        except UndamError as error:
            spec.log(f"worker {number}: {error}")
            return 2

    def accept_reload() -> bool:
        try:
            check_files(spec.load())
        except UndamError as error:
            spec.log(f"the new configuration is invalid, keeping the old one: {error}")
            return False
        return True

    supervisor = Supervisor(
        spec.states, work, ready=spec.ready, accept_reload=accept_reload, log=spec.log
    )
    code = supervisor.run()
    if code == 2:
        raise UsageError("no worker could start")
    return code


def _bind(config: Config, *, port: int | None = None) -> socket.socket:
    """Return a socket that is bound but does not listen yet."""
    if config.unix_path:
        return _bind_unix(config.unix_path)
    host, configured = config.address
    wanted = configured if port is None else port
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


def _bind_unix(path: str) -> socket.socket:
    """Bind a Unix socket, replacing an existing socket that no process listens on."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if Path(path).is_socket():
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
                try:
                    probe.connect(path)
                except ConnectionRefusedError:
                    Path(path).unlink()
        sock.bind(path)
    except OSError as error:
        sock.close()
        raise UsageError(f"listen unix:{path}: {error.strerror or error}") from None
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def _removed_at_exit(path: str) -> Iterator[None]:
    """Remove the Unix socket at ``path`` on exit; do nothing for an empty path."""
    try:
        yield
    finally:
        if path:
            Path(path).unlink(missing_ok=True)


def _url(config: Config, sock: socket.socket) -> str:
    if config.unix_path:
        return config.listen
    host, port = sock.getsockname()[:2]
    return f"{'https' if config.tls_cert else 'http'}://{bracketed(host)}:{port}"
