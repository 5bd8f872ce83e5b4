"""`undam lint`: report configuration lines that make a proxy hold or cut a stream."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from undam.cli.commands.lint.json_output import github_lines, lint_json
from undam.cli.commands.lint.options import lint_options, options_from
from undam.cli.commands.lint.progress import lint_progress
from undam.cli.commands.lint.sarif import lint_sarif
from undam.cli.commands.lint.text import print_report
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, require_writable, write_json
from undam.cli.ui.sanitize import one_line
from undam.lint import LintReport, Problem, lint_paths

_FORMATS = ("text", "json", "sarif", "github")


@click.command()
@lint_options
@click.option(
    "--format",
    "output_format",
    type=click.Choice(_FORMATS),
    default="text",
    show_default=True,
    help="Format of the report on standard output.",
)
@json_option
def command(paths: tuple[str, ...], output_format: str, json_to: str | None, **given: Any) -> int:
    """Report proxy configuration lines that hold or cut a stream, and how to fix them.

    PATH is a file, a folder (with all files below it), or '-' for standard input. An included file
    is linted together with the file that includes it.

    Exit codes: 0 without errors and warnings, 1 with errors or warnings, 2 if a file could not be
    read (all other files are still linted).
    """
    paths, json_to = paths_and_json(paths, json_to)
    options = options_from(paths, given)
    if json_to not in {None, STDOUT}:
        require_writable(str(json_to), "--json")
    with lint_progress() as on_progress:
        report = lint_paths(paths, options=options, on_progress=on_progress)
    if json_to is not None:
        write_json(lint_json(report), json_to)
    if json_to != STDOUT:
        _write(report, output_format)
    print_problems(report.problems)
    return exit_code(report)


def _write(report: LintReport, output_format: str) -> None:
    match output_format:
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


def print_problems(problems: Iterable[Problem]) -> None:
    """Print each problem as one line on standard error."""
    for problem in problems:
        click.echo(f"undam: {one_line(str(problem))}", err=True)


def exit_code(report: LintReport) -> int:
    """Return the exit code; problems take precedence over diagnostics."""
    if report.problems:
        return EXIT_COULD_NOT_RUN
    return EXIT_FINDINGS if report.has_faults else EXIT_CLEAN


def paths_and_json(
    paths: tuple[str, ...], json_to: str | None
) -> tuple[tuple[str, ...], str | None]:
    """Treat the value of ``--json nginx.conf`` as a path to lint, not as a file to write.

    Click takes the next argument as the value of the option. A file is overwritten only if it is
    empty or contains a JSON report.
    """
    if json_to in {None, STDOUT}:
        return paths, json_to
    target = Path(str(json_to))
    if not paths or target.is_dir() or (target.is_file() and not _is_report(target)):
        return (str(json_to), *paths), STDOUT
    return paths, json_to


def _is_report(file: Path) -> bool:
    with file.open("rb") as opened:
        beginning = opened.read(100)
    return not beginning or (beginning.startswith(b"{") and b'"schema"' in beginning)
