"""A recorded load test in words: what must be said of it, its figures, its conditions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

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


def print_summary(told: Mapping[str, Any], out: Console) -> None:
    """Words for what ``Summary.to_json`` and the record's end told."""
    out.print(one_line(_headline(told)), style="bold")
    for loss in told["lost_workers"] or ():
        said = f"worker {loss['worker']} was lost: {loss['why']}; {loss['missing_percent']:g} % of "
        out.print(one_line(f"error worker-lost {said}the load is missing"), style="bold red")
    for found in told["findings"]:
        out.print(
            f"{found['severity']} {found['code']}", style=_COLOURS[found["severity"]], end=" "
        )
        out.print(f"{found['slug']}: {one_line(found['message'])}")
        if fix := found["fix"]:
            out.print(f"  fix ({one_line(fix['where'])}): {one_line(fix['text'])}", style="green")
    out.print()
    out.print(_row("ms", _COLUMNS), style="dim")
    for key, name in _TIMES:
        out.print(_row(name, [_cell(column, told[key].get(column)) for column in _COLUMNS]))
    out.print()
    for line in _lines(told):
        out.print(f"  {one_line(line)}")


def _headline(told: Mapping[str, Any]) -> str:
    text = f"{told['requests']} requests in {told['duration_s']:.1f} s"
    for name in ("load", "url"):
        if told.get(name):
            text += f", {told[name]}"
    return f"not to its end: {text}" if told["interrupted"] else text


def _row(name: str, cells: Iterable[str]) -> str:
    return f"  {name:<10}" + "".join(f"{cell:>{_WIDTH}}" for cell in cells)


def _cell(column: str, value: float | None) -> str:
    if value is None:
        return "-"
    if column == "count":
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 100 else f"{value:.1f}"


def _lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f"{told['requests_per_second']:.1f} requests/s, {told['events_per_second']:.0f} events/s, "
        f"{told['tokens_per_second']:.0f} tokens/s (tokens from {told['tokens_from']})"
    )
    reads = told["events_per_read"]
    if reads["max"] is not None:
        yield f"events per read: p50 {reads['p50']}, p99 {reads['p99']}, max {reads['max']}"
    yield f"stalls of more than {told['stall_ms']:.0f} ms: {told['stalls']}"
    yield f"errors: {_kinds(told['errors'], told['errors_by_kind'])}"
    yield f"incomplete: {_kinds(told['incomplete'], told['incomplete_by_kind'])}"
    client = told["client"]
    late = client["late_ms_p99"]
    lateness = "nothing read" if late is None else f"late by {late:.2f} ms at p99"
    yield (
        f"the client: {client['clock']} stamps, {lateness}, {client['uncertain_gaps']} uncertain "
        f"gaps, {told['warmup']} of warm-up left out"
    )


def _kinds(many: int, kinds: Mapping[str, int]) -> str:
    named = ", ".join(f"{n} {kind or 'unknown'}" for kind, n in kinds.items())
    return f"{many} ({named})" if named else str(many)
