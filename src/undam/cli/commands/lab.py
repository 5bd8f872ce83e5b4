"""`undam lab`: experiments that show a claim on real proxies."""

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
from undam.lab.article import (
    CHECK_TOKENS,
    DAMMED,
    DIRECT,
    FORMS,
    FREED,
    GZIPPED,
    MAX_TOKENS,
    READERS,
    Form,
    PathResult,
    Progress,
    Result,
    run_article,
)

if TYPE_CHECKING:
    from rich.console import Console

_EXPERIMENTS = {"article": "the 200 ms median and the 9 s tail, behind a real nginx, and freed"}
_NAMES = {DAMMED.name: "the classic nginx", GZIPPED.name: "nginx with gzip"}
_WIDTH = 60


@click.command()
@click.argument("experiment", required=False)
@json_option
def command(experiment: str | None, json_to: str | None) -> int:
    """Run EXPERIMENT, or list them all."""
    if experiment is None:
        for name, line in _EXPERIMENTS.items():
            click.echo(f"{name}  {line}")
        return EXIT_CLEAN
    if experiment not in _EXPERIMENTS:
        known = ", ".join(_EXPERIMENTS)
        raise UsageError(f"there is no experiment {experiment!r}; there is: {known}")
    out = console()
    if json_to != STDOUT:
        _introduce(out)
    # A default SIGTERM would leave the proxies running; SystemExit stops them on its way out.
    signal.signal(signal.SIGTERM, lambda _number, _frame: sys.exit(EXIT_COULD_NOT_RUN))
    with _progress() as tell:
        result = run_article(tell)
    if json_to is not None:
        write_json(_as_json(result), json_to)
    if json_to != STDOUT:
        _print(result, out)
    return EXIT_CLEAN


def _introduce(out: Console) -> None:
    out.print(
        f"A simulated model: first token after about 200 ms, then one each 25 ms; answers of\n"
        f"lognormal length (median 150 tokens, at most {MAX_TOKENS}). {READERS} readers at once, "
        f"in each form.\nTakes about 80 seconds."
    )


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing in a pipe."""
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
            task, description=f"{name:<8}", completed=done, total=total
        )


def _label(result: Result, path: str) -> str:
    lines = {
        DIRECT.name: "direct, no proxy",
        DAMMED.name: f"{result.proxy}, classic",
        FREED.name: "freed: proxy_buffering off",
        GZIPPED.name: "with gzip of event streams",
    }
    if result.missing and path == FREED.name:
        return "freed: the dam passes all on"
    return lines[path]


def _print(result: Result, out: Console) -> None:
    if result.missing:
        out.print(
            f"\nNo real nginx here ({result.missing}); a built-in dam of 4 KB stands in for it."
        )
    for form in FORMS:
        out.print()
        _print_table(result, form, out)
    out.print()
    _print_pictures(result, out)
    out.print()
    for name, fix in result.fixes:
        first, *more = fix.text.splitlines()
        lead = f"what frees {_NAMES[name]}:  "
        out.print(lead + first, style="green")
        for line in more:
            out.print(" " * len(lead) + line, style="green")


def _print_table(result: Result, form: Form, out: Console) -> None:
    out.print(form.title, style="bold")
    rows = [row for row in result.rows if row.form == form]
    width = max(len(_label(result, row.path)) for row in rows)
    out.print(
        f"  {'TTFT, ms':<{width}}  {'p50':>7} {'p90':>7} {'p99':>7}  verdict of undam check",
        style="dim",
    )
    for row in rows:
        p50, p90, p99 = (row.waits.quantile(q) for q in (0.5, 0.9, 0.99))
        label = _label(result, row.path)
        verdict = row.report.hops[0].shape.verdict.value
        out.print(f"  {label:<{width}}  {p50:7.0f} {p90:7.0f} {p99:7.0f}  {verdict}{_why(row)}")
        if row.waits.failed:
            out.print(
                f"  {'':<{width}}  {row.waits.failed} readers saw no token at all", style="red"
            )
    out.print(f"  {_ratios(result, form)}")


def _why(row: PathResult) -> str:
    guilty = next((f for f in row.report.findings if f.code in {"UD101", "UD102"}), None)
    if guilty is None:
        return ""
    block = guilty.evidence.get("block_bytes")
    return f", blocks of {block} bytes" if block is not None else ""


def _ratios(result: Result, form: Form) -> str:
    p99 = {row.path: row.waits.quantile(0.99) for row in result.rows if row.form == form}
    dammed, freed, direct = p99[DAMMED.name], p99[FREED.name], p99[DIRECT.name]
    return f"p99: dammed is {dammed / freed:.1f} x freed; freed is {freed / direct:.2f} x direct"


def _print_pictures(result: Result, out: Console) -> None:
    """The check's own stream in the article's form: before and after."""
    rows = [row for row in result.rows if row.form == FORMS[0]]
    end = max(_end_ms(row) for row in rows)
    signs = sparkline_symbols(out)
    width = max(len(row.path) for row in rows)
    out.print(f"one answer of {CHECK_TOKENS[FORMS[0].path]} tokens, as it comes")
    for row in rows:
        reading = row.report.hops[0].reading
        times = [(seen.at_ns - reading.sent_ns) / 1e6 for seen in reading.contents]
        out.print(f"  {row.path:<{width}} |{sparkline(times, end, _WIDTH, signs)}|")
    out.print(f"  {'':<{width}}  {legend(end, _WIDTH, signs)}", style="dim")


def _end_ms(row: PathResult) -> float:
    reading = row.report.hops[0].reading
    return (reading.exchange.ended_ns - reading.sent_ns) / 1e6


def _as_json(result: Result) -> dict[str, object]:
    return {
        "schema": 1,
        "command": "lab",
        "experiment": "article",
        "proxy": result.proxy,
        "readers": READERS,
        "rows": [
            {
                "form": row.form.path,
                "path": row.path,
                "ttft_ms": {
                    "count": len(row.waits.ttft_ms),
                    **{f"p{q:g}": round(row.waits.quantile(q / 100), 1) for q in (50, 90, 99)},
                },
                "failed": row.waits.failed,
                "verdict": row.report.hops[0].shape.verdict.value,
                "release_bytes": row.report.hops[0].shape.release_bytes,
            }
            for row in result.rows
        ],
        "fixes": [
            {"path": name, "where": fix.where, "text": fix.text} for name, fix in result.fixes
        ],
    }
