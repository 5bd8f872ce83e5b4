"""Output files of a load test: the record, the HTML page and the histogram log."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

from undam.cli.commands.bench.csv_rows import csv_lines, csv_row
from undam.cli.commands.bench.options import BenchOptions
from undam.cli.ui.output import write_atomically
from undam.errors import UsageError
from undam.record import RequestResult, record_lines
from undam.record.request_result_lines import request_result_line
from undam.secrecy import redact_text

if TYPE_CHECKING:
    from undam.cli.commands.bench.live_stats import LiveStats
    from undam.cli.commands.bench.result import BenchResult


class OutputFiles:
    """Output files of one run. A write error does not end the run; ``finish`` returns it.

    Args:
        about: test conditions, without secrets.
        secrets: values that must not be written.

    Raises:
        UsageError: the record cannot be created.
    """

    def __init__(
        self, options: BenchOptions, about: Mapping[str, object], secrets: Sequence[str]
    ) -> None:
        self._options = options
        self._about = about
        self._secrets = tuple(secrets)
        self._error: UsageError | None = None
        self._record: TextIO | None = None
        self._rows: list[tuple[object, ...]] = []
        if options.record is not None:
            try:
                path = Path(options.record)
                self._record = path.open("w", encoding="utf-8")
            except OSError as error:
                raise self._record_error(error) from None
            self._append(record_lines([], about, self._secrets))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    @property
    def needs_results(self) -> bool:
        """Return whether all request results must be kept until the end of the run."""
        several = self._options.sweep is not None or self._options.find_max
        return self._options.html is not None and not several

    def begin_step(self, label: str, about: Mapping[str, object]) -> None:
        """Mark the beginning of a step in the record of a sweep or a search."""
        if self._record is not None:
            line = json.dumps({"kind": "step", "step": label, "about": dict(about)}) + "\n"
            self._append([redact_text(line, self._secrets)])

    def finish_steps(self, report: Mapping[str, Any]) -> UsageError | None:
        """Write the HTML page of a sweep or search. Return the first error; do not raise it."""
        self._close()
        try:
            if self._options.html is not None:
                from undam.report import render_sweep_page  # noqa: PLC0415 (rarely needed)

                write_atomically(self._options.html, [render_sweep_page(report)])
        except UsageError as error:
            self._error = self._error or error
        return self._error

    def write(self, batch: Sequence[RequestResult]) -> None:
        """Append results to the record and the CSV file."""
        self._rows += map(csv_row, batch if self._options.csv is not None else ())
        if self._record is not None:
            self._append(request_result_line(result, self._secrets) for result in batch)

    def finish(self, result: BenchResult, stats: LiveStats) -> UsageError | None:
        """Write the remaining files; return the first error instead of raising it."""
        report = result.json()
        if self._record is not None:
            names = ("interrupted", "planned", "missing_percent", "lost_workers")
            end = {"kind": "end", **{name: report[name] for name in names}}
            self._append([json.dumps(end) + "\n"])
        self._close()
        try:
            if self._options.html is not None:
                from undam.report.page import render_page  # noqa: PLC0415 (rarely needed)

                write_atomically(self._options.html, [render_page(report, stats.kept, self._about)])
            if self._options.csv is not None:
                write_atomically(self._options.csv, csv_lines(self._rows))
            if self._options.hlog is not None:
                from undam.metrics.hlog import hlog_lines  # noqa: PLC0415 (rarely needed)

                write_atomically(self._options.hlog, hlog_lines(result.summary))
        except UsageError as error:
            self._error = self._error or error
        return self._error

    def _append(self, lines: Iterable[str]) -> None:
        assert self._record is not None
        try:
            self._record.writelines(lines)
            self._record.flush()
        except OSError as error:
            # Report the error at once. The user can then free disk space, or end the run, because
            # its results are no longer recorded.
            self._error = self._record_error(error)
            # Closing the file flushes its buffer, which fails again.
            with contextlib.suppress(OSError):
                self._record.close()
            self._record = None
            print(f"undam: {self._error}; the run continues without it", file=sys.stderr)

    def _close(self) -> None:
        if self._record is not None:
            try:
                self._record.close()
            except OSError as error:
                self._error = self._record_error(error)
            self._record = None

    def _record_error(self, error: OSError) -> UsageError:
        return UsageError(f"--record {self._options.record}: {error.strerror or error}")
