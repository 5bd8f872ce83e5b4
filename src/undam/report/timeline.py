"""The run over time: the TTFT of every request, how many were in flight, and what failed."""

from __future__ import annotations

from collections.abc import Sequence

from undam.record import Measured, Outcome
from undam.report.axes import Scale, for_durations, linear
from undam.report.chart import (
    LEFT,
    RIGHT,
    Table,
    count_rows,
    drawing,
    figure,
    line,
    seconds_below,
    span,
    text,
    time_rows,
    with_title,
)
from undam.report.markup import (
    NOTHING,
    Child,
    Markup,
    count,
    element,
    escape,
    figure_ms,
    join,
    number,
)
from undam.timing import quantile

MOST_DOTS = 2000
"""More would only cover each other, and a page is to stay under two megabytes."""

_TOP, _BOTTOM = 26.0, 238.0
_FAILED_AT = 256.0
_FLIGHT_TOP, _FLIGHT_BOTTOM = 306.0, 382.0
_HEIGHT = 412.0
_FLIGHT_BINS = 440
_TABLE_ROWS = 20


def timeline(requests: Sequence[Measured]) -> Markup:
    """Two charts over one axis of time, from the first intended start to the last end.

    Args:
        requests: at least one.
    """
    begin = min(one.intended_ns for one in requests)
    end = max(one.ended_ns for one in requests)
    x = linear((end - begin) / 1e9, LEFT, RIGHT)
    drawn = thinned(requests)
    parts: list[Child] = [
        text(LEFT, 14, "TTFT of each request, by its intended start", class_="name")
    ]
    parts += _dots(drawn, begin, x)
    parts += _failures(drawn, begin, x)
    parts += _in_flight(requests, begin, x)
    parts.append(seconds_below(x, _HEIGHT - 8))
    picture = drawing("timeline", _HEIGHT, "Timeline of the run", _said(requests), parts)
    return figure(picture, _caption(len(drawn), len(requests)), _numbers(requests, begin, end))


