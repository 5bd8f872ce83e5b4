"""`undam mcp`: offer check, explain, lint, tap and the state of a monitor to coding agents."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import click

from undam.cli.main import EXIT_CLEAN
from undam.cli.ui.output import announce, json_option
from undam.cli.ui.target_options import listen_address
from undam.errors import UsageError


@click.command(context_settings={"max_content_width": 100})
@click.option(
    "--listen",
    metavar="HOST:PORT",
    help="Serve Streamable HTTP on this address instead of standard input and output; port 0 picks "
    "a free port. There is no authentication, so use a loopback address.",
)
@click.option(
    "--root",
    default=".",
    show_default=True,
    metavar="DIR",
    help="Folder whose files lint and tap may read.",
)
@click.option(
    "--monitor-config",
    metavar="FILE",
    help="Configuration of the monitor whose state monitor_status shows.",
)
@click.option(
    "--time-limit",
    type=click.FloatRange(1, 300),
    default=300.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit of each tool call.",
)
@json_option
def command(
    listen: str | None, root: str, monitor_config: str | None, time_limit: float,
    json_to: str | None,
) -> int:  # fmt: skip
    """Serve tools for coding agents over the Model Context Protocol (MCP).

    The tools are check, explain, lint, tap (on a capture file) and monitor_status. Each tool call
    runs in its own process, with limits on time, memory and output. lint and tap read only files
    below --root. Secrets are redacted, and keys from the environment are sent only to their
    providers.

    Exit codes: 0 when the client disconnects, 2 if the server could not run.
    """
    if json_to is not None and listen is None:
        raise UsageError("--json needs --listen: without it, standard output carries the protocol")
    address = None if listen is None else listen_address(listen, "127.0.0.1:8765")
    folder = Path(root).resolve()
    if not folder.is_dir():
        raise UsageError(f"--root {root} is not a folder")
    config = None if monitor_config is None else str(Path(monitor_config).resolve())
    try:
        from undam.cli.commands.mcp import server as mcp_server  # noqa: PLC0415 (an extra)
        from undam.cli.commands.mcp.arguments import ToolContext  # noqa: PLC0415
    except ImportError as error:
        raise UsageError(
            f"undam mcp needs the package mcp ({error.name} is missing): pip install 'undam[mcp]'"
        ) from None
    context = ToolContext(folder, config, dict(os.environ))

    def ready(url: str) -> None:
        announce("mcp", url, json_to)

    server = mcp_server.make_server(context, time_limit)
    # SIGTERM and SIGINT are the regular ways to stop a server, so they are not errors.
    with contextlib.suppress(KeyboardInterrupt):
        if address is None:
            asyncio.run(mcp_server.serve_stdio(server))
        else:
            _serve_http(mcp_server.serve_http(server, *address, ready), listen)
    return EXIT_CLEAN


def _serve_http(serving: Coroutine[Any, Any, None], listen: str | None) -> None:
    try:
        asyncio.run(serving)
    except OSError as error:
        raise UsageError(f"cannot listen on {listen}: {error.strerror or error}") from None
