"""`undam report`: re-analyze a record and print it as text, JSON or an HTML page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

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
from undam.record import Damage

# Fields in the last line of a load test record.
_END_FIELDS = ("interrupted", "planned", "missing_percent", "lost_workers")
# Result fields that are ignored in a record's header, because they are not test conditions.
_NOT_CONDITIONS = frozenset({"schema", "kind", "slo", "sweep", "nodes", "goodput_percent"})


@click.command(context_settings={"max_content_width": 100})
@click.argument("record", metavar="RECORD")
@click.option("--html", metavar="FILE", help="Write an HTML page with charts (load tests only).")
@json_option
def command(record: str, html: str | None, json_to: str | None) -> int:
    """Re-analyze RECORD, a file written by `undam bench --record` or `undam check --record`.

    A result file from `undam bench --json` is shown again, without a new analysis.

    No request is sent, so a record can be analyzed by a later version of undam, on another machine
    or by someone else. The record of an interrupted load test is analyzed up to its last complete
    line. Damaged lines are skipped, and the loss is reported.

    Exit codes: 0 without errors and warnings, 1 with errors or warnings, 2 if RECORD cannot be
    read.
    """
    for path, option in ((html, "--html"), (json_to, "--json")):
        if path is not None and path != STDOUT:
            require_writable(path, option)
    lines = read_lines(record)
    first = next(lines, "")
    try:
        result = _result_in(first, lines)
        if result is not None:
            return _show(result, html, json_to)
        kind = _command_of(first)
        lines = chain([first] if first else [], lines)
        if kind == "bench":
            if _row(first).get("steps"):
                return _show(_steps_of(lines), html, json_to)
            return _bench(lines, html, json_to)
        if kind == "check":
            if html is not None:
                raise UsageError(
                    "--html works only for load tests; omit it for the record of a check"
                )
            return _check(lines, json_to)
    except UsageError as error:
        raise UsageError(f"{record}: {error}") from None
    raise UsageError(f"{record}: expected the record of a load test or a check, not of {kind!r}")


def _command_of(header: str) -> object:
    """Return the command that wrote the record; the record reader reports a damaged header."""
    row = _row(header)
    return row.get("command") if row.get("kind") == "record" else "check"


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _result_in(first: str, lines: Iterator[str]) -> dict[str, Any] | None:
    """Return the load test result that `undam bench --json` wrote, or ``None`` if it is not one.

    Such a file is one JSON object, whose first line is not an object by itself, or has no kind.
    """
    row = _row(first)
    if not row and first.strip() == "{":
        row = _row("".join([first, *lines]))
    is_result = row.get("command") == "bench" and "kind" not in row
    return row if is_result and ("sweep" in row or "findings" in row) else None


def _steps_of(lines: Iterable[str]) -> dict[str, Any]:
    """Return the result of a sweep or a search from its record, which has a line for each step."""
    from undam.metrics import summarize  # noqa: PLC0415 (slow to load)
    from undam.record import read_request_results  # noqa: PLC0415

    steps: list[tuple[str, list[str]]] = []
    for line in lines:
        row = _row(line)
        if row.get("kind") == "step":
            about = row.get("about")
            header = {**(about if isinstance(about, dict) else {}), "schema": 1, "kind": "record"}
            steps.append((str(row.get("step")), [json.dumps(header) + "\n"]))
        elif steps:
            steps[-1][1].append(line)
    reports = []
    for label, part in steps:
        record = read_request_results(part)
        about = {name: value for name, value in record.about.items() if name != "kind"}
        report = summarize(record.results).to_json(about=about)
        reports.append({"step": label, **report, "command": "bench"})
    return {"schema": 1, "command": "bench", "sweep": reports}


def _show(result: dict[str, Any], html: str | None, json_to: str | None) -> int:
    """Print an already analyzed result as text, JSON or an HTML page."""
    from undam.cli.commands.report.text import print_summary  # noqa: PLC0415 (loads rich)
    from undam.cli.ui.tables import print_table, steps_table  # noqa: PLC0415
    from undam.report import render_page, render_sweep_page  # noqa: PLC0415

    steps = result.get("sweep")
    try:
        if html is not None:
            page = render_page(result) if steps is None else render_sweep_page(result)
            write_atomically(html, [page])
        _write_json(result, json_to)
        if json_to != STDOUT and steps is not None:
            print_table(steps_table(steps), console())
        elif json_to != STDOUT:
            print_summary(result, console())
        runs = [result] if steps is None else steps
        return max((_exit_code(run["findings"], run.get("lost_workers") or ()) for run in runs),
                   default=EXIT_CLEAN)  # fmt: skip
    except (ArithmeticError, LookupError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}"[:120]
        raise UsageError(f"the result is damaged ({reason})") from None


def _bench(lines: Iterable[str], html: str | None, json_to: str | None) -> int:
    from undam.cli.commands.report.text import print_summary  # noqa: PLC0415 (loads rich)
    from undam.metrics import LoadGeneratorStats, summarize  # noqa: PLC0415
    from undam.record import read_request_results  # noqa: PLC0415

    record = read_request_results(lines)
    about = {key: value for key, value in record.about.items() if key not in _NOT_CONDITIONS}
    # A record without its last line is valid but incomplete, because the writer was killed.
    end = record.end or {**dict.fromkeys(_END_FIELDS), "interrupted": True, "lost_workers": []}
    workers = about.get("workers")
    client = LoadGeneratorStats(workers=workers if isinstance(workers, int) else 1)
    result = summarize(record.results).to_json(client, about=about)
    result |= {"command": "bench", **{name: end[name] for name in _END_FIELDS}}
    result["damage"] = record.damage.to_json()
    if html is not None:
        from undam.report import render_page  # noqa: PLC0415

        write_atomically(html, [render_page(result, record.results, about)])
    _write_json(result, json_to)
    if json_to != STDOUT:
        print_summary(result, console())
    _print_damage(record.damage)
    return _exit_code(result["findings"], result["lost_workers"] or ())


def _check(lines: Iterable[str], json_to: str | None) -> int:
    """Analyze only the arrival pattern, because a record does not contain the beacon's clock."""
    from undam.cli.commands.check.text import print_report  # noqa: PLC0415 (loads rich)
    from undam.probe import report_json  # noqa: PLC0415
    from undam.probe.reanalyze import reanalyze  # noqa: PLC0415
    from undam.record import read_check_record  # noqa: PLC0415

    _, exchanges, damage = read_check_record(lines)
    report = reanalyze(exchanges)
    _write_json(report_json(report) | {"damage": damage.to_json()}, json_to)
    if json_to != STDOUT:
        print_report(report, console())
    _print_damage(damage)
    return EXIT_CLEAN if report.is_clean else EXIT_FINDINGS


def _print_damage(damage: Damage) -> None:
    if damage.lines:
        click.echo(f"undam: {one_line(damage.text)}", err=True)


def _write_json(result: Mapping[str, Any], json_to: str | None) -> None:
    if json_to is not None:
        write_json(result, json_to)


def _exit_code(findings: Iterable[Mapping[str, Any]], losses: Iterable[object]) -> int:
    bad = any(one["severity"] in {"error", "warning"} for one in findings)
    return EXIT_FINDINGS if bad or any(losses) else EXIT_CLEAN
