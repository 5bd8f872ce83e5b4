"""`undam monitor`: checks targets continuously and reports changes."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import Any

import click

from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, write_json
from undam.cli.ui.sanitize import one_line
from undam.errors import UsageError


@click.group(invoke_without_command=True, context_settings={"max_content_width": 100})
@click.option(
    "--config",
    "path",
    metavar="FILE",
    default="monitor.toml",
    show_default=True,
    help="Targets, objectives and webhooks, as TOML.",
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
    help="Probe each target once, for cron and CI; exit code 1 if an objective is missed.",
)
@click.option("--check-config", is_flag=True, help="Check the configuration, and exit.")
@click.pass_context
def command(
    context: click.Context, path: str, listen: str, once: bool, check_config: bool
) -> int:  # fmt: skip
    """Check targets continuously, and report when a stream begins to be held.

    Results are kept in an SQLite database, so a restart loses nothing. Probes, changes and problems
    are logged on standard error as JSON lines. SIGHUP reads the configuration again; an invalid one
    is reported, and the old one stays in force.

    Exit code: 0 after a regular end, 1 with --once and a missed objective, 2 if it could not run.
    """
    context.obj = path
    if context.invoked_subcommand is not None:
        return EXIT_CLEAN
    from undam.monitor.settings import read_settings  # noqa: PLC0415 (not needed for --help)

    settings = read_settings(path)
    if check_config:
        click.echo(f"{path}: {len(settings.targets)} targets")
        return EXIT_CLEAN
    service = _service(settings)
    if once:
        return _once(service)
    host, port = _address(listen)
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


def _once(service: Any) -> int:
    results = asyncio.run(service.run_once())
    out, code = console(), EXIT_CLEAN
    for schedule in service.scheduler.schedules.values():
        target = schedule.target
        result = results.get(target.name)
        missed = [one.text for one in service.missed(target)]
        state = (
            "no probe: the budget is used up" if result is None else result.error or result.verdict
        )
        out.print(
            one_line(
                f"{target.name}: {state}" + (f"; missed: {', '.join(missed)}" if missed else "")
            )
        )
        if missed or result is None:
            code = EXIT_FINDINGS
    return code


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


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise UsageError(f"--listen {text}: write HOST:PORT, for instance 127.0.0.1:9464")
    return host.strip("[]") or "0.0.0.0", int(port)


@command.command("log")
@click.option("--target", metavar="NAME", help="Only changes of this target.")
@json_option
@click.pass_context
def log(context: click.Context, target: str | None, json_to: str | None) -> int:
    """Print the confirmed changes, newest first."""
    from undam.monitor.notify import change_json, time_text  # noqa: PLC0415
    from undam.monitor.settings import read_settings  # noqa: PLC0415

    changes = _store(read_settings(context.obj)).changes(target)
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
