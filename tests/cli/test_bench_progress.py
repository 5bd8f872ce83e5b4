"""Progress line of `undam bench`: redrawn in place without escape sequences, never in a pipe."""

from __future__ import annotations

import io
from dataclasses import replace

from undam.cli.commands.bench import progress
from undam.cli.commands.bench.progress import LiveLine, RunPlan, live_text
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


def test_line_has_rate_latencies_errors_and_backlog() -> None:
    metrics = {
        "ttft_p50": 203.4, "ttft_p99": 1350.0, "itl_p50": 20.04, "errors": 2.0,
        "tokens_per_second": 812.4,
    }  # fmt: skip
    text = live_text(10.0, 36, metrics, [STATUS, replace(STATUS, worker=1, late_ns=0)])
    assert text == (
        "10 s 4.0/s, 812 tokens/s, 20 in flight, TTFT 203/1350, ITL 20.0/- ms, 2 errors, "
        "late 2.5 ms, 4 to analyze"
    )
    assert live_text(0.0, 0, {}, []).startswith("0 s 0.0/s, 0 tokens/s, 0 in flight, TTFT -/-")


def test_line_shows_the_part_that_is_done_and_the_time_left() -> None:
    def begin(plan: RunPlan, elapsed_s: float = 10.0) -> str:
        return live_text(elapsed_s, 20, {}, [STATUS], plan=plan)

    assert begin(RunPlan(requests=80)).startswith("10 s (20 of 80, 30 s left) 2.0/s")
    assert begin(RunPlan(duration_s=40)).startswith("10 s (25%, 30 s left) 2.0/s")
    assert begin(RunPlan(duration_s=8)).startswith("10 s (100%, 0 s left)")
    assert live_text(0.0, 0, {}, [], plan=RunPlan(requests=8)).startswith("0 s (0 of 8) 0.0/s")


def test_line_is_redrawn_in_place_and_erased() -> None:
    out = io.StringIO()
    line = LiveLine(out, shown=True)
    due = [line.is_due]
    line.show("a longer line")
    due.append(line.is_due)
    assert due == [True, False], "not redrawn at once"
    line.show("short")
    line.clear()
    line.clear()
    assert out.getvalue() == f"\ra longer line\rshort{' ' * 8}\r{' ' * 5}\r"


def test_line_is_truncated_to_the_terminal() -> None:
    out = io.StringIO()
    LiveLine(out, shown=True).show("x" * 500)
    assert len(out.getvalue()) == progress._DEFAULT_COLUMNS


def test_line_is_not_shown_without_a_terminal() -> None:
    out = io.StringIO()
    line = LiveLine(out, shown=False)
    assert not line.is_due
    line.show("text")
    line.clear()
    assert out.getvalue() == ""
    closed = io.StringIO()
    line = LiveLine(closed, shown=True)
    closed.close()
    line.show("the terminal is gone, but the run continues")
    assert not line.is_due
