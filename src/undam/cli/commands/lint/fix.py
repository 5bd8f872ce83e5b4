"""`undam fix`: mends what lint finds, as a diff or in place."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import click

from undam.cli.commands.lint import paths_and_json, print_problems
from undam.cli.commands.lint.fix_text import file_diff
from undam.cli.commands.lint.fix_write import replace_text
from undam.cli.commands.lint.json_output import problem_json
from undam.cli.commands.lint.options import lint_options, request_of
from undam.cli.commands.lint.progress import lint_progress
from undam.cli.commands.lint.text import counted
from undam.cli.main import EXIT_CLEAN, EXIT_COULD_NOT_RUN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, require_writable, write_json
from undam.cli.ui.sanitize import one_line
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import fix_sources
from undam.lint.files import STDIN, Problem
from undam.lint.includes import Includes
from undam.lint.runner import Report, Request, Tell, lint_files

_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command()
@lint_options
@click.option("--write", is_flag=True,
              help="Write the files; of standard input the mended text is printed.")  # fmt: skip
@click.option("--unsafe", is_flag=True,
              help="Also make fixes that change more than streaming.")  # fmt: skip
@json_option
def command(
    paths: tuple[str, ...], json_to: str | None, *, write: bool, unsafe: bool, **given: Any
) -> int:
    """Mend what lint finds in PATH: print a diff, or with --write change the files.

    Comments and formatting stay, and a second run changes nothing. A mistake in an included file is
    mended there. Exits 0 if there was nothing to mend, 1 if there was, 2 if a file could not be
    read or written.
    """
    paths, json_to = paths_and_json(paths, json_to)
    if write and STDIN in paths and json_to == STDOUT:
        raise UsageError("--write prints the mended text of standard input; give --json a FILE")
    request = request_of(paths, given)
    if json_to not in {None, STDOUT}:
        require_writable(str(json_to), "--json")
    with lint_progress() as tell:
        report = fix_files(request, tell, unsafe=unsafe)
    changed = report.files.changed
    diffs = {path: list(_diff(report, path)) for path in sorted(changed)}
    written = _write(report, request) if write else set()
    if json_to is not None:
        write_json(_json(report, diffs, written), json_to)
    if write and STDIN in paths:
        _print_stdin(report)
    elif json_to != STDOUT:
        _print(report, diffs, written, write=write)
    print_problems(report)
    if report.problems:
        return EXIT_COULD_NOT_RUN
    return EXIT_FINDINGS if changed else EXIT_CLEAN


def fix_files(request: Request, tell: Tell, *, unsafe: bool) -> Report:
    """Lint, then mend in memory: ``report.files.changed`` has the new texts. Raises UsageError."""
    report = lint_files(request, tell)
    for root in report.roots:
        if not any(one.edits for one in root.linted.diagnostics):
            continue
        open_include = Includes(report.files, root.path, request.folders)
        source = report.files.source(root.path)
        try:
            mended = fix_sources(
                root.dialect, source, root.settings, unsafe=unsafe, open_include=open_include
            )
        except ConfigSyntaxError as error:
            # A file that two others include was mended for the first of them.
            report.problems.append(Problem(root.path, f"cannot be mended whole: {error}"))
            continue
        for path, text in mended.items():
            report.files.change(path, text)
    return report


def _diff(report: Report, path: str) -> Iterator[str]:
    name = "stdin" if path == STDIN else path
    return file_diff(name, report.files.read(path).text, report.files.changed[path])


def _write(report: Report, request: Request) -> set[str]:
    """The files that were written."""
    written: set[str] = set()
    for path, text in report.files.changed.items():
        if path == STDIN:
            continue
        try:
            replace_text(path, report.files.read(path), text, request.folders)
            written.add(path)
        except UsageError as error:
            report.problems.append(Problem(path, str(error).removeprefix(f"{path}: ")))
    return written


def _print(report: Report, diffs: dict[str, list[str]], written: set[str], *, write: bool) -> None:
    out = console()
    if write:
        for path in sorted(written):
            out.print(one_line(f"mended {path}"))
    elif not sys.stdout.isatty():
        for path, lines in diffs.items():
            _print_bytes("".join(lines).encode(report.files.read(path).encoding, "replace"))
        return
    for line in (line for lines in diffs.values() for line in lines if not write):
        out.print(line.removesuffix("\n"), style=_STYLES.get(line[0]))
    out.print(_summary(report, written, write=write))


def _print_stdin(report: Report) -> None:
    """The mended text alone, so that the command is a filter; nothing where it was not read."""
    if STDIN in report.dialects:
        _print_bytes(report.files.read(STDIN).encode(report.files.source(STDIN).text))


def _summary(report: Report, written: set[str], *, write: bool) -> str:
    number = len(written) if write else len(report.files.changed)
    if not number:
        return "nothing to mend"
    return f"{counted(number, 'file')} {'mended' if write else 'to mend; --write does it'}"


def _print_bytes(data: bytes) -> None:
    """As they are, so that they can be applied or saved."""
    try:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    except BrokenPipeError:
        from undam.cli.ui.console import forget_stdout  # noqa: PLC0415 (loads rich)

        forget_stdout()


def _json(report: Report, diffs: dict[str, list[str]], written: set[str]) -> dict[str, object]:
    """Schema 1: every file that a fix changes, with its diff."""
    return {
        "schema": 1,
        "command": "fix",
        "files": [
            {
                "path": path,
                "dialect": report.dialects[path].name,
                "diff": "".join(lines),
                "written": path in written,
            }
            for path, lines in diffs.items()
        ],
        "problems": [problem_json(one) for one in report.problems],
    }
