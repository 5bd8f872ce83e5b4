"""Time slices from a run's summary, for charts without individual requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undam.report.axes import Scale, for_durations, linear
from undam.report.chart import LEFT, duration_rows, no_content_note, text, with_title
from undam.report.markup import Child, Markup, element, format_ms, px


@dataclass(frozen=True, slots=True)
class Slice:
    """Time slice; times are in seconds since the first intended start."""

    start_s: float
    end_s: float
    started: int
    ended: int
    failed: int
    ttft_ms: float | None
    late_ms: float


def slices_of(summary: Mapping[str, Any]) -> list[Slice]:
    """Return the time slices in the summary; empty if it has no timeline."""
    line = summary.get("timeline") or {}
    width_s = line.get("width_ms", 0.0) / 1000
    rows = [dict(zip(line["columns"], row, strict=True)) for row in line.get("rows", ())]
    return [
        Slice(
            # The first slice may start before the first request, but the chart does not.
            start_s=max(0.0, row["at_ms"] / 1000),
            end_s=row["at_ms"] / 1000 + width_s,
            started=row["started"],
            ended=row["ended"],
            failed=row["failed"],
            ttft_ms=row["ttft_p50_ms"],
            late_ms=row["late_ms"],
        )
        for row in rows
    ]


def medians(slices: Sequence[Slice], x: Scale, top: float, bottom: float) -> list[Child]:
    """Return one mark per slice at its median TTFT."""
    known = [(one, one.ttft_ms) for one in slices if one.ttft_ms is not None]
    if not known:
        return [no_content_note(top, bottom)]
    values = sorted(ttft for _, ttft in known)
    y = for_durations(values, values[len(values) // 2], bottom, top)
    marks = (
        with_title(
            "path",
            f"{one.start_s:.2f} s: TTFT p50 {format_ms(ttft)} of {one.started} requests",
            d=f"M{px(x(one.start_s))} {px(y(ttft))}H{px(x(one.end_s))}",
            class_="curve ttft",
        )
        for one, ttft in known
    )
    return [duration_rows(y), element("g", *marks)]


def in_flight(slices: Sequence[Slice]) -> list[tuple[float, float, int]]:
    """Return (start, end, maximum number of requests in flight) for each slice."""
    now, rows = 0, []
    for one in slices:
        rows.append((one.start_s, one.end_s, now + one.started))
        now += one.started - one.ended
    return rows


def lateness(
    slices: Sequence[Slice], x: Scale, offset_s: float, top: float, bottom: float
) -> list[Child]:
    """Return one bar per slice: the longest time that data waited for the load generator."""
    most = max(one.late_ms for one in slices)
    # The axis has a minimum range, so that delays of some microseconds appear small.
    y = linear(max(most, 2.0), bottom, top)
    bars = (_bar(one, x, y, offset_s) for one in slices if one.late_ms > 0)
    title = f"Longest wait of a read for the load generator, at most {format_ms(most)}"
    return [
        text(LEFT, top - 12, title, class_="name"),
        duration_rows(y, 2),
        element("g", *bars),
    ]


def _bar(one: Slice, x: Scale, y: Scale, offset_s: float) -> Markup:
    left, right = x(one.start_s + offset_s), x(one.end_s + offset_s)
    return with_title(
        "rect",
        f"{one.start_s + offset_s:.2f} s: {format_ms(one.late_ms)}",
        x=left,
        y=y(one.late_ms),
        width=max(0.8, right - left - 0.4),
        height=y(0) - y(one.late_ms),
        class_="lateness",
    )
