"""The run in slices of time, as the summary tells them: for runs whose requests are not all kept,
and for what only the slices tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from undam.report.axes import Scale, for_durations, linear
from undam.report.chart import LEFT, duration_rows, nothing_came, text, with_title
from undam.report.markup import Child, Markup, element, figure_ms, number


@dataclass(frozen=True, slots=True)
class Slice:
    """One of them; times in seconds from when the first counted request was due."""

    start_s: float
    end_s: float
    started: int
    ended: int
    failed: int
    ttft_ms: float | None
    late_ms: float


def slices_of(summary: Mapping[str, Any]) -> list[Slice]:
    """Those in which anything was; none where the summary has no timeline."""
    line = summary.get("timeline") or {}
    width_s = line.get("width_ms", 0.0) / 1000
    rows = [dict(zip(line["columns"], row, strict=True)) for row in line.get("rows", ())]
    return [
        Slice(
            # The first slice may begin before the first request.
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
    """The median TTFT of each, with a title each."""
    told = [(one, one.ttft_ms) for one in slices if one.ttft_ms is not None]
    if not told:
        return [nothing_came(top, bottom)]
    values = sorted(ttft for _, ttft in told)
    y = for_durations(values, values[len(values) // 2], bottom, top)
    marks = (
        with_title(
            "path",
            f"{one.start_s:.2f} s: TTFT p50 {figure_ms(ttft)} of {one.started} requests",
            d=f"M{number(x(one.start_s))} {number(y(ttft))}H{number(x(one.end_s))}",
            class_="curve ttft",
        )
        for one, ttft in told
    )
    return [duration_rows(y), element("g", *marks)]


def in_flight(slices: Sequence[Slice]) -> list[tuple[float, float, int]]:
    """How many were under way within each, at most: (from, to, requests)."""
    now, rows = 0, []
    for one in slices:
        rows.append((one.start_s, one.end_s, now + one.started))
        now += one.started - one.ended
    return rows


def lateness(
    slices: Sequence[Slice], x: Scale, offset_s: float, top: float, bottom: float
) -> list[Child]:
    """The longest that a read waited for this client, slice by slice."""
    most = max(one.late_ms for one in slices)
    # A quiet run must not show its microseconds as mountains.
    y = linear(max(most, 2.0), bottom, top)
    bars = (_bar(one, x, y, offset_s) for one in slices if one.late_ms > 0)
    title = f"The longest that a read waited for this client, {figure_ms(most)} at most"
    return [
        text(LEFT, top - 12, title, class_="name"),
        duration_rows(y, 2),
        element("g", *bars),
    ]


def _bar(one: Slice, x: Scale, y: Scale, offset_s: float) -> Markup:
    left, right = x(one.start_s + offset_s), x(one.end_s + offset_s)
    return with_title(
        "rect",
        f"{one.start_s + offset_s:.2f} s: {figure_ms(one.late_ms)}",
        x=left,
        y=y(one.late_ms),
        width=max(0.8, right - left - 0.4),
        height=y(0) - y(one.late_ms),
        class_="lateness",
    )
