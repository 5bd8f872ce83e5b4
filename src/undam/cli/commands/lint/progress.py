"""Progress bar for `undam lint` and `undam fix`, shown if standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from undam.cli.ui.output import console
from undam.cli.ui.sanitize import one_line
from undam.lint.runner import ProgressCallback

# Longer paths are truncated at the start, so that the bar and the counts fit into 80 columns.
_PATH_WIDTH = 36


@contextmanager
def lint_progress() -> Iterator[ProgressCallback]:
    """Show a progress bar if standard error is a terminal."""
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
        yield lambda path, done, total: bar.update(
            task, description=escape(one_line(path)[-_PATH_WIDTH:]), completed=done, total=total
        )
