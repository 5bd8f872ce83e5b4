"""The live line: drawn in place, seldom, without any escape sequence, and silent in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace

from undam.cli.commands.bench import progress as bench_view
from undam.cli.commands.bench.progress import LiveLine, live_text
from undam.loadtest.protocol import Status

STATUS = Status(
    worker=0,
    at_ns=0,
    started=30,
    done=20,
    reported=18,
    late_ns=2_500_000,
    send_late_ns=0,
    cpu_ns=0,
    received_bytes=0,
    backlog_bytes=0,
)


def test_it_says_all_that_matters() -> None:
    figures = {"ttft_p50": 203.4, "ttft_p99": 1350.0, "itl_p50": 20.04, "errors": 2.0}
    text = live_text(10.0, 36, figures, [STATUS, replace(STATUS, worker=1, late_ns=0)])
    assert text == (
        "10 s 4.0/s, 20 in flight, TTFT 203/1350, ITL 20.0/- ms, 2 errors, late 2.5 ms, 4 to judge"
    )
    assert live_text(0.0, 0, {}, []).startswith("0 s 0.0/s, 0 in flight, TTFT -/-")


def test_it_is_drawn_over_itself_and_taken_away() -> None:
    out = io.StringIO()
    line = LiveLine(out, shown=True)
    due = [line.is_due]
    line.show("a longer line")
    due.append(line.is_due)
    assert due == [True, False], "not again at once"
    line.show("short")
    line.clear()
    line.clear()
    assert out.getvalue() == f"\ra longer line\rshort{' ' * 8}\r{' ' * 5}\r"


def test_it_fits_the_terminal() -> None:
    out = io.StringIO()
    LiveLine(out, shown=True).show("x" * 500)
    assert len(out.getvalue()) == bench_view._USUAL_COLUMNS


def test_nobody_looks() -> None:
    out = io.StringIO()
    line = LiveLine(out, shown=False)
    assert not line.is_due
    line.show("text")
    line.clear()
    assert out.getvalue() == ""
    closed = io.StringIO()
    line = LiveLine(closed, shown=True)
    closed.close()
    line.show("the terminal is gone, the run goes on")
    assert not line.is_due
