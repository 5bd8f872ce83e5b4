"""Progress display for a check, on standard error if standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from undam.cli.ui.output import console
from undam.cli.ui.sanitize import one_line
from undam.probe import Place, Progress
from undam.timing import Arrival


class _Live(Progress):
    def __init__(self) -> None:
        from rich.status import Status  # noqa: PLC0415 (only on a terminal)
        from rich.text import Text  # noqa: PLC0415

        self.status = Status("sending", console=console(stderr=True))
        self._text = Text
        self._reads = 0
        self._bytes = 0

    def started(self, place: Place) -> None:
        self._reads = self._bytes = 0
        self._show(f"{place.name}: waiting for the first byte")

    def arrived(self, place: Place, arrival: Arrival) -> None:
        self._reads += 1
        self._bytes += len(arrival.data)
        self._show(f"{place.name}: {self._reads} reads, {self._bytes} bytes")

    def waiting(self, what: str, seconds: float) -> None:
        self._show(f"{what}: about {seconds:.0f} s")

    def _show(self, text: str) -> None:
        # Rich would parse a plain str as markup, and a hop name may contain any characters.
        self.status.update(self._text(one_line(text)))


@contextmanager
def live_progress() -> Iterator[Progress]:
    """Show progress on a terminal; show nothing in a pipe."""
    if not sys.stderr.isatty():
        yield Progress()
        return
    live = _Live()
    with live.status:
        yield live
