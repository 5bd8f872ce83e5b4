"""`undam compare`: compare two load tests."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

import click

from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.input_lines import read_lines
from undam.cli.ui.output import (
    STDOUT,
    console,
    json_option,
    require_writable,
    write_atomically,
    write_json,
)
from undam.cli.ui.sanitize import one_line
from undam.errors import UsageError
from undam.metrics import (
    DEFAULT_THRESHOLD_PERCENT,
    Change,
    ComparedStatistic,
    Comparison,
    RunInput,
    compare,
    parse_run,
    summarize,
)
from undam.record import read_request_results

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {
    Change.FASTER: "green",
    Change.FEWER: "green",
    Change.SLOWER: "bold red",
    Change.MORE: "bold red",
    Change.MIXED: "yellow",
}
_HEADER = ("", "", "A", "B", "B / A", "within", "verdict")
_UNITS = {"requests_per_second": "/s", "events_per_second": "/s", "failures": "%"}
_SOME_HUNDRED = 300
_LONGER = "use longer runs, or a lower load"
# Keys of the JSON header that do not describe the conditions of the run.
_RECORD_KEYS = {"schema", "kind", "command"}


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1e6),
    default=DEFAULT_THRESHOLD_PERCENT,
    show_default=True,
    metavar="PERCENT",
    help="Exit with 1 if B is worse by more than this percentage and by more than the noise.",
)
@click.option("--html", metavar="FILE", help="Save an HTML page with the ratios.")
@json_option
def command(a: str, b: str, threshold: float, html: str | None, json_to: str | None) -> int:
    """Compare load test B with the baseline A.

    A and B are files written by `undam bench --json FILE` or `undam bench --record FILE`. Each
    ratio has a confidence interval, estimated from the variation within the two runs. Differences
    within the interval are not reported.

    Exit codes: 0 without a regression, 1 with a regression, 2 if the files cannot be compared.
    """
    if json_to not in {None, STDOUT}:
        require_writable(str(json_to), "--json")
    if html is not None:
        require_writable(html, "--html")
    comparison = compare(_read(a), _read(b))
    if html is not None:
        from undam.report import render_comparison_page  # noqa: PLC0415 (rarely needed)

        write_atomically(html, [render_comparison_page(comparison.to_json(threshold))])
    if json_to is not None:
        write_json(comparison.to_json(threshold), json_to)
    if json_to != STDOUT:
        _print(comparison, threshold, console())
    return EXIT_FINDINGS if comparison.regressions(threshold) else EXIT_CLEAN


def _read(path: str) -> RunInput:
    lines = read_lines(path)
    first = next(lines, "")
    if _is_record(first):
        return _from_record(chain([first], lines), path)
    try:
        result = json.loads(first + "".join(lines))
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is neither JSON nor a record of undam bench") from None
    return parse_run(result, path)


def _is_record(line: str) -> bool:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and row.get("kind") == "record"


def _from_record(lines: Iterable[str], path: str) -> RunInput:
    try:
        about, results, truncated_lines, _, damage = read_request_results(lines)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from None
    if not results:
        raise UsageError(f"{path} is a record that contains no requests of a load test")
    conditions: dict[str, Any] = {key: about[key] for key in about.keys() - _RECORD_KEYS}
    result = summarize(results).to_json(about=conditions)
    is_partial = truncated_lines or damage.lines
    return parse_run(result | ({"interrupted": True} if is_partial else {}), path)


def _print(comparison: Comparison, threshold: float, out: Console) -> None:
    for note in comparison.notes:
        out.print(f"note: {one_line(note)}", style="yellow")
    if comparison.notes:
        out.print()
    for letter, side in (("A", comparison.a), ("B", comparison.b)):
        out.print(one_line(f"{letter}  {side.name}: {side.requests} requests"))
    out.print()
    rows = [_HEADER, *_rows(comparison)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
    styles = ["dim", *(_COLOURS.get(row.change) for row in comparison.rows)]
    for style, row in zip(styles, rows, strict=True):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print("  ".join(cells).rstrip(), style=style)
    out.print()
    for line in _conclusion(comparison, threshold):
        out.print(one_line(line))


def _rows(comparison: Comparison) -> Iterator[tuple[str, ...]]:
    shown = ""
    for row in comparison.rows:
        name = "" if row.metric == shown else _name(row.metric)
        shown = row.metric
        within = "-"
        if row.low is not None and row.high is not None:
            within = f"{row.low:.3f} to {row.high:.3f}"
        ratio = "-" if row.ratio is None else f"{row.ratio:.3f}"
        statistic = "" if row.statistic in {"overall", "share"} else row.statistic
        values = (_value(row, row.a), _value(row, row.b))
        yield (name, statistic, *values, ratio, within, row.change.value)


def _name(metric: str) -> str:
    if metric in _UNITS:
        return metric.removesuffix("_per_second").replace("_", " ")
    return metric.upper()


def _value(row: ComparedStatistic, value: float | None) -> str:
    unit = _UNITS.get(row.metric, "ms")
    if value is None:
        return "-"
    return f"{100 * value:.2f} %" if unit == "%" else f"{value:.2f} {unit}".replace(" /s", "/s")


def _conclusion(comparison: Comparison, threshold: float) -> Iterator[str]:
    changes = [(metric, comparison.change_of(metric)) for metric in comparison.metrics]
    unchanged = {Change.SAME, Change.UNKNOWN}
    changed = [f"{_name(metric)} {change}" for metric, change in changes if change not in unchanged]
    measured = {row.metric for row in comparison.rows if row.a is not None and row.b is not None}
    latencies = [(name, change) for name, change in changes if name not in _UNITS]
    unknown = [name for name, change in latencies if change is Change.UNKNOWN and name in measured]
    if changed:
        yield f"B compared with A: {', '.join(changed)}."
    elif all(change is Change.UNKNOWN for _, change in latencies):
        is_short = min(comparison.a.requests, comparison.b.requests) < _SOME_HUNDRED
        remedy = "run some hundred requests each" if is_short else _LONGER
        yield f"Too few independent requests for a comparison: {remedy}."
    elif not unknown:
        yield "No difference beyond the noise."
    if unknown and len(unknown) < len(latencies):
        names = " and ".join(map(_name, unknown))
        yield (
            f"Too little to tell whether {names} differ: requests that wait in a queue are not "
            f"independent; {_LONGER}."
        )
    worse = comparison.regressions(threshold)
    if worse:
        listed = ", ".join(f"{_name(row.metric)} {row.statistic}" for row in worse)
        yield f"Regression of more than {threshold:g} %: {listed}."
