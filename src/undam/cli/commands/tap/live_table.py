"""Live table of proxies during a capture, shown if standard error is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from undam.cli.ui.output import console
from undam.tap.session import TapSession
from undam.timing import quantile

_ROWS = 12


class NoTable:
    """Display that shows nothing, for use without a terminal."""

    def update(self, session: TapSession) -> None:
        """Show nothing."""


class _ProxyTable(NoTable):
    def __init__(self) -> None:
        from rich.live import Live  # noqa: PLC0415 (only on a terminal)

        self.live = Live(console=console(stderr=True), auto_refresh=False, transient=True)

    def update(self, session: TapSession) -> None:
        self.live.update(_table(session), refresh=True)


def _table(session: TapSession) -> Any:
    from rich.table import Table  # noqa: PLC0415 (only on a terminal)

    stats = session.stats
    title = f"{stats.packets} packets, {stats.streams} streams, {stats.dropped} packets dropped"
    table = Table(title=title, title_justify="left")
    for name in ("proxy", "streams", "verdict", "hold p50", "p99", "max"):
        table.add_column(name)
    rows = sorted(session.proxies.values(), key=lambda one: -one.streams)
    for one in rows[:_ROWS]:
        holds = sorted(one.holds_ns)
        cells = (
            [f"{quantile(holds, q) / 1e6:.1f} ms" for q in (0.5, 0.99, 1.0)] if holds else ["-"] * 3
        )
        table.add_row(str(one.address), str(one.streams), one.verdict.value, *cells)
    return table


@contextmanager
def live_table() -> Iterator[NoTable]:
    """Show the table if standard error is a terminal; otherwise, show nothing."""
    if not sys.stderr.isatty():
        yield NoTable()
        return
    table = _ProxyTable()
    with table.live:
        yield table
