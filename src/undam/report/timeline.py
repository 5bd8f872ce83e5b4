"""The run over time: TTFT, failures, requests in flight, and load generator delays."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from undam.record import RequestResult
from undam.report.axes import Scale, linear
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    count_rows,
    drawing,
    figure,
    line,
    seconds_below,
    text,
    with_title,
)
from undam.report.dots import cross, dots, failures, thin_out
from undam.report.markup import (
    NO_VALUE,
    Child,
    Markup,
    element,
    format_count,
    format_ms,
    join,
    px,
)
from undam.report.slices import Slice, in_flight, lateness, medians, slices_of

_TOP, _BOTTOM = 26.0, 238.0
_FAILED_AT = 256.0
_FLIGHT_TOP, _FLIGHT_BOTTOM = 306.0, 376.0
_LATE_TOP, _LATE_BOTTOM = 416.0, 456.0
_HEIGHT = 484.0
_TABLE_ROWS = 20


def timeline(summary: Mapping[str, Any], requests: Sequence[RequestResult]) -> Markup | None:
    """Return charts on a shared time axis; ``None`` if no request was sent.

    Args:
        requests: all requests including warm-up; without them, the slices of the summary are drawn.
    """
    slices = slices_of(summary)
    if not slices:
        return None
    if not requests:
        return _from_slices(summary, slices)
    begin = min(one.intended_ns for one in requests)
    first = min((one.intended_ns for one in requests if not one.warmup), default=begin)
    end = max(one.ended_ns for one in requests)
    x = linear((end - begin) / 1e9, LEFT, RIGHT)
    drawn = thin_out(requests)
    parts = [
        text(LEFT, 14, "TTFT of each request, by its intended start", class_="name"),
        *dots(drawn, begin, x, _TOP, _BOTTOM),
        *_failed_line(),
        failures(drawn, begin, x, _FAILED_AT),
        *_flight(_steps(requests, begin), x),
        *lateness(slices, x, (first - begin) / 1e9, _LATE_TOP, _LATE_BOTTOM),
        seconds_below(x, _HEIGHT - 6),
    ]
    return _figure(summary, parts, slices, _caption(len(drawn), len(requests)))


def _from_slices(summary: Mapping[str, Any], slices: Sequence[Slice]) -> Markup:
    x = linear(slices[-1].end_s, LEFT, RIGHT)
    crosses = (
        with_title(
            "path",
            f"{one.start_s:.2f} s: {format_count(one.failed)} failed",
            d=cross((x(one.start_s) + x(one.end_s)) / 2, _FAILED_AT),
            class_="cross",
        )
        for one in slices
        if one.failed
    )
    parts = [
        text(LEFT, 14, "TTFT p50 of each time slice, by intended start", class_="name"),
        *medians(slices, x, _TOP, _BOTTOM),
        *_failed_line(),
        element("g", *crosses),
        *_flight(in_flight(slices), x),
        *lateness(slices, x, 0.0, _LATE_TOP, _LATE_BOTTOM),
        seconds_below(x, _HEIGHT - 6),
    ]
    width_s = slices[-1].end_s - slices[-1].start_s
    caption = join(
        [f"A slice is {width_s:.3g} s; ", _CROSS, " marks a slice with failed requests."]
    )
    return _figure(summary, parts, slices, caption)


_CROSS = element("span", "\u00d7", class_="bad")


def _figure(
    summary: Mapping[str, Any], parts: Sequence[Child], slices: Sequence[Slice], caption: Markup
) -> Markup:
    failed = [f"{format_count(summary.get(name, 0))} {name}" for name in ("errors", "incomplete")]
    description = f"{format_count(summary.get('requests', 0))} requests; {', '.join(failed)}."
    picture = drawing("timeline", _HEIGHT, "Timeline of the run", description, parts)
    return figure(picture, caption, _numbers(slices))


def _failed_line() -> list[Child]:
    return [
        text(LEFT - 8, _FAILED_AT + 4, "failed", class_="tick end"),
        line(LEFT, _FAILED_AT, RIGHT, _FAILED_AT, class_="grid"),
    ]


def _steps(requests: Sequence[RequestResult], begin: int) -> list[tuple[float, float, int]]:
    """Return (start, end, requests in flight) for each period between two changes."""
    changes: list[tuple[int, int]] = []
    for one in requests:
        if one.started_ns is not None:
            changes += [(one.started_ns, 1), (one.ended_ns, -1)]
    changes.sort()
    now, rows = 0, []
    for i, (at_ns, change) in enumerate(changes):
        now += change
        until = changes[i + 1][0] if i + 1 < len(changes) else at_ns
        rows.append(((at_ns - begin) / 1e9, (until - begin) / 1e9, now))
    return rows


def _flight(rows: Sequence[tuple[float, float, int]], x: Scale) -> list[Child]:
    most = max((count for _, _, count in rows), default=0)
    y = linear(most, _FLIGHT_BOTTOM, _FLIGHT_TOP)
    tops = "".join(
        f"L{px(LEFT + i)} {px(y(count))}" for i, count in enumerate(most_by_pixel(rows, x))
    )
    area = f"M{px(LEFT)} {px(_FLIGHT_BOTTOM)}{tops}L{px(RIGHT)} {px(_FLIGHT_BOTTOM)}Z"
    return [
        text(
            LEFT,
            _FLIGHT_TOP - 12,
            f"Requests in flight, at most {format_count(most)}",
            class_="name",
        ),
        count_rows(y),
        element("path", d=area, class_="flight"),
    ]


def most_by_pixel(rows: Sequence[tuple[float, float, int]], x: Scale) -> list[int]:
    """Return the maximum number of requests in flight for each pixel on the axis."""
    most = [0] * (int(RIGHT - LEFT) + 1)
    for start_s, end_s, count in rows:
        left, right = int(x(start_s) - LEFT), int(x(end_s) - LEFT)
        # The periods do not overlap, so this loop takes about one step per pixel.
        for i in range(left, right + 1):
            most[i] = max(most[i], count)
    return most


def _caption(drawn: int, total: int) -> Markup:
    parts: list[Child] = [
        "Each dot is a request; ",
        _CROSS,
        " an error, ",
        element("span", "\u00d7", class_="cutword"),
        " an incomplete stream, both at the time of their end; grey: warm-up.",
    ]
    if drawn < total:
        parts.append(
            f" {format_count(drawn)} of {format_count(total)} are drawn: failures, and the slowest"
            " of each time slice."
        )
    return join(parts)


def _numbers(slices: Sequence[Slice]) -> Table:
    """Return the run as a table of about twenty rows."""
    step = -(-len(slices) // _TABLE_ROWS)
    groups = [slices[i : i + step] for i in range(0, len(slices), step)]
    rows = [
        (
            f"{group[0].start_s:.2f} s",
            format_count(sum(one.started for one in group)),
            _range([one.ttft_ms for one in group if one.ttft_ms is not None]),
            format_count(sum(one.failed for one in group)),
            format_ms(max(one.late_ms for one in group)),
        )
        for group in groups
    ]
    return Table(("from", "requests", "TTFT p50 of slices", "failed", "read lateness, max"), rows)


def _range(values: Sequence[float]) -> str:
    if not values:
        return NO_VALUE
    return f"{format_ms(min(values))} to {format_ms(max(values))}"
