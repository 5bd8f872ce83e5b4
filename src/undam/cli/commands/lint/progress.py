"""What lint and fix show while they run: on a terminal's standard error only."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from undam.cli.ui.output import console
from undam.cli.ui.sanitize import one_line
from undam.lint.runner import Tell

# The end of a path; with bar and numbers it has room on 80 columns.
_WIDTH = 36


@contextmanager
def lint_progress() -> Iterator[Tell]:
    """A bar on a terminal, nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _path, _done, _all: None
        return
    from rich.markup import escape  # noqa: PLC0415 (only on a terminal)
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (
        TextColumn("reading"),
        BarColumn(20),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda path, done, every: bar.update(
            task, description=escape(one_line(path)[-_WIDTH:]), completed=done, total=every
        )
