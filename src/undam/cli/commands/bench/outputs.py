"""The files of a load test: the record while it runs, a page and a histogram log at its end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TextIO

from undam.cli.ui.output import write_whole
from undam.errors import UsageError
from undam.record import RequestResult, record_lines
from undam.record.request_result_lines import request_result_line

if TYPE_CHECKING:
    from undam.cli.commands.bench.live_stats import LiveStats
    from undam.cli.commands.bench.result import BenchResult


class OutputFiles:
    """What one run writes. A file that fails does not end the run: ``finish`` tells it.

    Args:
        given: the command's parameters.
        about: the conditions, without secrets.
        secrets: what must not be written.

    Raises:
        UsageError: the record cannot be begun.
    """

    def __init__(
        self, given: Mapping[str, object], about: Mapping[str, object], secrets: Sequence[str]
    ) -> None:
        self._paths = {name: given[name] for name in ("record", "html", "hlog")}
        self._about = about
        self._secrets = tuple(secrets)
        self._fault: UsageError | None = None
        self._record: TextIO | None = None
        if self._paths["record"] is not None:
            try:
                path = Path(str(self._paths["record"]))
                self._record = path.open("w", encoding="utf-8")
            except OSError as error:
                raise self._failed("record", error) from None
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
    def wants_all(self) -> bool:
        """Whether the requests themselves are needed at the end."""
        return self._paths["html"] is not None

    def write(self, batch: Sequence[RequestResult]) -> None:
        """Put requests into the record, in the system's hands when this returns."""
        if self._record is not None:
            self._append(request_result_line(one, self._secrets) for one in batch)

    def finish(self, result: BenchResult, stats: LiveStats) -> UsageError | None:
        """Write the rest; a fault is handed back, so that the words are still printed."""
        told = result.json()
        if self._record is not None:
            names = ("interrupted", "planned", "missing_percent", "lost_workers")
            self._append([json.dumps({"kind": "end", **{key: told[key] for key in names}}) + "\n"])
        self._close()
        try:
            if self._paths["html"] is not None:
                from undam.report.page import page  # noqa: PLC0415 (few ask for it)

                write_whole(str(self._paths["html"]), [page(told, stats.kept, self._about)])
            if self._paths["hlog"] is not None:
                from undam.metrics.hlog import hlog_lines  # noqa: PLC0415

                write_whole(str(self._paths["hlog"]), hlog_lines(result.summary))
        except UsageError as error:
            self._fault = self._fault or error
        return self._fault

    def _append(self, lines: Iterable[str]) -> None:
        assert self._record is not None
        try:
            self._record.writelines(lines)
            self._record.flush()
        except OSError as error:
            self._fault = self._failed("record", error)
            self._record = None

    def _close(self) -> None:
        if self._record is not None:
            try:
                self._record.close()
            except OSError as error:
                self._fault = self._failed("record", error)
            self._record = None

    def _failed(self, name: str, error: OSError) -> UsageError:
        return UsageError(f"--{name} {self._paths[name]}: {error.strerror or error}")
