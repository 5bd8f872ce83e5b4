"""`undam monitor`: check targets continuously and report changes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.numbers import plural
from undam.cli.ui.output import STDOUT, console, json_option, write_json
from undam.cli.ui.sanitize import one_line
from undam.cli.ui.target_options import listen_address
from undam.errors import UsageError


@click.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option(
    "--config",
    "path",
    metavar="FILE",
    default="monitor.toml",
    show_default=True,
    help="TOML file with targets, objectives and webhooks.",
)
@click.option(
    "--listen",
    default="127.0.0.1:9464",
    show_default=True,
    metavar="HOST:PORT",
    help="Address of /metrics, /probe, /healthz and the pages; port 0 picks a free one.",
)
@click.option(
    "--once",
    is_flag=True,
    help="Probe each target once, for cron and CI; exit with 1 if an objective is missed.",
)
@click.option("--check-config", is_flag=True, help="Check the configuration, and exit.")
@json_option
@click.pass_context
def command(
    context: click.Context, path: str, listen: str, once: bool, check_config: bool,
    json_to: str | None,
) -> int:  # fmt: skip
    """Check targets continuously, and report when a stream starts being held.

    Results are stored in an SQLite database, so they survive a restart. Probes, changes and
    problems are logged to standard error as JSON lines. SIGHUP reloads the configuration. If the
    new configuration is invalid, this is reported, and the old one stays in force.

    Exit codes: 0 on normal exit, 1 if an objective is missed with --once, 2 if the monitor could
    not run.
    """
    context.obj = path
    if context.invoked_subcommand is not None:
        return EXIT_CLEAN
    from undam.monitor.settings import read_settings  # noqa: PLC0415 (not needed for --help)

    settings = read_settings(path)
    if check_config:
        if json_to is not None:
            names = [one.name for one in settings.targets]
            write_json({"schema": 1, "command": "monitor", "targets": names}, json_to)
        if json_to != STDOUT:
            click.echo(f"{path}: {plural(len(settings.targets), 'target')}")
        return EXIT_CLEAN
    if json_to is not None and not once:
        raise UsageError("--json belongs to --once and --check-config; a running monitor logs JSON")
    service = _service(settings)
    if once:
        return _once(service, json_to)
    host, port = listen_address(listen, "127.0.0.1:9464")
    asyncio.run(_serve(service, path, host, port))
    return EXIT_CLEAN


def _service(settings: Any) -> Any:
    from undam.monitor.service import MonitorService, Pages  # noqa: PLC0415
    from undam.report import render_overview_page, render_target_page  # noqa: PLC0415

    store = _store(settings)
    pages = Pages(render_overview_page, render_target_page)
    return MonitorService(settings, store, pages, lambda text: click.echo(one_line(text), err=True))


def _store(settings: Any) -> Any:
    import sqlite3  # noqa: PLC0415

    from undam.monitor.store import Store  # noqa: PLC0415

    try:
        return Store(settings.state, settings.retention_days)
    except (sqlite3.Error, OSError) as error:
        raise UsageError(f"cannot open the database {settings.state}: {error}") from None


@contextlib.contextmanager
def _reading(settings: Any) -> Iterator[Any]:
    """Open the store for reading, while a monitor may be writing to it."""
    import sqlite3  # noqa: PLC0415

    from undam.monitor.store import Store  # noqa: PLC0415

    try:
        with contextlib.closing(
            Store(settings.state, settings.retention_days, is_reader=True)
        ) as store:
            yield store
    except sqlite3.Error as error:
        raise UsageError(
            f"cannot read the database {settings.state}: {error}; a monitor creates it when it"
            " starts"
        ) from None


def _once(service: Any, json_to: str | None) -> int:
    results = asyncio.run(service.run_once())
    rows: list[dict[str, Any]] = []
    for schedule in service.scheduler.schedules.values():
        result = results.get(schedule.target.name)
        rows.append(
            {
                "target": schedule.target.name,
                "verdict": None if result is None else result.verdict,
                "error": "the budget is used up" if result is None else result.error,
                "ttft_ms": None if result is None else result.ttft_ms,
                "missed": [one.text for one in service.missed(schedule.target)],
            }
        )
    if json_to is not None:
        write_json({"schema": 1, "command": "monitor", "targets": rows}, json_to)
    if json_to != STDOUT:
        out = console()
        for row in rows:
            missed = f"; missed: {', '.join(row['missed'])}" if row["missed"] else ""
            out.print(one_line(f"{row['target']}: {row['error'] or row['verdict']}{missed}"))
    is_met = all(row["verdict"] is not None and not row["missed"] for row in rows)
    return EXIT_CLEAN if is_met else EXIT_FINDINGS


async def _serve(service: Any, path: str, host: str, port: int) -> None:
    from undam.monitor.service import serve  # noqa: PLC0415
    from undam.monitor.settings import read_settings  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(
        serve(service, host, port, lambda url: click.echo(f"listening on {url}"))
    )

    def reload() -> None:
        try:
            service.use(read_settings(path))
        except UsageError as error:
            service.problem(f"the configuration was not changed: {error}")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.cancel)
    loop.add_signal_handler(signal.SIGHUP, reload)
    with contextlib.suppress(asyncio.CancelledError):
        try:
            await running
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None


@command.command("status")
@click.option("--target", metavar="NAME", help="Show only this target.")
@json_option
@click.pass_context
def status(context: click.Context, target: str | None, json_to: str | None) -> int:
    """Print each target's last probe, missed objectives and last change.

    The state is read from the database, so no monitor needs to be running.

    Exit codes: 0 if all targets meet their objectives, 1 if a target does not, 2 if the command
    could not run.
    """
    from undam.monitor.settings import read_settings  # noqa: PLC0415
    from undam.monitor.state import state_of_targets  # noqa: PLC0415

    settings = read_settings(context.obj)
    chosen = [one for one in settings.targets if target in {None, one.name}]
    if not chosen:
        raise UsageError(f"--target {target}: the configuration has no target with this name")
    with _reading(settings) as store:
        rows = state_of_targets(chosen, store, time.time())
    if json_to is not None:
        write_json({"schema": 1, "command": "monitor status", "targets": rows}, json_to)
    if json_to != STDOUT:
        out = console()
        for row in rows:
            out.print(one_line(_status_line(row)))
    met = all(row["verdict"] is not None and not row["missed"] for row in rows)
    return EXIT_CLEAN if met else EXIT_FINDINGS


def _status_line(row: Mapping[str, Any]) -> str:
    text = f"{row['target']}: {row['error'] or row['verdict'] or 'not probed yet'}"
    if row["at"] is not None:
        text += f" at {row['at']}"
    if row["ttft_ms"] is not None:
        text += f", TTFT {row['ttft_ms']:.0f} ms"
    if row["missed"]:
        text += f"; missed: {', '.join(row['missed'])}"
    if row["last_change"] is not None:
        text += f"; since {row['last_change']['since']}: {row['last_change']['text']}"
    return text


@command.command("log")
@click.option("--target", metavar="NAME", help="Show only changes of this target.")
@json_option
@click.pass_context
def log(context: click.Context, target: str | None, json_to: str | None) -> int:
    """Print the confirmed changes, newest first."""
    from undam.monitor.notify import change_json, time_text  # noqa: PLC0415
    from undam.monitor.settings import read_settings  # noqa: PLC0415

    with _reading(read_settings(context.obj)) as store:
        changes = store.changes(target)
    if json_to is not None:
        rows = [change_json(one) for one in changes]
        write_json({"schema": 1, "command": "monitor log", "changes": rows}, json_to)
    if json_to != STDOUT:
        out = console()
        for one in changes:
            out.print(one_line(f"{time_text(one.at_s)}  {one.target}: {one.text}"))
        if not changes:
            out.print("no changes")
    return EXIT_CLEAN
