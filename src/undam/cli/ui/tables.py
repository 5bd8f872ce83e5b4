"""Tables of load test results in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from undam.cli.ui.sanitize import one_line

if TYPE_CHECKING:
    from rich.console import Console


def print_table(rows: Sequence[Sequence[str]], out: Console) -> None:
    """Print rows in columns; the first row is the header."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for number, row in enumerate(rows):
        first, *rest = (
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        out.print("  " + "  ".join([first, *rest]), style="dim" if number == 0 else None)


def times_cell(column: str, value: float | None) -> str:
    """Format a statistic: "count" as a number, all others as a time in ms."""
    if value is None:
        return "-"
    if column == "count":
        return f"{value:.0f}"
    return f"{value:.2f}" if value < 100 else f"{value:.1f}"


def steps_table(reports: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """Return a table row for each step of a sweep or search, from the results of the steps."""
    rows: list[tuple[str, ...]] = [
        ("load", "requests", "req/s", "tokens/s", "TTFT p50", "p99", "ITL p50", "p99", "failed",
         "slo"),
    ]  # fmt: skip
    for report in reports:
        ttft, itl, slos = report["ttft_ms"], report["itl_ms"], report.get("slo") or ()
        steady = report["steady"]
        rates = report if steady["requests_per_second"] is None else steady
        rows.append(
            (
                one_line(str(report["step"])),
                str(report["requests"]),
                f"{rates['requests_per_second']:.1f}",
                f"{rates['tokens_per_second']:.0f}",
                *(times_cell("", row.get(q)) for row in (ttft, itl) for q in ("p50", "p99")),
                str(report["errors"] + report["incomplete"]),
                ("met" if all(one["met"] for one in slos) else "missed") if slos else "-",
            )
        )
    return rows
