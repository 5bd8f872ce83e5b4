"""`undam lab`: experiments with real proxies."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN
from undam.cli.ui.output import STDOUT, console, json_option, sparkline_symbols, write_json
from undam.cli.ui.sparkline import legend, sparkline
from undam.errors import UsageError
from undam.lab.scenario import (
    BUFFERED,
    CHECK_TOKENS,
    DIRECT,
    FORMATS,
    GZIPPED,
    MAX_TOKENS,
    READERS,
    UNBUFFERED,
    Measurement,
    Progress,
    ScenarioResult,
    StreamFormat,
    run_scenario,
)

if TYPE_CHECKING:
    from rich.console import Console

_EXPERIMENTS = {
    "article": "200 ms median and 9 s p99 TTFT behind a buffering nginx, and the fix",
    "tap": "a buffering nginx found in captured packets, before and after the fix",
}
_NAMES = {BUFFERED.name: "the classic nginx", GZIPPED.name: "nginx with gzip"}
_SHORT_NAMES = {
    DIRECT.name: "direct",
    BUFFERED.name: "buffered",
    UNBUFFERED.name: "unbuffered",
    GZIPPED.name: "gzip",
}
_WIDTH = 60


@click.command()
@click.argument("experiment", required=False)
@json_option
def command(experiment: str | None, json_to: str | None) -> int:
    """Run EXPERIMENT, or list all experiments."""
    if experiment is None:
        for name, line in _EXPERIMENTS.items():
            click.echo(f"{name:<9}{line}")
        return EXIT_CLEAN
    if experiment not in _EXPERIMENTS:
        known = ", ".join(_EXPERIMENTS)
        raise UsageError(f"unknown experiment {experiment!r}; known experiments: {known}")
    # The default action of SIGTERM would leave the proxies running; SystemExit stops them.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_COULD_NOT_RUN))
    if experiment == "tap":
        return _run_tap(json_to)
    out = console()
    if json_to != STDOUT:
        _introduce(out)
    with _progress() as progress:
        result = run_scenario(progress)
    if json_to is not None:
        write_json(_as_json(result), json_to)
    if json_to != STDOUT:
        _print(result, out)
    return EXIT_CLEAN


def _run_tap(json_to: str | None) -> int:
    """Run the tap experiment in each setup, and print the results."""
    from undam.cli.commands.tap.capture import TapRun  # noqa: PLC0415 (one experiment only)
    from undam.cli.commands.tap.report import print_tap, tap_json  # noqa: PLC0415
    from undam.lab.tap import CLIENTS, SETUPS, run_tap_experiment  # noqa: PLC0415

    out, rows, proxy = console(), [], ""
    for location in SETUPS:
        result = run_tap_experiment(location)
        proxy = result.proxy
        run = TapRun(result.session, "live on lo", is_live=True)
        rows.append({"location": location, "failed": result.failed, "tap": tap_json(run)})
        if json_to != STDOUT:
            title = f"{proxy}, {CLIENTS} clients, {location or 'default configuration'}"
            out.print(title, style="bold")
            print_tap(run, out)
            out.print()
    if json_to is not None:
        row = {"schema": 1, "command": "lab", "experiment": "tap", "proxy": proxy, "rows": rows}
        write_json(row, json_to)
    return EXIT_CLEAN


def _introduce(out: Console) -> None:
    out.print(
        f"Simulated model: first token after about 200 ms, then one per 25 ms; responses of\n"
        f"lognormal length (median 150 tokens, at most {MAX_TOKENS}). {READERS} concurrent readers "
        f"per stream format.\nDuration: about 80 seconds."
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show a progress bar if standard error is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _name, _done, _total: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed} streams ended"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("starting", total=None)
        yield lambda name, done, total: bar.update(
            task, description=f"{_SHORT_NAMES[name]:<10}", completed=done, total=total
        )


def _label(result: ScenarioResult, setup: str) -> str:
    lines = {
        DIRECT.name: "direct, no proxy",
        BUFFERED.name: f"{result.proxy}, classic",
        UNBUFFERED.name: "with proxy_buffering off",
        GZIPPED.name: "with gzip of event streams",
    }
    if result.missing and setup == UNBUFFERED.name:
        return "with buffering off"
    return lines[setup]


def _print(result: ScenarioResult, out: Console) -> None:
    if result.missing:
        out.print(
            f"\nnginx is not available ({result.missing}).\n"
            "A built-in proxy with a 4 KB buffer replaces it."
        )
    for stream_format in FORMATS:
        out.print()
        _print_table(result, stream_format, out)
    out.print()
    _print_timelines(result, out)
    out.print()
    for name, fix in result.fixes:
        first, *more = fix.text.splitlines()
        lead = f"fix for {_NAMES[name]}:  "
        out.print(lead + first, style="green")
        for line in more:
            out.print(" " * len(lead) + line, style="green")


def _print_table(result: ScenarioResult, stream_format: StreamFormat, out: Console) -> None:
    out.print(stream_format.title, style="bold")
    rows = [row for row in result.measurements if row.stream_format == stream_format]
    width = max(len(_label(result, row.setup)) for row in rows)
    out.print(
        f"  {'TTFT, ms':<{width}}  {'p50':>7} {'p90':>7} {'p99':>7}  verdict of undam check",
        style="dim",
    )
    for row in rows:
        p50, p90, p99 = (row.ttft.quantile(q) for q in (0.5, 0.9, 0.99))
        label = _label(result, row.setup)
        verdict = row.report.hops[0].shape.verdict.value
        out.print(f"  {label:<{width}}  {p50:7.0f} {p90:7.0f} {p99:7.0f}  {verdict}{_why(row)}")
        if row.ttft.failed:
            out.print(f"  {'':<{width}}  {row.ttft.failed} readers received no token", style="red")
    out.print(f"  {_ratios(result, stream_format)}")


def _why(row: Measurement) -> str:
    finding = next((f for f in row.report.findings if f.code in {"UD101", "UD102"}), None)
    if finding is None:
        return ""
    block = finding.evidence.get("block_bytes")
    return f", blocks of {block} bytes" if block is not None else ""


def _ratios(result: ScenarioResult, stream_format: StreamFormat) -> str:
    p99 = {
        row.setup: row.ttft.quantile(0.99)
        for row in result.measurements
        if row.stream_format == stream_format
    }
    buffered, unbuffered, direct = p99[BUFFERED.name], p99[UNBUFFERED.name], p99[DIRECT.name]
    return (
        f"p99: buffered / unbuffered = {buffered / unbuffered:.1f}; "
        f"unbuffered / direct = {unbuffered / direct:.2f}"
    )


def _print_timelines(result: ScenarioResult, out: Console) -> None:
    """Print the timeline of the checked stream in each setup."""
    rows = [row for row in result.measurements if row.stream_format == FORMATS[0]]
    end = max(_end_ms(row) for row in rows)
    signs = sparkline_symbols(out)
    width = max(map(len, _SHORT_NAMES.values()))
    out.print(f"one response of {CHECK_TOKENS[FORMATS[0].path]} tokens, over time")
    for row in rows:
        reading = row.report.hops[0].reading
        times = [(event.at_ns - reading.sent_ns) / 1e6 for event in reading.contents]
        out.print(f"  {_SHORT_NAMES[row.setup]:<{width}} |{sparkline(times, end, _WIDTH, signs)}|")
    out.print(f"  {'':<{width}}  {legend(end, _WIDTH, signs)}", style="dim")


def _end_ms(row: Measurement) -> float:
    reading = row.report.hops[0].reading
    return (reading.exchange.ended_ns - reading.sent_ns) / 1e6


def _as_json(result: ScenarioResult) -> dict[str, object]:
    return {
        "schema": 1,
        "command": "lab",
        "experiment": "article",
        "proxy": result.proxy,
        "readers": READERS,
        "rows": [
            {
                "form": row.stream_format.path,
                "path": row.setup,
                "ttft_ms": {
                    "count": len(row.ttft.ttft_ms),
                    **{f"p{q:g}": round(row.ttft.quantile(q / 100), 1) for q in (50, 90, 99)},
                },
                "failed": row.ttft.failed,
                "verdict": row.report.hops[0].shape.verdict.value,
                "release_bytes": row.report.hops[0].shape.release_bytes,
            }
            for row in result.measurements
        ],
        "fixes": [
            {"path": name, "where": fix.where, "text": fix.text} for name, fix in result.fixes
        ],
    }