def thinned(requests: Sequence[Measured]) -> list[Measured]:
    """At most about `MOST_DOTS` of them: every failure first, then the slowest of each slice of
    time, so that nothing that stands out is lost."""
    if len(requests) <= MOST_DOTS:
        return list(requests)
    ordered = sorted(requests, key=lambda one: one.intended_ns)
    failed = [one for one in ordered if one.outcome is not Outcome.COMPLETE]
    failed = failed[:: max(1, len(failed) * 2 // MOST_DOTS)]
    fine = [one for one in ordered if one.outcome is Outcome.COMPLETE]
    slice_ = -(-len(fine) // max(1, MOST_DOTS - len(failed)))
    slowest = [
        max(fine[i : i + slice_], key=lambda one: one.ttft_ns or 0)
        for i in range(0, len(fine), max(1, slice_))
    ]
    return [*slowest, *failed]


def _dots(drawn: Sequence[Measured], begin: int, x: Scale) -> list[Child]:
    answered = [one for one in drawn if one.reads]
    if not answered:
        return [
            text(LEFT + 8, (_TOP + _BOTTOM) / 2, "No request brought any content.", class_="note")
        ]
    values = sorted((one.ttft_ns or 0) / 1e6 for one in answered)
    y = for_durations(values, quantile(values, 0.5), _BOTTOM, _TOP)
    return [time_rows(y), element("g", *(_dot(one, begin, x, y) for one in answered))]


def _dot(one: Measured, begin: int, x: Scale, y: Scale) -> Markup:
    at_s, ttft_ms = (one.intended_ns - begin) / 1e9, (one.ttft_ns or 0) / 1e6
    kind = "warm" if one.warmup else "dot"
    if one.outcome is Outcome.INCOMPLETE:
        kind += " cut"
    return with_title(
        "circle",
        f"request {one.number}{', warm-up' if one.warmup else ''}: TTFT {figure_ms(ttft_ms)} "
        f"at {at_s:.2f} s, {ending(one)}",
        cx=x(at_s),
        cy=y(ttft_ms),
        r=2.4,
        class_=kind,
    )


def _failures(drawn: Sequence[Measured], begin: int, x: Scale) -> list[Child]:
    """A cross for each request that failed, where it ended, on a line of their own."""
    failed = [one for one in drawn if one.outcome in {Outcome.ERROR, Outcome.INCOMPLETE}]
    crosses = (
        with_title(
            "path",
            f"request {one.number}: {ending(one)} at {(one.ended_ns - begin) / 1e9:.2f} s",
            d=_cross(x((one.ended_ns - begin) / 1e9), _FAILED_AT),
            class_="cross" if one.outcome is Outcome.ERROR else "cross cut",
        )
        for one in failed
    )
    return [
        text(LEFT - 8, _FAILED_AT + 4, "failed", class_="tick end"),
        line(LEFT, _FAILED_AT, RIGHT, _FAILED_AT, class_="grid"),
        element("g", *crosses),
    ]


def _cross(x: float, y: float) -> str:
    left, right, up, down = (number(value) for value in (x - 4, x + 4, y - 4, y + 4))
    return f"M{left} {up}L{right} {down}M{left} {down}L{right} {up}"


def _in_flight(requests: Sequence[Measured], begin: int, x: Scale) -> list[Child]:
    most = most_in_flight(requests, begin, x.high)
    y = linear(max(most), _FLIGHT_BOTTOM, _FLIGHT_TOP)
    width = (RIGHT - LEFT) / len(most)
    tops = "".join(
        f"V{number(y(value))}H{number(LEFT + width * (i + 1))}" for i, value in enumerate(most)
    )
    area = f"M{number(LEFT)} {number(_FLIGHT_BOTTOM)}{tops}V{number(_FLIGHT_BOTTOM)}Z"
    return [
        text(
            LEFT, _FLIGHT_TOP - 12, f"Requests in flight, {count(max(most))} at most", class_="name"
        ),
        count_rows(y),
        element("path", d=area, class_="flight"),
    ]


def most_in_flight(requests: Sequence[Measured], begin: int, seconds: float) -> list[int]:
    """The most that were in flight at once in each of several hundred slices of the run."""
    steps: list[tuple[int, int]] = []
    for one in requests:
        if one.started_ns is not None:
            steps += [(one.started_ns, 1), (one.ended_ns, -1)]
    most = [0] * _FLIGHT_BINS
    now, last = 0, 0
    for at_ns, step in sorted(steps):
        place = min(_FLIGHT_BINS - 1, max(0, int((at_ns - begin) / 1e9 / seconds * _FLIGHT_BINS)))
        for passed in range(last, place):
            most[passed] = max(most[passed], now)
        most[place] = max(most[place], now)
        now, last = now + step, place
        most[place] = max(most[place], now)
    return most


def ending(one: Measured) -> str:
    """How it ended, in words; what the server said is not repeated here."""
    if one.outcome is Outcome.COMPLETE:
        return "complete"
    return f"{one.outcome.value} ({one.kind})" if one.kind else one.outcome.value


def _said(requests: Sequence[Measured]) -> str:
    ttft = sorted((one.ttft_ns or 0) / 1e6 for one in requests if one.reads)
    errors = sum(one.outcome is Outcome.ERROR for one in requests)
    cut = sum(one.outcome is Outcome.INCOMPLETE for one in requests)
    range_ = f"TTFT from {span(ttft)}; " if ttft else ""
    return (
        f"{count(len(requests))} requests; {range_}{count(errors)} errors, {count(cut)} incomplete."
    )


def _caption(drawn: int, all_: int) -> Markup:
    words = [
        escape("Each dot is a request; "),
        element("span", "\u00d7", class_="bad"),
        escape(" an error, "),
        element("span", "\u00d7", class_="cutword"),
        escape(" a stream that ended without saying so, each at its end; grey: warm-up."),
    ]
    if drawn < all_:
        words.append(
            escape(
                f" {count(drawn)} of {count(all_)} are drawn: failures, and the slowest of each"
                " slice of time."
            )
        )
    return join(words)


def _numbers(requests: Sequence[Measured], begin: int, end: int) -> Table:
    """The run in twenty slices of time, by intended start."""
    slices: list[list[Measured]] = [[] for _ in range(_TABLE_ROWS)]
    width = max(1, end - begin) / _TABLE_ROWS
    for one in requests:
        slices[min(_TABLE_ROWS - 1, int((one.intended_ns - begin) / width))].append(one)
    rows = []
    for i, some in enumerate(slices):
        ttft = sorted((one.ttft_ns or 0) / 1e6 for one in some if one.reads)
        failed = sum(one.outcome in {Outcome.ERROR, Outcome.INCOMPLETE} for one in some)
        rows.append(
            (
                f"{i * width / 1e9:.2f} s",
                count(len(some)),
                figure_ms(quantile(ttft, 0.5)) if ttft else NOTHING,
                figure_ms(ttft[-1]) if ttft else NOTHING,
                count(failed),
            )
        )
    return Table(("from", "requests", "TTFT p50", "TTFT max", "failed"), rows)
