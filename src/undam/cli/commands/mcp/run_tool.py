"""Execution of one tool in a separate process, with limits on time and result size."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import undam
from undam.cli.commands.mcp.arguments import ToolArguments, ToolContext
from undam.errors import UsageError
from undam.secrecy import redact_text, redact_value, secrets_in

MAX_TEXT_CHARACTERS = 40_000
MAX_JSON_CHARACTERS = 120_000
_MAX_OUTPUT_BYTES = 4 << 20
_MAX_JSON_BYTES = 64 << 20
_PROCESS = "undam.cli.commands.mcp.confinement"


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Result of a tool call.

    Args:
        text: the text that the command prints.
        report: the JSON that the command prints; ``None`` after a failure.
    """

    text: str
    report: dict[str, object] | None


async def run_tool(arguments: ToolArguments, context: ToolContext, seconds: float) -> ToolResult:
    """Run a tool's command, and return the result without secrets.

    Args:
        seconds: time limit; the lower of this limit and that of the tool applies.
    """
    limit = min(seconds, arguments.max_seconds)
    environ = {**arguments.environ(context), "NO_COLOR": "1", "PYTHONPATH": _module_path(context)}
    secrets = _secrets(arguments, environ, context)
    with tempfile.TemporaryDirectory(prefix="undam-mcp-") as name:
        folder = Path(name)
        report_file = folder / "report.json"
        try:
            command = arguments.command(context, folder)
        except UsageError as error:
            return ToolResult(redact_text(str(error), secrets), None)
        root = str(context.root) if arguments.reads_files else ""
        first, *rest = _with_json(command, report_file)
        # Without -P, a module below the root could replace a standard library module.
        argv = [sys.executable, "-P", "-m", _PROCESS, f"{limit:g}", root, name, first, *rest]
        out, err = await _output(argv, str(context.root), environ, limit)
        report = _read_report(report_file)
    problem = redact_text(_last_lines(err), secrets)
    if report is None:
        return ToolResult(problem or "the command printed no result", None)
    text = redact_text(out, secrets)
    if len(text) > MAX_TEXT_CHARACTERS:
        text = f"{text[:MAX_TEXT_CHARACTERS]}\n[cut after {MAX_TEXT_CHARACTERS} characters]"
    if problem:
        text = f"{text}\n{problem}"
    redacted = redact_value(report, secrets)
    assert isinstance(redacted, dict)
    return ToolResult(text.strip() or "no output", shortened(redacted, MAX_JSON_CHARACTERS))


def shortened(report: dict[str, object], limit: int) -> dict[str, object]:
    """Truncate long lists and texts of a report until its JSON has at most ``limit`` bytes.

    The field ``shortened_to`` states the number of items that each list may have.
    """
    if len(json.dumps(report)) <= limit:
        return report
    for items in (200, 50, 20, 5, 1):
        cut = _cut(report, items)
        assert isinstance(cut, dict)
        found = {**cut, "shortened_to": items}
        if len(json.dumps(found)) <= limit:
            return found
    return {
        **{key: one for key, one in report.items() if isinstance(one, bool | int | float)},
        "command": report.get("command"),
        "shortened_to": 0,
    }


def _cut(value: object, items: int) -> object:
    if isinstance(value, str):
        most = 100 * items
        return value if len(value) <= most else f"{value[:most]}…"
    if isinstance(value, list):
        return [_cut(one, items) for one in value[:items]]
    if isinstance(value, dict):
        return {key: _cut(one, items) for key, one in list(value.items())[: 20 * items]}
    return value


def _secrets(
    arguments: ToolArguments, environ: dict[str, str], context: ToolContext
) -> tuple[str, ...]:
    """Return all secrets that a result must not contain: those of the call and of the server."""
    variables = [*context.environ.items(), *environ.items()]
    proxies = [one for name, one in variables if name.lower().endswith("_proxy")]
    return (*arguments.secrets(), *secrets_in(variables, proxies))


def _module_path(context: ToolContext) -> str:
    """Return PYTHONPATH without relative folders, which would resolve below the root."""
    given = context.environ.get("PYTHONPATH", "").split(os.pathsep)
    source = str(Path(undam.__file__).resolve().parents[1])
    return os.pathsep.join([source, *(one for one in given if Path(one).is_absolute())])


def _with_json(command: list[str], report_file: Path) -> list[str]:
    """Return the command with ``--json FILE`` added at the end of the options."""
    end = command.index("--") if "--" in command else len(command)
    return [*command[:end], f"--json={report_file}", *command[end:]]


async def _output(
    argv: list[str], folder: str, environ: dict[str, str], seconds: float
) -> tuple[str, str]:
    """Return standard output and standard error of a process; kill it at its time limit."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=folder,
        env=environ,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    texts = asyncio.gather(_bounded(process.stdout), _bounded(process.stderr))
    try:
        async with asyncio.timeout(seconds):
            out, err = await texts
            await process.wait()
    except TimeoutError:
        return "", f"undam: the tool was stopped after {seconds:g} s"
    finally:
        # The session also contains the processes that the command started.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return out, err


async def _bounded(stream: asyncio.StreamReader) -> str:
    """Read a stream to its end, but keep and return only its beginning."""
    kept = bytearray()
    while data := await stream.read(1 << 16):
        if len(kept) < _MAX_OUTPUT_BYTES:
            kept += data
    return kept.decode("utf-8", "replace")


def _read_report(path: Path) -> dict[str, object] | None:
    try:
        if path.stat().st_size > _MAX_JSON_BYTES:
            return None
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) else None


def _last_lines(text: str) -> str:
    """Return the messages that a command printed; a traceback is reduced to its last line."""
    lines: Iterable[str] = [line for line in text.splitlines() if line.strip()]
    chosen = [line for line in lines if line.startswith("undam: ")]
    return "\n".join((chosen or list(lines)[-1:])[:20])
