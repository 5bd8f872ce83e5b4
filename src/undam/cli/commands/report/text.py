"""Text output for a recorded load test: findings, metrics and conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from undam.cli.ui.numbers import plural
from undam.cli.ui.sanitize import one_line

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"error": "bold red", "warning": "yellow", "info": "cyan"}
_TIMES = (
    ("ttft_ms", "TTFT"),
    ("itl_ms", "ITL"),
    ("tpot_ms", "TPOT"),
    ("e2e_ms", "E2E"),
    ("send_delay_ms", "send delay"),
)
_COLUMNS = ("count", "p50", "p90", "p95", "p99", "p99.9", "max", "mean")
_WIDTH = 9


def print_summary(result: Mapping[str, Any], out: Console) -> None:
    """Print the result of ``Summary.to_json``, merged with the fields of the last line."""
    out.print(one_line(_headline(result)), style="bold")
    for loss in result["lost_workers"] or ():
        text = (
            f"error worker-lost worker {loss['worker']} was lost: {loss['why']}; "
            f"{loss['missing_percent']:g} % of the load is missing"
        )
        out.print(one_line(text), style="bold red")
    for finding in result["findings"]:
        out.print(
            f"{finding['severity']} {finding['code']}", style=_COLOURS[finding["severity"]], end=" "
        )
        out.print(f"{finding['slug']}: {one_line(finding['message'])}")
        if fix := finding["fix"]:
            out.print(f"  fix ({one_line(fix['where'])}): {one_line(fix['text'])}", style="green")
    out.print()
    out.print(_row("ms", _COLUMNS), style="dim")
    for key, name in _TIMES:
        out.print(_row(name, [_cell(column, result[key].get(column)) for column in _COLUMNS]))
    out.print()
    for line in _lines(result):
        out.print(f"  {one_line(line)}")


def _headline(result: Mapping[str, Any]) -> str:
    text = f"{result['requests']} requests in {result['duration_s']:.1f} s"
    for name in ("load", "url"):
        if result.get(name):
            text += f", {result[name]}"
    return f"interrupted: {text}" if result["interrupted"] else text


def _row(name: str, cells: Iterable[str]) -> str:
    return f"  {name:<10}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column == "count":
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    steady = result.get("steady") or {}
    if steady.get("requests_per_second") is not None:
        yield (
            f"{steady['requests_per_second']:.1f} requests/s, "
            f"{steady['tokens_per_second']:.0f} tokens/s in the steady state from "
            f"{steady['start_s']:.1f} to {steady['end_s']:.1f} s"
        )
    yield (
        f"{result['requests_per_second']:.1f} requests/s, "
        f"{result['events_per_second']:.0f} events/s, "
        f"{result['tokens_per_second']:.0f} tokens/s (tokens from {result['tokens_from']})"
    )
    reads = result["events_per_read"]
    if reads["max"] is not None:
        yield f"events per read: p50 {reads['p50']}, p99 {reads['p99']}, max {reads['max']}"
    yield f"stalls of more than {result['stall_ms']:.0f} ms: {result['stalls']}"
    yield f"errors: {_kinds(result['errors'], result['errors_by_kind'])}"
    yield f"incomplete: {_kinds(result['incomplete'], result['incomplete_by_kind'])}"
    client = result["client"]
    late = client["late_ms_p99"]
    lateness = "no reads" if late is None else f"reads late by {late:.2f} ms (p99)"
    yield (
        f"load generator: {client['clock']} timestamps, {lateness}, "
        f"{plural(client['uncertain_gaps'], 'uncertain gap')}, "
        f"{plural(result['warmup'], 'warm-up request')} excluded"
    )


def _kinds(total: int, kinds: Mapping[str, int]) -> str:
    named = ", ".join(f"{n} {kind or 'unknown'}" for kind, n in kinds.items())
    return f"{total} ({named})" if named else str(total)
