"""`undam lint`: what in configurations holds or cuts a stream."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from undam.cli.commands.lint.json_output import github_lines, lint_json
from undam.cli.commands.lint.options import lint_options, request_of
from undam.cli.commands.lint.progress import lint_progress
from undam.cli.commands.lint.sarif import lint_sarif
from undam.cli.commands.lint.text import print_report
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, require_writable, write_json
from undam.cli.ui.sanitize import one_line
from undam.lint.runner import Report, lint_files

_FORMATS = ("text", "json", "sarif", "github")


@click.command()
@lint_options
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="What to write to standard output.",
)
@json_option
def command(paths: tuple[str, ...], form: str, json_to: str | None, **given: Any) -> int:
    """Say what in configurations holds or cuts a stream, and what mends it.

    PATH is a file, a folder with all below it, or '-' for standard input. Files that one of them
    includes are linted with it. Exits 0 clean, 1 with errors or warnings, 2 if a file could not be
    read; the others are linted all the same.
    """
    paths, json_to = paths_and_json(paths, json_to)
    request = request_of(paths, given)
    if json_to not in {None, STDOUT}:
        require_writable(str(json_to), "--json")
    with lint_progress() as tell:
        report = lint_files(request, tell)
    if json_to is not None:
        write_json(lint_json(report), json_to)
    if json_to != STDOUT:
        _write(report, form)
    print_problems(report)
    return exit_code(report)


def _write(report: Report, form: str) -> None:
    match form:
        case "json":
            write_json(lint_json(report), STDOUT)
        case "sarif":
            write_json(lint_sarif(report), STDOUT)
        case "github":
            out = console()
            for line in github_lines(report):
                out.print(line)
        case _:
            print_report(report, console())


def print_problems(report: Report) -> None:
    """One line on standard error for each file that could not be linted."""
    for problem in report.problems:
        click.echo(f"undam: {one_line(str(problem))}", err=True)


def exit_code(report: Report) -> int:
    """Of the command; a file that could not be linted goes before findings."""
    if report.problems:
        return EXIT_COULD_NOT_RUN
    return EXIT_FINDINGS if report.has_findings else EXIT_CLEAN


def paths_and_json(
    paths: tuple[str, ...], json_to: str | None
) -> tuple[tuple[str, ...], str | None]:
    """``--json nginx.conf`` means that file, not one to write to: click takes what follows.

    A file is written over only if it is empty or holds JSON of ours.
    """
    if json_to in {None, STDOUT}:
        return paths, json_to
    target = Path(str(json_to))
    if not paths or target.is_dir() or (target.is_file() and not _is_report(target)):
        return (str(json_to), *paths), STDOUT
    return paths, json_to


def _is_report(file: Path) -> bool:
    with file.open("rb") as opened:
        text = opened.read(100)
    return not text or (text.startswith(b"{") and b'"schema"' in text)
