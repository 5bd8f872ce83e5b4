"""`undam check --mcp`: check an MCP server, and print the result."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undam.cli.commands.check.text import print_finding, print_verdict_line
from undam.cli.ui.output import STDOUT, console, write_atomically, write_json
from undam.probe.mcp import DEFAULT_SILENCE_S, McpReport, check_mcp, mcp_json
from undam.probe.options import CheckOptions
from undam.record import record_lines
from undam.rules import Severity

if TYPE_CHECKING:
    from rich.console import Console


def run_mcp(
    options: CheckOptions, json_to: str | None, record: str | None, about: Mapping[str, object]
) -> McpReport:
    """Check the standing stream of an MCP server, and write the result.

    Args:
        about: the header of the record.

    Raises:
        UndamError: the server could not be reached, or the result could not be written.
    """
    longest = DEFAULT_SILENCE_S if options.idle_s is None else options.idle_s
    report = asyncio.run(check_mcp(options, min(longest, options.client.timeout_s)))
    if record is not None:
        write_atomically(record, record_lines(report.exchanges, about, options.secrets))
    if json_to != STDOUT:
        _print(report, console())
    if json_to is not None:
        write_json(mcp_json(report), json_to)
    return report


def _print(report: McpReport, out: Console) -> None:
    seen = report.standing
    worst = next((one for one in report.findings if one.severity is Severity.ERROR), None)
    meaning = worst.message if worst is not None else "the standing stream is open for events"
    if not seen.offered:
        meaning = "the server offers no standing stream"
    print_verdict_line(report.verdict, meaning, out)
    if seen.offered:
        head = "none" if seen.head_ms is None else f"{seen.head_ms:.1f} ms"
        ping = "not answered" if seen.ping_ms is None else f"answered in {seen.ping_ms:.1f} ms"
        out.print()
        out.print(f"  head: {head}, session: {'yes' if seen.has_session else 'no'}, ping: {ping}")
    if seen.head_ms is not None:
        state = (
            f"still open after {seen.observed_s:.1f} s"
            if seen.ended_after_s is None
            else f"ended after {seen.ended_after_s:.1f} s"
        )
        arrived = f"{seen.events} messages, {seen.comments} comments, {seen.server_pings} pings"
        out.print(f"  {state}; {arrived} arrived (none is normal)")
    for found in report.findings:
        out.print()
        print_finding(found, out)
