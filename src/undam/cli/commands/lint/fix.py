"""`undam fix`: fix the findings of `undam lint`, as a diff or in place."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click

from undam.cli.commands.lint import paths_and_json, print_problems
from undam.cli.commands.lint.json_output import problem_json
from undam.cli.commands.lint.options import lint_options, options_from
from undam.cli.commands.lint.progress import lint_progress
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.numbers import plural
from undam.cli.ui.output import STDOUT, console, json_option, require_writable, write_json
from undam.cli.ui.sanitize import one_line
from undam.errors import UsageError
from undam.lint import FixReport, fix_paths
from undam.lint.files import STDIN

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@lint_options
@click.option("--write", is_flag=True,
              help="Change the files. For standard input, print the fixed text.")  # fmt: skip
@click.option("--unsafe", is_flag=True,
              help="Also apply fixes that change more than streaming.")  # fmt: skip
@click.option("--read-only", is_flag=True,
              help="With --write, also change files that are read-only.")  # fmt: skip
@click.option("--verify", is_flag=True,
              help="With --write, test each fixed configuration with its program (nginx -t, "
              "haproxy -c, …) if that is installed, and restore rejected files. The program loads "
              "all files and modules that the configuration names.")  # fmt: skip
@json_option
def command(
    paths: tuple[str, ...],
    json_to: str | None,
    *,
    write: bool,
    unsafe: bool,
    read_only: bool,
    verify: bool,
    **given: Any,
) -> int:
    """Fix lint findings in PATH: print a diff, or change the files with --write.

    Comments and formatting are preserved, and a second run changes nothing. Included files are
    fixed, too.

    Exit codes: 0 if there is nothing to fix, 1 if fixes were found or applied, 2 if a file could
    not be read or written.
    """
    paths, json_to = paths_and_json(paths, json_to)
    if write and STDIN in paths and json_to == STDOUT:
        raise UsageError(
            "--write prints the fixed text of standard input; use --json FILE for the JSON"
        )
    options = replace(options_from(paths, given), read_only=read_only, verify=verify)
    if json_to not in {None, STDOUT}:
        require_writable(str(json_to), "--json")
    with lint_progress() as on_progress:
        report = fix_paths(
            paths,
            options=options,
            unsafe=unsafe,
            write=write,
            on_progress=on_progress,
        )
    if json_to is not None:
        write_json(_json(report), json_to)
    if write and STDIN in paths:
        _print_stdin(report)
    elif json_to != STDOUT:
        _print(report, write=write)
    print_problems(report.problems)
    if report.problems:
        return EXIT_COULD_NOT_RUN
    return EXIT_FINDINGS if report.changes else EXIT_CLEAN


def _print(report: FixReport, *, write: bool) -> None:
    out = console()
    if write:
        for change in report.changes:
            if change.written:
                out.print(one_line(f"fixed {change.path}"))
    elif not sys.stdout.isatty():
        for change in report.changes:
            _print_bytes("".join(change.diff()).encode(change.encoding, "replace"))
        return
    else:
        for line in (line for change in report.changes for line in change.diff()):
            out.print(line.removesuffix("\n"), style=_STYLES.get(line[0]))
    out.print(_summary(report, write=write))


def _print_stdin(report: FixReport) -> None:
    """Act as a filter: print only the fixed text, or nothing if the input was not linted."""
    if STDIN in report.lint.dialects:
        _print_bytes(report.content(STDIN))


def _summary(report: FixReport, *, write: bool) -> str:
    number = sum(change.written or not write for change in report.changes)
    if not number:
        return "nothing to fix"
    return f"{plural(number, 'file')} {'fixed' if write else 'to fix; run with --write'}"


def _print_bytes(data: bytes) -> None:
    """Write bytes to standard output unchanged, so that a diff can be applied or saved."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        from undam.cli.ui.console import discard_stdout  # noqa: PLC0415 (loads rich)

        discard_stdout()


def _json(report: FixReport) -> dict[str, object]:
    """Return the result in schema 1: each file that a fix changes, and the diff."""
    return {
        "schema": 1,
        "command": "fix",
        "files": [
            {
                "path": change.path,
                "dialect": change.dialect.name,
                "diff": "".join(change.diff()),
                "written": change.written,
            }
            for change in report.changes
        ],
        "problems": [problem_json(problem) for problem in report.problems],
    }
