"""`undam report`: judge again what was recorded, and show it as words, JSON or a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import click

from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import (
    STDOUT,
    console,
    json_option,
    require_writable,
    write_atomically,
    write_json,
)
from undam.errors import UsageError

# What a load test's last line tells beside its requests.
_TOLD_AT_END = ("interrupted", "planned", "missing_percent", "lost_workers")


@click.command(context_settings={"max_content_width": 100})
@click.argument("record", metavar="RECORD")
@click.option("--html", metavar="FILE", help="Write one page with charts (of a load test).")
@json_option
def command(record: str, html: str | None, json_to: str | None) -> int:
    """Judge RECORD again, as `undam bench --record` or `undam check --record` wrote it.

    Nothing is asked and nothing is sent: what was seen once can be judged by a later version, on
    another machine, or by someone else. Of a load test that did not come to its end, what it had
    measured until then is judged.

    Exits with 0 when all is well, 1 when there is an error or a warning, 2 when RECORD cannot be
    read.
    """
    for path, option in ((html, "--html"), (json_to, "--json")):
        if path is not None and path != STDOUT:
            require_writable(path, option)
    lines = _lines(record)
    try:
        kind = _command_of(lines)
        if kind == "bench":
            return _bench(lines, html, json_to)
        if kind == "check":
            if html is not None:
                raise UsageError("only a load test has a page; leave --html out")
            return _check(lines, json_to)
    except UsageError as error:
        raise UsageError(f"{record}: {error}") from None
    raise UsageError(f"{record}: holds neither a load test nor a check, but {kind!r}")


def _lines(record: str) -> list[str]:
    try:
        with Path(record).open(encoding="utf-8") as file:
            return list(file)
    except UnicodeDecodeError:
        raise UsageError(f"{record} is not UTF-8, so it is not an undam record") from None
    except OSError as error:
        raise UsageError(f"cannot read {record}: {error.strerror or error}") from None


def _command_of(lines: list[str]) -> object:
    """What wrote them; another header is left to the reader, which names what is wrong with it."""
    row = _row(lines[0]) if lines else {}
    return row.get("command") if row.get("kind") == "record" else "check"


def _row(line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return row if isinstance(row, dict) else {}


def _bench(lines: list[str], html: str | None, json_to: str | None) -> int:
    from undam.cli.commands.report.text import print_summary  # noqa: PLC0415 (loads rich)
    from undam.metrics import LoadGeneratorStats, summarize  # noqa: PLC0415
    from undam.record import read_request_results  # noqa: PLC0415

    record = read_request_results(lines)
    about = {key: value for key, value in record.about.items() if key not in {"schema", "kind"}}
    end = _row(lines[-1])
    if end.get("kind") != "end":
        # Whoever wrote it was killed: what is there is right, but it is not all.
        end = {"interrupted": True, "planned": None, "missing_percent": None, "lost_workers": []}
    workers = about.get("workers")
    summary = summarize(record.results)
    told = summary.to_json(LoadGeneratorStats(workers=workers if isinstance(workers, int) else 1))
    told |= {"command": "bench", **{name: end.get(name) for name in _TOLD_AT_END}}
    told |= {name: value for name, value in about.items() if name not in told}
    if html is not None:
        from undam.report import page  # noqa: PLC0415

        write_atomically(html, [page(told, record.results, about)])
    _give(told, json_to)
    if json_to != STDOUT:
        print_summary(told, console())
    return _code(told["findings"], told["lost_workers"] or ())


def _check(lines: list[str], json_to: str | None) -> int:
    """Judge by pattern: a record does not hold the clock of a beacon."""
    from undam.cli.commands.check.text import print_report  # noqa: PLC0415 (loads rich)
    from undam.probe import report_json  # noqa: PLC0415
    from undam.probe.reanalyze import reanalyze  # noqa: PLC0415
    from undam.record import read_record  # noqa: PLC0415

    _, exchanges = read_record(lines)
    report = reanalyze(exchanges)
    told = report_json(report)
    _give(told, json_to)
    if json_to != STDOUT:
        print_report(report, console())
    return EXIT_CLEAN if report.is_clean else EXIT_FINDINGS


def _give(told: Mapping[str, Any], json_to: str | None) -> None:
    if json_to is not None:
        write_json(told, json_to)


def _code(findings: Iterable[Mapping[str, Any]], losses: Iterable[object]) -> int:
    bad = any(one["severity"] in {"error", "warning"} for one in findings)
    return EXIT_FINDINGS if bad or any(losses) else EXIT_CLEAN
